//! Loss and exact answers over items that no training stream draws.

use std::collections::BTreeMap;

use rave_lmm::{Batch, Error as ModelError};
use rave_results::training::Row;
use tch::{Device, Tensor, no_grad};

use super::losses::number;
use super::trainer::Trainer;
use crate::Error;

/// What a source's validation items gave.
#[derive(Default)]
struct Tally {
    hits: usize,
    items: usize,
    /// Sum over the answers' tokens.
    loss: f64,
    tokens: usize,
}

/// A batch of validation items.
pub(super) struct Validation {
    batch: Batch,
    classes: Option<Tensor>,
    /// Numbers of the sources they are from.
    sources: Vec<usize>,
}

impl Trainer<'_> {
    /// Batches of the validation items, which no training stream draws.
    pub(super) fn validation_batches(&self) -> Result<Vec<Validation>, Error> {
        let items = self.plan.validation_items * self.plan.sources.len() as u64;
        let numbers: Vec<u64> = (0..items).collect();
        numbers
            .chunks(self.plan.batch)
            .map(|chunk| {
                let drawn = chunk
                    .iter()
                    .filter_map(|&number| self.stream.validation(number).transpose())
                    .collect::<Result<Vec<_>, _>>()?;
                let examples: Vec<_> = drawn.iter().map(|drawn| drawn.example.clone()).collect();
                Ok(Validation {
                    batch: self.model.batch(&examples)?,
                    classes: self.classes(&drawn)?,
                    sources: drawn.iter().map(|drawn| drawn.source).collect(),
                })
            })
            .collect()
    }

    /// Loss and exact answers over the validation items: a row for all of them, then, where answers are trained, one a source.
    pub(super) fn validate(&self, batches: &[Validation]) -> Result<Vec<Row>, Error> {
        let mut by_source: BTreeMap<&str, Tally> = BTreeMap::new();
        let mut all = Row {
            step: self.step,
            split: "validation".into(),
            ..Row::default()
        };
        let mut seen = 0;
        no_grad(|| -> Result<(), Error> {
            for Validation {
                batch,
                classes,
                sources,
            } in batches
            {
                let name = |place: usize| self.plan.sources[sources[place]].name();
                let losses = self.batch_losses(batch, classes.as_ref(), sources.len())?;
                for (place, &exact) in losses.exact.iter().enumerate() {
                    let tally = by_source.entry(name(place)).or_default();
                    tally.hits += usize::from(exact);
                    tally.items += 1;
                }
                if let Some(tokens) = &losses.tokens {
                    let tokens: Vec<f32> = tokens
                        .f_to_device(Device::Cpu)
                        .and_then(|tokens| Vec::try_from(&tokens))
                        .map_err(ModelError::from)?;
                    for (owner, loss) in batch.owners.iter().zip(tokens) {
                        // Validation items have one question each.
                        let Some(owner) = owner else { continue };
                        let tally = by_source.entry(name(*owner)).or_default();
                        tally.loss += f64::from(loss);
                        tally.tokens += 1;
                    }
                }
                let count = sources.len() as f64;
                all.loss += number(losses.answer.as_ref())? * count;
                all.aux_loss += number(losses.aux.as_ref())? * count;
                all.glyph_accuracy += losses.glyphs * count;
                seen += sources.len();
            }
            Ok(())
        })?;
        let count = seen.max(1) as f64;
        all.loss /= count;
        all.aux_loss /= count;
        all.glyph_accuracy /= count;
        all.exact = by_source.values().map(|tally| tally.hits).sum::<usize>() as f64 / count;
        let by_source = by_source.iter().map(|(source, tally)| Row {
            step: self.step,
            split: format!("validation {source}"),
            exact: tally.hits as f64 / tally.items as f64,
            loss: tally.loss / tally.tokens as f64,
            ..Row::default()
        });
        let by_source: Vec<Row> = by_source.collect();
        Ok(std::iter::once(all).chain(by_source).collect())
    }
}
