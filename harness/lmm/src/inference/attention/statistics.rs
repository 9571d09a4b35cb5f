//! What the weights of one head over a picture amount to; terms as in [`super`]'s header.

use tch::{Device, Kind, Tensor};

use crate::TokenRegion;

/// A part of a picture: left, top, right and bottom as shares of its width and height.
pub type Bounds = [f32; 4];

/// What one head of one layer did; fields as in [`super`]'s header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadStatistics {
    /// From 0.
    pub layer: usize,
    /// From 0.
    pub head: usize,
    /// Visual keys that the layer has.
    pub visual_tokens: usize,
    /// In [0, 1].
    pub visual_share: f64,
    /// In nats; this and what follows is `None` where no query gives the picture any weight.
    pub entropy: Option<f64>,
    /// In [1, visual tokens].
    pub effective: Option<f64>,
    /// In [0, 1].
    pub top_share: Option<f64>,
    /// What there is to say of the answer box; `None` without one.
    pub in_box: Option<InBox>,
}

/// How a head looks at the answer box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InBox {
    /// Share of the visual mass inside.
    pub share: f64,
    /// The same of even weights.
    pub uniform: f64,
    /// How often the most attended token touches it.
    pub pointing: f64,
    /// Share of the tokens that touch it.
    pub pointing_uniform: f64,
}

/// Sums over queries, of one head.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) queries: f64,
    visual: f64,
    /// Queries that give the picture any weight: over these is the rest.
    looking: f64,
    entropy: f64,
    effective: f64,
    top: f64,
    in_box: f64,
    hits: f64,
}

impl Sums {
    /// Those of every head of a block of weights `[1, H, t, S]`.
    pub(super) fn of_block(
        weights: &Tensor,
        visual: &[i64],
        overlaps: &[f64],
    ) -> Result<Vec<Self>, rave_methods::Error> {
        let (heads, queries) = (weights.size()[1] as usize, weights.size()[2] as usize);
        let nothing = Self {
            queries: queries as f64,
            ..Self::default()
        };
        if visual.is_empty() {
            return Ok(vec![nothing; heads]);
        }
        let device = weights.device();
        let index = Tensor::f_from_slice(visual)?.f_to_device(device)?;
        let overlap = Tensor::f_from_slice(overlaps)?.f_to_device(device)?;
        let weights = weights
            .f_squeeze_dim(0)?
            .f_index_select(2, &index)?
            .f_to_kind(Kind::Double)?; // [H, t, V]
        let mass = weights.f_sum_dim_intlist([2].as_slice(), true, Kind::Double)?;
        let shares = weights.f_div(&mass)?;
        // p ln p is 0 at 0, which a logarithm of the smallest number gives and that of 0 does not.
        let logarithms = shares.f_clamp_min(f64::MIN_POSITIVE)?.f_log()?;
        let entropy = shares
            .f_mul(&logarithms)?
            .f_sum_dim_intlist([2].as_slice(), false, Kind::Double)?
            .f_neg()?;
        let top_count = visual.len().div_ceil(100) as i64;
        let (top, order) = shares.f_topk(top_count, 2, true, true)?;
        let top = top.f_sum_dim_intlist([2].as_slice(), false, Kind::Double)?;
        let in_box = shares.f_matmul(&overlap)?;
        let hits = overlap
            .f_gt(0.0)?
            .f_to_kind(Kind::Double)?
            .f_take(&order.f_select(2, 0)?)?;
        let [mass, entropy, top, in_box, hits] = [
            host(&mass)?,
            host(&entropy)?,
            host(&top)?,
            host(&in_box)?,
            host(&hits)?,
        ];
        Ok((0..heads)
            .map(|head| {
                let mut sums = nothing;
                for at in head * queries..(head + 1) * queries {
                    sums.visual += mass[at];
                    if mass[at] > 0.0 {
                        sums.looking += 1.0;
                        sums.entropy += entropy[at];
                        sums.effective += entropy[at].exp();
                        sums.top += top[at];
                        sums.in_box += in_box[at];
                        sums.hits += hits[at];
                    }
                }
                sums
            })
            .collect())
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.queries += other.queries;
        self.visual += other.visual;
        self.looking += other.looking;
        self.entropy += other.entropy;
        self.effective += other.effective;
        self.top += other.top;
        self.in_box += other.in_box;
        self.hits += other.hits;
    }

    /// The means; `overlaps` of the layer's visual tokens with the answer box, where there is one.
    pub(super) fn statistics(
        &self,
        layer: usize,
        head: usize,
        overlaps: Option<&[f64]>,
        visual_tokens: usize,
    ) -> HeadStatistics {
        let mean = |sum: f64| (self.looking > 0.0).then(|| sum / self.looking);
        let in_box = |overlaps: &[f64]| {
            let touching = overlaps.iter().filter(|&&overlap| overlap > 0.0).count();
            Some(InBox {
                share: mean(self.in_box)?,
                uniform: overlaps.iter().sum::<f64>() / visual_tokens as f64,
                pointing: mean(self.hits)?,
                pointing_uniform: touching as f64 / visual_tokens as f64,
            })
        };
        HeadStatistics {
            layer,
            head,
            visual_tokens,
            visual_share: self.visual / self.queries,
            entropy: mean(self.entropy),
            effective: mean(self.effective),
            top_share: mean(self.top),
            in_box: overlaps.and_then(in_box),
        }
    }
}

