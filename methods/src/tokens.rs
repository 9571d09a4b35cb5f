//! What stands where: the token map that a pass hands to every layer's slot.
//!
//! Kept on the host, as plain vectors: a variant asks which queries it touches without waiting for a device. Tensors are made
//! of it when they are asked for, once a pass.

use std::cell::OnceCell;

use tch::{Device, Tensor};

use crate::Error;

/// The tokens that one layer has stored, of which the last T are new in this pass.
#[derive(Debug)]
pub struct Tokens {
    batch: usize,
    /// S.
    stored: usize,
    /// T.
    new: usize,
    device: Device,
    /// `[B, S]`.
    visual: Vec<bool>,
    /// `[B, S]`: real rather than padding.
    valid: Vec<bool>,
    /// `[B, S]`: how many real tokens of the sequence come before.
    positions: Vec<i64>,
    rotary: Option<Rotary>,
    /// `[B]`: position of the last token of the prompt, which predicts the first token of the answer.
    prompt_ends: Vec<i64>,
    visual_keys: OnceCell<Option<Tensor>>,
    visual_queries: OnceCell<Option<Tensor>>,
    valid_keys: OnceCell<Option<Tensor>>,
}

/// Where the rotary embedding puts tokens, in a model that places the tokens of a picture on several axes. The order of the
/// tokens, and with it who sees whom, is a matter of [`Tokens::positions`] alone.
#[derive(Debug, Clone)]
struct Rotary {
    /// `[B, S]`: time, row and column.
    axes: Vec<[i64; 3]>,
    /// `[B]`: where the next text token goes on all axes, one past the largest so far. A token that was dropped counts.
    next: Vec<i64>,
}

impl Rotary {
    /// Puts one more token behind what the sequence has, if it is real; padding takes the place without moving on.
    fn text(next: &mut i64, valid: bool) -> [i64; 3] {
        let place = [*next; 3];
        *next += i64::from(valid);
        place
    }
}

/// Some of the new tokens, as queries: those that are selected in any sequence of the batch, and in which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRows {
    /// Their indices among the new tokens, ascending, t of them.
    pub index: Vec<i64>,
    /// `[B, t]`: whether the row is selected in this sequence.
    pub selected: Vec<bool>,
}

impl QueryRows {
    /// Whether every row is selected in every sequence.
    pub fn is_uniform(&self) -> bool {
        self.selected.iter().all(|&selected| selected)
    }

    /// `[B, 1, t, 1]` bool.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    pub fn mask(&self, device: Device) -> Result<Tensor, Error> {
        let rows = self.index.len() as i64;
        Ok(Tensor::f_from_slice(&self.selected)?
            .f_view([-1, 1, rows, 1])?
            .f_to_device(device)?)
    }
}

/// What is left of a pass after tokens were dropped.
#[derive(Debug)]
pub struct RetainedTokens {
    /// The tokens that are left; where sequences kept unequal numbers, the shorter ones are padded.
    pub tokens: Tokens,
    /// `[B, T']`: which of the B x T tokens each of them is.
    pub index: Vec<i64>,
}

impl Tokens {
    /// The first pass: `visual` and `valid` are `[B, T]` flags (everything is valid when left out), `prompt_lengths` says
    /// how many real tokens of each of the B sequences are its prompt; what follows is its answer.
    ///
    /// # Panics
    /// When the lengths contradict each other.
    pub fn new(
        visual: &[bool],
        valid: Option<&[bool]>,
        prompt_lengths: &[i64],
        device: Device,
    ) -> Self {
        let batch = prompt_lengths.len();
        assert!(
            batch > 0 && visual.len().is_multiple_of(batch),
            "flags are [B, T]"
        );
        let empty = Self {
            batch,
            stored: 0,
            new: 0,
            device,
            visual: Vec::new(),
            valid: Vec::new(),
            positions: Vec::new(),
            rotary: None,
            prompt_ends: prompt_lengths.iter().map(|length| length - 1).collect(),
            visual_keys: OnceCell::new(),
            visual_queries: OnceCell::new(),
            valid_keys: OnceCell::new(),
        };
        match valid {
            Some(valid) => empty.then(visual, valid),
            None => empty.then(visual, &vec![true; visual.len()]),
        }
    }

