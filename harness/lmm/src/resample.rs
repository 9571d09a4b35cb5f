//! Resizing 8-bit RGB pictures exactly as Pillow does (`Resample.c`): two passes, horizontal then vertical, each with
//! 22-bit fixed-point weights and rounding to 8 bits in between.
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
fn mix(weights: &[i32], values: impl Iterator<Item = u8>) -> u8 {
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
    let wide = if width == picture.width() {
        picture.clone()
    } else {
        resize_rows(picture, width, filter)
    };
    if height == wide.height() {
        wide
    } else {
        resize_columns(&wide, height, filter)
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
                *value = mix(
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
                *value = mix(
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