/// The part of a token's area that lies inside any of the boxes on the first picture.
pub(super) fn inside(region: &TokenRegion, boxes: &[Bounds]) -> f64 {
    let [left, top, right, bottom] = region.bounds.map(f64::from);
    let area = (right - left) * (bottom - top);
    if region.picture != 0 || area <= 0.0 {
        return 0.0;
    }
    let boxes: Vec<[f64; 4]> = boxes
        .iter()
        .map(|bounds| bounds.map(f64::from))
        .map(|[x, y, end, low]| [x.max(left), y.max(top), end.min(right), low.min(bottom)])
        .filter(|[x, y, end, low]| end > x && low > y)
        .collect();
    // Boxes may overlap: the edges of all cut the token into cells, and a cell counts once.
    let edges = |first: usize| {
        let mut edges: Vec<f64> = boxes
            .iter()
            .flat_map(|own| [own[first], own[first + 2]])
            .collect();
        edges.sort_unstable_by(f64::total_cmp);
        edges
    };
    let (columns, rows) = (edges(0), edges(1));
    let mut covered = 0.0;
    for row in rows.windows(2) {
        for column in columns.windows(2) {
            let (x, y) = (
                f64::midpoint(column[0], column[1]),
                f64::midpoint(row[0], row[1]),
            );
            let holds = |own: &[f64; 4]| own[0] < x && x < own[2] && own[1] < y && y < own[3];
            if boxes.iter().any(holds) {
                covered += (column[1] - column[0]) * (row[1] - row[0]);
            }
        }
    }
    covered / area
}

/// A tensor's values, row by row.
pub(super) fn host(tensor: &Tensor) -> Result<Vec<f64>, rave_methods::Error> {
    let flat = tensor
        .f_to_device(Device::Cpu)?
        .f_contiguous()?
        .f_view([-1])?;
    Ok(Vec::try_from(&flat)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn region(bounds: Bounds) -> TokenRegion {
        TokenRegion {
            picture: 0,
            bounds,
            whole: false,
        }
    }

    #[test]
    fn boxes_that_overlap_count_once() {
        let token = region([0.0, 0.0, 0.5, 0.5]);
        let near = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-9, "{value}");
        near(inside(&token, &[[0.25, 0.0, 1.0, 0.5]]), 0.5);
        near(
            inside(&token, &[[0.25, 0.0, 1.0, 0.5], [0.25, 0.25, 0.5, 1.0]]),
            0.5,
        );
        near(
            inside(&token, &[[0.0, 0.0, 0.25, 0.25], [0.25, 0.25, 0.5, 0.5]]),
            0.5,
        );
        near(inside(&token, &[[0.5, 0.5, 1.0, 1.0]]), 0.0);
        near(inside(&token, &[]), 0.0);
        let second = TokenRegion {
            picture: 1,
            ..token
        };
        near(inside(&second, &[[0.0, 0.0, 1.0, 1.0]]), 0.0);
    }

    #[test]
    fn statistics_are_those_of_a_naive_computation() {
        // One head, two queries, five keys of which 1, 2 and 4 are visual; the second query has a sink.
        let weights = Tensor::from_slice(&[0.1_f32, 0.4, 0.2, 0.1, 0.2, 0.05, 0.0, 0.1, 0.2, 0.3])
            .view([1, 1, 2, 5]);
        let overlaps = [0.5, 0.0, 1.0];
        let sums = Sums::of_block(&weights, &[1, 2, 4], &overlaps).unwrap();
        let found = sums[0].statistics(3, 0, Some(&overlaps), 3);
        let rows = [[0.4, 0.2, 0.2], [0.0, 0.1, 0.3]];
        let (mut visual, mut entropy, mut effective, mut top, mut share) =
            (0.0, 0.0, 0.0, 0.0, 0.0);
        for row in rows {
            let mass: f64 = row.iter().sum();
            let own: f64 = row
                .iter()
                .filter(|&&weight| weight > 0.0)
                .map(|weight| -weight / mass * (weight / mass).ln())
                .sum();
            visual += mass / 2.0;
            entropy += own / 2.0;
            effective += own.exp() / 2.0;
            top += row.iter().copied().fold(0.0, f64::max) / mass / 2.0;
            share += (0.5 * row[0] + row[2]) / mass / 2.0;
        }
        let near = |value: f64, expected: f64| {
            assert!((value - expected).abs() < 1e-6, "{value} {expected}");
        };
        near(found.visual_share, visual);
        near(found.entropy.unwrap(), entropy);
        near(found.effective.unwrap(), effective);
        near(found.top_share.unwrap(), top);
        let in_box = found.in_box.unwrap();
        near(in_box.share, share);
        near(in_box.uniform, 0.5);
        near(in_box.pointing, 1.0);
        near(in_box.pointing_uniform, 2.0 / 3.0);
    }

    #[test]
    fn a_query_that_gives_the_picture_nothing_is_left_out() {
        let weights = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 0.5, 0.5, 0.0]).view([1, 1, 2, 3]);
        let sums = Sums::of_block(&weights, &[1, 2], &[0.0, 0.0]).unwrap();
        let found = sums[0].statistics(0, 0, None, 2);
        assert!((found.visual_share - 0.25).abs() < 1e-9);
        assert!((found.effective.unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(found.in_box, None);
        let none = Sums::of_block(&weights, &[], &[]).unwrap()[0].statistics(0, 0, None, 0);
        assert_eq!((none.visual_share, none.entropy), (0.0, None));
    }
}