    /// The same tokens with places of their own for the rotary embedding: for each of the B sequences the time, row and column
    /// of its first tokens. What follows them is text, which moves on by one on all axes from past the largest so far.
    ///
    /// # Panics
    /// When there are not B rows, or one is longer than the sequence.
    #[must_use]
    pub fn with_rotary(mut self, rows: &[&[[i64; 3]]]) -> Self {
        assert!(
            rows.len() == self.batch && rows.iter().all(|row| row.len() <= self.stored),
            "rotary positions are a row a sequence"
        );
        let mut axes = Vec::with_capacity(self.batch * self.stored);
        let mut ends = Vec::with_capacity(self.batch);
        for (b, row) in rows.iter().enumerate() {
            let mut next = row.iter().flatten().max().map_or(0, |last| last + 1);
            axes.extend_from_slice(row);
            for at in row.len()..self.stored {
                axes.push(Rotary::text(&mut next, self.valid[b * self.stored + at]));
            }
            ends.push(next);
        }
        self.rotary = Some(Rotary { axes, next: ends });
        self
    }

    /// The next pass: these and T more tokens, `[B, T]` flags.
    ///
    /// # Panics
    /// When the lengths contradict each other.
    #[must_use]
    pub fn then(&self, visual: &[bool], valid: &[bool]) -> Self {
        assert!(
            visual.len() == valid.len() && visual.len().is_multiple_of(self.batch),
            "flags are [B, T]"
        );
        let (old, new) = (self.stored, visual.len() / self.batch);
        let stored = old + new;
        let join = |before: &[bool], after: &[bool]| -> Vec<bool> {
            (0..self.batch)
                .flat_map(|b| {
                    let (before, after) = (
                        &before[b * old..(b + 1) * old],
                        &after[b * new..(b + 1) * new],
                    );
                    before.iter().chain(after).copied()
                })
                .collect()
        };
        let rotary = self.rotary.as_ref().map(|rotary| {
            let mut axes = Vec::with_capacity(self.batch * stored);
            let mut ends = rotary.next.clone();
            for (b, next) in ends.iter_mut().enumerate() {
                axes.extend_from_slice(&rotary.axes[b * old..(b + 1) * old]);
                let own = &valid[b * new..(b + 1) * new];
                axes.extend(own.iter().map(|&valid| Rotary::text(next, valid)));
            }
            Rotary { axes, next: ends }
        });
        let mut positions = Vec::with_capacity(self.batch * stored);
        for b in 0..self.batch {
            let before = &self.positions[b * old..(b + 1) * old];
            positions.extend_from_slice(before);
            // Of a pass whose tokens were dropped the last one is still there: it predicted what comes now.
            let last = (0..old).rev().find(|&at| self.valid[b * old + at]);
            let mut next = last.map_or(0, |at| before[at] + 1);
            for at in 0..new {
                positions.push(next);
                next += i64::from(valid[b * new + at]);
            }
        }
        Self {
            batch: self.batch,
            stored,
            new,
            device: self.device,
            visual: join(&self.visual, visual),
            valid: join(&self.valid, valid),
            positions,
            rotary,
            prompt_ends: self.prompt_ends.clone(),
            visual_keys: OnceCell::new(),
            visual_queries: OnceCell::new(),
            valid_keys: OnceCell::new(),
        }
    }

    /// The next pass of decoding: one more text token in every sequence.
    #[must_use]
    pub fn then_text(&self) -> Self {
        self.then(&vec![false; self.batch], &vec![true; self.batch])
    }

    /// The first `length` tokens of every sequence of a first pass, as a pass of their own that [`Self::after`] goes on from.
    /// The prompts end where they did.
    ///
    /// # Panics
    /// When there are none or not so many, or something was stored before.
    #[must_use]
    pub fn first(&self, length: usize) -> Self {
        assert!(
            (1..=self.stored).contains(&length) && self.stored == self.new,
            "a first pass is cut"
        );
        let rotary = self.rotary.as_ref().map(|rotary| {
            let axes = cut(&rotary.axes, self.stored, length);
            let largest = |row: &[[i64; 3]]| row.iter().flatten().max().map_or(0, |last| last + 1);
            Rotary {
                next: axes.chunks(length).map(largest).collect(),
                axes,
            }
        });
        Self {
            batch: self.batch,
            stored: length,
            new: length,
            device: self.device,
            visual: cut(&self.visual, self.stored, length),
            valid: cut(&self.valid, self.stored, length),
            positions: cut(&self.positions, self.stored, length),
            rotary,
            prompt_ends: self.prompt_ends.clone(),
            visual_keys: OnceCell::new(),
            visual_queries: OnceCell::new(),
            valid_keys: OnceCell::new(),
        }
    }

