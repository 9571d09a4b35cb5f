//! Resizing 8-bit RGB pictures exactly as Pillow 13 does (`Resample.c`): two passes, each with 22-bit fixed-point weights and
//! rounding to 8 bits in between.
//!
//! The horizontal pass comes first, unless the picture loses more than twice as many rows as columns: this order is new in
//! Pillow 13 (pull request 9549), and with an older one such pictures come out otherwise, by up to 8 levels of 255 on noise that
//! is clipped between the passes.
//!
//! Ours rather than a crate's because parity with `transformers` needs the same 8-bit values: the crates that come close
//! use other fixed-point widths, and one grey level is 1/255 in the model's input.

use image::RgbImage;
use rayon::prelude::*;

/// A resampling filter, by Pillow's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Pillow's number 1: windowed sinc over 3 lobes.
    Lanczos,
    /// Pillow's number 2: triangle.
    Bilinear,
    /// Pillow's number 3: Keys' cubic with a = -0.5.
    Bicubic,
}

impl Filter {
    /// The filter that an image processor's `resample` number stands for; `None` for one that no supported family uses.
    pub fn from_pillow(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Lanczos),
            2 => Some(Self::Bilinear),
            3 => Some(Self::Bicubic),
            _ => None,
        }
    }

    fn support(self) -> f64 {
        match self {
            Self::Lanczos => 3.0,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| {
            if x == 0.0 {
                1.0
            } else {
                (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI)
            }
        };
        let distance = x.abs();
        match self {
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Bilinear if distance < 1.0 => 1.0 - distance,
            Self::Bicubic if distance < 1.0 => (1.5 * distance - 2.5) * distance * distance + 1.0,
            Self::Bicubic if distance < 2.0 => {
                ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
            }
            _ => 0.0,
        }
    }
}

const PRECISION_BITS: u32 = 32 - 8 - 2;
const CHANNELS: usize = 3;

/// What one output position reads: the first input position and the fixed-point weights from there on.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

/// The taps of every output position along one axis.
fn taps(input: usize, output: usize, filter: Filter) -> Vec<Tap> {
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    (0..output)
        .map(|position| {
            let center = (position as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            let weights: Vec<f64> = (first..end)
                .map(|x| filter.weight((x as f64 - center + 0.5) * (1.0 / stretch)))
                .collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| {
                let share = if sum == 0.0 { *weight } else { weight / sum };
                let scaled = share * f64::from(1_u32 << PRECISION_BITS);
                (if share < 0.0 {
                    scaled - 0.5
                } else {
                    scaled + 0.5
                }) as i32
            };
            Tap {
                first,
                weights: weights.iter().map(fixed).collect(),
            }
        })
        .collect()
}

/// The weighted sum of 8-bit values, rounded and clipped to 8 bits.
fn weighted_sum(weights: &[i32], values: impl Iterator<Item = u8>) -> u8 {
    let half = 1_i64 << (PRECISION_BITS - 1);
    let sum: i64 = weights
        .iter()
        .zip(values)
        .map(|(&weight, value)| i64::from(weight) * i64::from(value))
        .sum();
    ((half + sum) >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Resizes a picture to `width` x `height` pixels; both at least 1.
pub fn resize(picture: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let lost = |before: u32, after: u32| i64::from(before) - i64::from(after);
    let (rows, columns) = (lost(picture.height(), height), lost(picture.width(), width));
    match (columns, rows) {
        (0, 0) => picture.clone(),
        (0, _) => resize_columns(picture, height, filter),
        (_, 0) => resize_rows(picture, width, filter),
        _ if rows > 0 && rows > 2 * columns => {
            resize_rows(&resize_columns(picture, height, filter), width, filter)
        }
        _ => resize_columns(&resize_rows(picture, width, filter), height, filter),
    }
}

fn resize_rows(picture: &RgbImage, width: u32, filter: Filter) -> RgbImage {
    let taps = taps(picture.width() as usize, width as usize, filter);
    let mut output = RgbImage::new(width, picture.height());
    let (input_stride, output_stride) = (
        picture.width() as usize * CHANNELS,
        width as usize * CHANNELS,
    );
    let rows = output
        .par_chunks_exact_mut(output_stride)
        .zip(picture.par_chunks_exact(input_stride));
    rows.for_each(|(output, input)| {
        for (tap, pixel) in taps.iter().zip(output.chunks_exact_mut(CHANNELS)) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                *value = weighted_sum(
                    &tap.weights,
                    input[tap.first * CHANNELS + channel..]
                        .iter()
                        .step_by(CHANNELS)
                        .copied(),
                );
            }
        }
    });
    output
}

fn resize_columns(picture: &RgbImage, height: u32, filter: Filter) -> RgbImage {
    let taps = taps(picture.height() as usize, height as usize, filter);
    let stride = picture.width() as usize * CHANNELS;
    let mut output = RgbImage::new(picture.width(), height);
    let input = picture.as_raw();
    output
        .par_chunks_exact_mut(stride)
        .zip(&taps)
        .for_each(|(row, tap)| {
            for (x, value) in row.iter_mut().enumerate() {
                *value = weighted_sum(
                    &tap.weights,
                    input[tap.first * stride + x..]
                        .iter()
                        .step_by(stride)
                        .copied(),
                );
            }
        });
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes stand on both sides of the rule, and on it; what Pillow 13.0.0 gives for them was compared.
    #[test]
    fn the_pass_that_loses_most_rows_comes_first() {
        let picture = RgbImage::from_fn(20, 40, |x, y| {
            let noise = (x * 7919 + y * 104_729) % 251;
            image::Rgb([noise as u8, (noise * 3 % 256) as u8, (255 - noise) as u8])
        });
        let by = |first: [u32; 2], then: [u32; 2]| {
            let half = resize(&picture, first[0], first[1], Filter::Lanczos);
            resize(&half, then[0], then[1], Filter::Lanczos)
        };
        for (width, height, vertical_first) in [
            (30, 60, false),
            (10, 50, false),
            (30, 30, true),
            (15, 30, false),
            (15, 29, true),
        ] {
            let whole = resize(&picture, width, height, Filter::Lanczos);
            let (vertical, horizontal) = (
                by([20, height], [width, height]),
                by([width, 40], [width, height]),
            );
            assert_ne!(vertical, horizontal, "{width} x {height} tells nothing");
            let expected = if vertical_first { vertical } else { horizontal };
            assert_eq!(whole, expected, "{width} x {height}");
        }
    }

    #[test]
    fn a_flat_picture_stays_flat_under_every_filter_and_size() {
        let picture = RgbImage::from_pixel(7, 5, image::Rgb([12, 200, 255]));
        for filter in [Filter::Lanczos, Filter::Bilinear, Filter::Bicubic] {
            for (width, height) in [(1, 1), (3, 11), (64, 64), (7, 2)] {
                let resized = resize(&picture, width, height, filter);
                assert!(
                    resized.pixels().all(|pixel| pixel.0 == [12, 200, 255]),
                    "{filter:?} {width} x {height}"
                );
            }
        }
    }
}
