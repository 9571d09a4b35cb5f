//! Any resolution: which canvas a picture is fitted into, which patches of the canvas it covers, and how many tokens are left.
//!
//! Source: `transformers` 5.23 `image_processing_utils.py` (`select_best_resolution`, `get_patch_output_size`),
//! `modeling_llava_onevision.py` (`unpad_image`, `pack_image_features`) and `processing_llava_onevision.py`. Sizes are computed
//! in f64 in the order of the source, whose rounding decides between neighbouring counts.

use std::cmp::Reverse;

use crate::TokenRegion;
use crate::families::llava::frame::Frame;

/// The canvases of a checkpoint and its limit on tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AnyResolution {
    /// Height and width of the canvases, in pixels: whole tiles.
    pub canvases: Vec<[u32; 2]>,
    /// Side of a tile in pixels.
    pub tile: u32,
    /// Patches along a side of a tile.
    pub side: usize,
    /// Beyond this many tiles' worth of patches (the N of `anyres_max_N`) and a tenth more a side, patches are scaled down.
    pub max_tiles: u32,
}

/// The patches of a canvas that a picture covers, and the tokens that they become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Covered {
    /// First row and column of patches.
    pub origin: [usize; 2],
    /// Rows and columns of patches.
    pub patches: [usize; 2],
    /// Rows and columns of tokens; fewer than patches where those are scaled down.
    pub tokens: [usize; 2],
}

impl AnyResolution {
    /// Rows and columns of tiles of the canvas that keeps most pixels of a picture of `size` (height, width), and of those the
    /// first that wastes least.
    pub(super) fn grid(&self, size: [u32; 2]) -> [usize; 2] {
        let [height, width] = size.map(f64::from);
        let area = |[height, width]: [u32; 2]| u64::from(height) * u64::from(width);
        let best = self.canvases.iter().min_by_key(|&&canvas| {
            let [by_height, by_width] =
                [0, 1].map(|axis| f64::from(canvas[axis]) / f64::from(size[axis]));
            let scale = by_width.min(by_height);
            let scaled = (width * scale) as u64 * (height * scale) as u64;
            let kept = scaled.min(area(size));
            (Reverse(kept), area(canvas) - kept)
        });
        // There is a canvas: a config without one is refused.
        best.map_or([1, 1], |canvas| {
            canvas.map(|length| (length / self.tile) as usize)
        })
    }

    /// Height and width of a picture of `size` (height, width) when it is fitted into a canvas of `grid` tiles.
    pub(super) fn fitted(&self, size: [u32; 2], grid: [usize; 2]) -> [u32; 2] {
        let canvas = self.canvas(grid);
        let [by_height, by_width] =
            [0, 1].map(|axis| f64::from(canvas[axis]) / f64::from(size[axis]));
        let other = |axis: usize, scale: f64| {
            ((f64::from(size[axis]) * scale).ceil() as u32).min(canvas[axis])
        };
        if by_width < by_height {
            [other(0, by_width), canvas[1]]
        } else {
            [canvas[0], other(1, by_height)]
        }
    }

    /// Height and width of a canvas of `grid` tiles, in pixels.
    pub(super) fn canvas(&self, grid: [usize; 2]) -> [u32; 2] {
        grid.map(|tiles| tiles as u32 * self.tile)
    }

    /// What a picture of `size` (height, width) covers of a canvas of `grid` tiles.
    pub(super) fn covered(&self, size: [u32; 2], grid: [usize; 2]) -> Covered {
        let all = grid.map(|tiles| tiles * self.side);
        let [height, width] = size.map(f64::from);
        let [rows, columns] = all.map(|patches| patches as f64);
        // The axis along which the picture does not fill the canvas.
        let (axis, length) = if width / height > columns / rows {
            (0, height * (columns / width))
        } else {
            (1, width * (rows / height))
        };
        let seven_digits = (length * 1e7).round() / 1e7;
        let padding = (all[axis] - (seven_digits as usize).min(all[axis])) / 2;
        let (mut origin, mut patches) = ([0, 0], all);
        origin[axis] = padding;
        patches[axis] -= 2 * padding;
        let max_patches = self.max_tiles as usize * self.side * self.side;
        let ratio = ((patches[0] * patches[1]) as f64 / max_patches as f64).sqrt();
        let tokens = if ratio > 1.1 {
            patches.map(|count| floor_divide(count as f64, ratio) as usize)
        } else {
            patches
        };
        Covered {
            origin,
            patches,
            tokens,
        }
    }