    /// The tokens of a first pass, of which a pass over the first `length` of every sequence has stored those.
    ///
    /// # Panics
    /// When there are not so many, or something was stored before.
    #[must_use]
    pub fn after(mut self, length: usize) -> Self {
        assert!(
            length <= self.stored && self.stored == self.new,
            "a first pass is cut"
        );
        self.new = self.stored - length;
        self.visual_queries = OnceCell::new();
        self
    }

    /// B.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// S.
    pub fn stored(&self) -> usize {
        self.stored
    }

    /// T.
    pub fn new_tokens(&self) -> usize {
        self.new
    }

    /// Where the rotary embedding puts the new tokens, `[B, T]` of time, row and column; `None` where that is their position.
    pub fn new_rotary(&self) -> Option<Vec<[i64; 3]>> {
        let rotary = self.rotary.as_ref()?;
        Some(self.of_new(&rotary.axes))
    }

    /// Positions of the new tokens, `[B, T]`.
    pub fn new_positions(&self) -> Vec<i64> {
        self.of_new(&self.positions)
    }

    /// Which of the new tokens are visual, `[B, T]`.
    pub fn new_visual(&self) -> Vec<bool> {
        self.of_new(&self.visual)
    }

    /// Which stored tokens are visual, `[B, S]`.
    pub fn visual(&self) -> &[bool] {
        &self.visual
    }

    /// Positions of the stored tokens, `[B, S]`.
    pub fn positions(&self) -> &[i64] {
        &self.positions
    }

    /// Which stored tokens are real, `[B, S]`.
    pub fn valid(&self) -> &[bool] {
        &self.valid
    }

    /// Whether the pass begins with the first token and reaches the end of every prompt.
    pub fn is_whole_prompt(&self) -> bool {
        let ends = |b: usize| {
            let mut row = b * self.stored..(b + 1) * self.stored;
            row.any(|at| self.valid[at] && self.positions[at] == self.prompt_ends[b])
        };
        self.stored == self.new && (0..self.batch).all(ends)
    }

    /// Which stored tokens are visual, `[B, S]` bool; `None` when none is.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    pub fn visual_keys(&self) -> Result<Option<&Tensor>, Error> {
        self.flags(&self.visual_keys, || {
            self.visual.contains(&true).then(|| self.visual.clone())
        })
    }

    /// Which new tokens are visual, `[B, T]` bool; `None` when none is, as in decoding.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    pub fn visual_queries(&self) -> Result<Option<&Tensor>, Error> {
        self.flags(&self.visual_queries, || {
            let new = self.new_visual();
            new.contains(&true).then_some(new)
        })
    }

    /// Which stored tokens are real rather than padding, `[B, S]` bool; `None` when all are.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    pub fn valid_keys(&self) -> Result<Option<&Tensor>, Error> {
        self.flags(&self.valid_keys, || {
            self.valid.contains(&false).then(|| self.valid.clone())
        })
    }

    /// Which stored tokens come before the first visual one of their sequence (the system prompt), `[B, S]` bool; none of a
    /// sequence without a picture.
    ///
    /// # Errors
    /// When LibTorch refuses the operation.
    pub fn keys_before_image(&self) -> Result<Tensor, Error> {
        let mut before = vec![false; self.visual.len()];
        for b in 0..self.batch {
            let row = &self.visual[b * self.stored..(b + 1) * self.stored];
            let first = row.iter().position(|&visual| visual).unwrap_or(0);
            before[b * self.stored..b * self.stored + first].fill(true);
        }
        self.tensor(&before)
    }

    /// The queries that predict tokens of the answer: the prompt's last token and all after it.
    pub fn answering(&self) -> QueryRows {
        self.rows(|b, at| self.positions[at] >= self.prompt_ends[b])
    }

    /// The query that predicts the first token of the answer.
    pub fn prompt_end(&self) -> QueryRows {
        self.rows(|b, at| self.positions[at] == self.prompt_ends[b])
    }

    /// Text queries that have a visual token before them. (Of a prompt with one picture: those after the picture.)
    pub fn text_after_visual(&self) -> QueryRows {
        let first: Vec<usize> = (0..self.batch)
            .map(|b| {
                let row = &self.visual[b * self.stored..(b + 1) * self.stored];
                b * self.stored
                    + row
                        .iter()
                        .position(|&visual| visual)
                        .unwrap_or(usize::MAX >> 1)
            })
            .collect();
        self.rows(|b, at| at > first[b] && !self.visual[at])
    }

    /// Drops the new tokens that `keep` `[B, T]` does not name. Only for a pass with nothing stored before it.
    ///
    /// # Panics
    /// When the lengths contradict each other, or something was stored before.
    pub fn retain(&self, keep: &[bool]) -> RetainedTokens {
        assert!(
            keep.len() == self.visual.len() && self.stored == self.new,
            "flags are [B, T]"
        );
        let rows: Vec<Vec<usize>> = (0..self.batch)
            .map(|b| {
                let row = b * self.new..(b + 1) * self.new;
                row.filter(|&at| keep[at] && self.valid[at]).collect()
            })
            .collect();
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut index = Vec::with_capacity(self.batch * longest);
        let (mut visual, mut valid, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for (b, row) in rows.iter().enumerate() {
            // Padding repeats the last token, which is never looked at there.
            let last = row.last().copied().unwrap_or(b * self.new);
            for place in 0..longest {
                let at = row.get(place).copied().unwrap_or(last);
                index.push(at as i64);
                visual.push(self.visual[at]);
                valid.push(place < row.len());
                positions.push(self.positions[at]);
            }
        }
        let tokens = Self {
            batch: self.batch,
            stored: longest,
            new: longest,
            device: self.device,
            visual,
            valid,
            positions,
            rotary: self.rotary.as_ref().map(|rotary| Rotary {
                axes: index.iter().map(|&at| rotary.axes[at as usize]).collect(),
                next: rotary.next.clone(),
            }),
            prompt_ends: self.prompt_ends.clone(),
            visual_keys: OnceCell::new(),
            visual_queries: OnceCell::new(),
            valid_keys: OnceCell::new(),
        };
        RetainedTokens { tokens, index }
    }

    /// The new tokens for which `selected(sequence, index into [B, S])` holds; never padding.
    fn rows(&self, selected: impl Fn(usize, usize) -> bool) -> QueryRows {
        let start = self.stored - self.new;
        let at = |b: usize, row: usize| b * self.stored + start + row;
        let is = |b: usize, row: usize| self.valid[at(b, row)] && selected(b, at(b, row));
        let index: Vec<usize> = (0..self.new)
            .filter(|&row| (0..self.batch).any(|b| is(b, row)))
            .collect();
        QueryRows {
            selected: (0..self.batch)
                .flat_map(|b| index.iter().map(move |&row| (b, row)))
                .map(|(b, row)| is(b, row))
                .collect(),
            index: index.into_iter().map(|row| row as i64).collect(),
        }
    }

    fn of_new<T: Copy>(&self, all: &[T]) -> Vec<T> {
        let start = self.stored - self.new;
        all.chunks(self.stored.max(1))
            .flat_map(|row| row[start..].iter().copied())
            .collect()
    }

    fn tensor(&self, flags: &[bool]) -> Result<Tensor, Error> {
        Ok(Tensor::f_from_slice(flags)?
            .f_view([self.batch as i64, -1])?
            .f_to_device(self.device)?)
    }

    fn flags<'a>(
        &self,
        cell: &'a OnceCell<Option<Tensor>>,
        make: impl FnOnce() -> Option<Vec<bool>>,
    ) -> Result<Option<&'a Tensor>, Error> {
        if cell.get().is_none() {
            let made = make().map(|flags| self.tensor(&flags)).transpose()?;
            // Only this thread can have filled the cell, and it was empty.
            let _ = cell.set(made);
        }
        Ok(cell.get().and_then(Option::as_ref))
    }
}

/// The first `length` of every row of `stored`.
fn cut<T: Copy>(all: &[T], stored: usize, length: usize) -> Vec<T> {
    all.chunks(stored)
        .flat_map(|row| row[..length].iter().copied())
        .collect()
}