    /// Where the tokens of a canvas lie, row by row; the one that ends a row has no area.
    pub(super) fn regions(
        &self,
        picture: usize,
        size: [u32; 2],
        grid: [usize; 2],
    ) -> Vec<TokenRegion> {
        let covered = self.covered(size, grid);
        let (canvas, fitted) = (self.canvas(grid), self.fitted(size, grid));
        let frame = Frame {
            origin: [1, 0].map(|axis| f64::from((canvas[axis] - fitted[axis]) / 2)),
            extent: [1, 0].map(|axis| f64::from(fitted[axis])),
        };
        // The strip of a tile that no whole patch covers is shared out among its patches.
        let patch = f64::from(self.tile) / self.side as f64;
        let edge = |axis: usize, token: usize| {
            let count = covered.tokens[axis].max(1);
            let along = (token * covered.patches[axis]) as f64 / count as f64;
            (covered.origin[axis] as f64 + along) * patch
        };
        let row = |row: usize| {
            let (top, bottom) = (edge(0, row), edge(0, row + 1));
            let of_row = move |column: usize| {
                let (left, right) = (edge(1, column), edge(1, column + 1));
                frame.region(picture, [left, top, right, bottom], false)
            };
            let end = edge(1, covered.tokens[1]);
            (0..covered.tokens[1]).map(of_row).chain([frame.region(
                picture,
                [end, top, end, bottom],
                false,
            )])
        };
        (0..covered.tokens[0]).flat_map(row).collect()
    }
}

/// `a // b` of Python for positive numbers: the floor of the exact quotient, which a rounded quotient may miss.
fn floor_divide(a: f64, b: f64) -> f64 {
    ((a - a % b) / b).round()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The canvases of the checkpoints on the hub.
    fn hub() -> AnyResolution {
        let sides = || (1..=6).map(|tiles| 384 * tiles);
        AnyResolution {
            canvases: sides()
                .flat_map(|height| sides().map(move |width| [height, width]))
                .collect(),
            tile: 384,
            side: 27,
            max_tiles: 9,
        }
    }

    /// What the source's functions give for a picture's height and width: tiles, size in pixels, patches and tokens. The square of
    /// 1920 is 5 x 5 tiles, 135 patches a side and scaled by 5 / 3, which f64 holds a little too large: 80 tokens, not 81.
    #[test]
    fn sizes_follow_the_source_for_pictures_of_all_kinds() {
        for (size, grid, fitted, patches, tokens) in [
            ([768, 1_024], [2, 3], [768, 1_024], [54, 73], [54, 73]),
            ([1_000, 1_000], [3, 3], [1_152, 1_152], [81, 81], [81, 81]),
            ([2_304, 2_304], [6, 6], [2_304, 2_304], [162, 162], [81, 81]),
            ([1_920, 1_920], [5, 5], [1_920, 1_920], [135, 135], [80, 80]),
            ([900, 1_203], [3, 4], [1_150, 1_536], [81, 108], [70, 93]),
            ([100, 3_000], [1, 6], [77, 2_304], [5, 162], [5, 162]),
            ([2, 3], [1, 1], [256, 384], [19, 27], [19, 27]),
            ([400, 401], [2, 2], [767, 768], [54, 54], [54, 54]),
            ([1, 3_000], [1, 1], [1, 384], [1, 27], [1, 27]),
            ([600, 37], [2, 1], [768, 48], [54, 3], [54, 3]),
        ] {
            let hub = hub();
            assert_eq!(hub.grid(size), grid, "{size:?}");
            assert_eq!(hub.fitted(size, grid), fitted, "{size:?}");
            let covered = hub.covered(size, grid);
            assert_eq!(covered.patches, patches, "{size:?}");
            assert_eq!(covered.tokens, tokens, "{size:?}");
        }
    }

    #[test]
    fn the_tokens_of_a_canvas_cover_the_picture_once_but_for_its_edge() {
        for size in [
            [768, 1_024],
            [1_920, 1_920],
            [100, 3_000],
            [600, 37],
            [1, 3_000],
        ] {
            let hub = hub();
            let grid = hub.grid(size);
            let regions = hub.regions(3, size, grid);
            let [rows, columns] = hub.covered(size, grid).tokens;
            assert_eq!(regions.len(), rows * (columns + 1));
            let area = |region: &TokenRegion| {
                let [left, top, right, bottom] = region.bounds.map(f64::from);
                (right - left) * (bottom - top)
            };
            // The source may leave out patches at the edge that the picture covers in part: less than one in all.
            let left_out = 1.0 - regions.iter().map(area).sum::<f64>();
            let shorter = f64::from(*hub.fitted(size, grid).iter().min().expect("two sides"));
            assert!(left_out > -1e-3, "{size:?}: {left_out}");
            assert!(left_out * shorter < 384.0 / 27.0, "{size:?}: {left_out}");
            for row in regions.chunks(columns + 1) {
                let [left, _, right, _] = row[columns].bounds;
                assert!(right - left <= 0.0, "what ends a row has no area");
                let pairs = row.windows(2);
                assert!(
                    pairs
                        .into_iter()
                        .all(|pair| pair[0].bounds[2] <= pair[1].bounds[0] + 1e-6)
                );
            }
            assert!(
                regions
                    .iter()
                    .all(|region| region.picture == 3 && !region.whole)
            );
        }
    }
}
