//! The picture being drawn, with the box of every character laid on it.
//!
//! All drawing is anti-aliased by fixed supersampling and blended in integers, so that the same item is the same bytes
//! every time. Text that would leave the canvas is an error, never clipped.

use image::{Rgb, RgbImage};

use super::boxes::{centre, grown, inside, shifted, union};
use super::text::{Lettering, Style, set};
use super::warp::Homography;
use super::{CANVAS, GlyphBox, RenderError};
use crate::item::PixelBox;

/// A colour.
pub(super) type Colour = Rgb<u8>;

/// Samples along each side of a pixel when a warped letter is drawn.
const SAMPLES: u32 = 2;
/// Rows at which a shape is sampled within a row of pixels; along a row its cover is exact.
const ROW_SAMPLES: u32 = 4;

/// Which part of a line of text stands at the column it is given.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    /// Its left edge.
    Left,
    /// Its middle.
    Centre,
    /// Its right edge.
    Right,
}

/// A picture of [`CANVAS`] by [`CANVAS`] pixels and the characters on it.
pub(super) struct Canvas {
    /// The pixels.
    pub(super) picture: RgbImage,
    /// Every character drawn so far.
    pub(super) glyphs: Vec<GlyphBox>,
}

impl Canvas {
    /// A canvas of one colour.
    pub(super) fn new(background: Colour) -> Self {
        Self {
            picture: RgbImage::from_pixel(CANVAS, CANVAS, background),
            glyphs: Vec::new(),
        }
    }

    /// Mixes `colour` into a pixel; `weight` in 0..=255.
    pub(super) fn blend(&mut self, x: u32, y: u32, colour: Colour, weight: u32) {
        let pixel = self.picture.get_pixel_mut(x, y);
        for (channel, target) in pixel.0.iter_mut().zip(colour.0) {
            let mixed = u32::from(*channel) * (255 - weight) + u32::from(target) * weight;
            *channel = ((mixed + 127) / 255) as u8;
        }
    }

    /// Lays text upright with its ink's left edge at `left` and its baseline at row `baseline`; returns the ink's box.
    ///
    /// # Errors
    /// [`RenderError::OutsideCanvas`] when any ink would be lost.
    pub(super) fn write(
        &mut self,
        lettering: &Lettering,
        left: i32,
        baseline: i32,
        colour: Colour,
    ) -> Result<PixelBox, RenderError> {
        let top = baseline - lettering.baseline;
        let ink = shifted(lettering.frame(), left as f32, top as f32);
        inside(ink)?;
        for y in 0..lettering.height {
            for x in 0..lettering.width {
                let weight = lettering.at(x as i32, y as i32);
                if weight > 0 {
                    self.blend(left as u32 + x, top as u32 + y, colour, u32::from(weight));
                }
            }
        }
        self.glyphs
            .extend(lettering.glyphs.iter().map(|glyph| GlyphBox {
                bounds: shifted(glyph.bounds, left as f32, top as f32),
                ..*glyph
            }));
        Ok(ink)
    }

    /// Sets and lays one line of text against the column `x`.
    ///
    /// # Errors
    /// As [`Canvas::write`] and [`set`].
    pub(super) fn line(
        &mut self,
        text: &str,
        style: Style,
        (anchor, x, baseline): (Anchor, i32, i32),
        colour: Colour,
    ) -> Result<PixelBox, RenderError> {
        let lettering = set(text, style)?;
        let left = match anchor {
            Anchor::Left => x,
            Anchor::Centre => x - lettering.width as i32 / 2,
            Anchor::Right => x - lettering.width as i32,
        };
        self.write(&lettering, left, baseline, colour)
    }

    /// Lays text through a homography of the mask's pixels; returns the upright box around its characters.
    ///
    /// # Errors
    /// [`RenderError::OutsideCanvas`] when any ink would be lost.
    pub(super) fn write_warped(
        &mut self,
        lettering: &Lettering,
        there: &Homography,
        colour: Colour,
    ) -> Result<PixelBox, RenderError> {
        let outer = there.bounds(lettering.frame());
        inside(outer)?;
        let back = there.inverse();
        for y in outer.top as u32..(outer.bottom.ceil() as u32).min(CANVAS) {
            for x in outer.left as u32..(outer.right.ceil() as u32).min(CANVAS) {
                let mut sum = 0;
                for sample in 0..SAMPLES * SAMPLES {
                    let (u, v) = sub_pixel(x, y, sample);
                    sum += bilinear(lettering, back.apply((f64::from(u), f64::from(v))));
                }
                let weight = sum / (SAMPLES * SAMPLES);
                if weight > 0 {
                    self.blend(x, y, colour, weight);
                }
            }
        }
        let mut ink: Option<PixelBox> = None;
        for glyph in &lettering.glyphs {
            let bounds = there.bounds(glyph.bounds);
            ink = Some(ink.map_or(bounds, |ink| union(ink, bounds)));
            self.glyphs.push(GlyphBox { bounds, ..*glyph });
        }
        Ok(ink.unwrap_or(outer))
    }

    /// Fills a convex shape at an opacity of `weight` in 0..=255; what lies outside the canvas is cut off.
    ///
    /// `span` gives the columns between which the shape lies at a height, if it reaches that height; the pair bounds the
    /// heights at which it is asked.
    pub(super) fn fill(
        &mut self,
        (top, bottom): (f32, f32),
        colour: Colour,
        weight: u32,
        span: impl Fn(f32) -> Option<(f32, f32)>,
    ) {
        let side = CANVAS as f32;
        let mut cover = [0.0_f32; CANVAS as usize];
        for y in top.clamp(0.0, side) as u32..bottom.ceil().clamp(0.0, side) as u32 {
            let (mut first, mut last) = (CANVAS, 0);
            for sample in 0..ROW_SAMPLES {
                let height = y as f32 + (sample as f32 + 0.5) / ROW_SAMPLES as f32;
                let Some((left, right)) = span(height) else {
                    continue;
                };
                let (left, right) = (left.clamp(0.0, side), right.clamp(0.0, side));
                let columns = left as u32..right.ceil() as u32;
                (first, last) = (first.min(columns.start), last.max(columns.end));
                for x in columns {
                    let share = right.min((x + 1) as f32) - left.max(x as f32);
                    cover[x as usize] += share.max(0.0) / ROW_SAMPLES as f32;
                }
            }
            for x in first..last {
                let share = std::mem::take(&mut cover[x as usize]);
                self.blend(x, y, colour, (share * weight as f32).round() as u32);
            }
        }
    }

    /// Fills a box.
    pub(super) fn fill_box(&mut self, bounds: PixelBox, colour: Colour, weight: u32) {
        self.fill((bounds.top, bounds.bottom), colour, weight, |height| {
            (bounds.top <= height && height < bounds.bottom).then_some((bounds.left, bounds.right))
        });
    }

    /// Draws the outline of a box, `thickness` pixels wide, inside its edges.
    pub(super) fn outline_box(&mut self, bounds: PixelBox, thickness: f32, colour: Colour) {
        let hole = grown(bounds, -thickness);
        let sides = [
            (bounds.left, bounds.top, bounds.right, hole.top),
            (bounds.left, hole.bottom, bounds.right, bounds.bottom),
            (bounds.left, hole.top, hole.left, hole.bottom),
            (hole.right, hole.top, bounds.right, hole.bottom),
        ];
        for (left, top, right, bottom) in sides {
            let side = PixelBox {
                left,
                top,
                right,
                bottom,
            };
            self.fill_box(side, colour, 255);
        }
    }

    /// Fills an upright ellipse.
    pub(super) fn fill_ellipse(&mut self, bounds: PixelBox, colour: Colour, weight: u32) {
        let (x, y) = centre(bounds);
        let (across, down) = (bounds.width() / 2.0, bounds.height() / 2.0);
        self.fill((bounds.top, bounds.bottom), colour, weight, |height| {
            let share = (height - y) / down;
            let half = across * (1.0 - share * share).max(0.0).sqrt();
            (share.abs() < 1.0).then_some((x - half, x + half))
        });
    }

    /// Fills a convex polygon given in either direction.
    pub(super) fn fill_polygon(&mut self, corners: &[(f32, f32)], colour: Colour, weight: u32) {
        let top = corners
            .iter()
            .fold(f32::INFINITY, |top, (_, y)| top.min(*y));
        let bottom = corners
            .iter()
            .fold(f32::NEG_INFINITY, |bottom, (_, y)| bottom.max(*y));
        self.fill((top, bottom), colour, weight, |height| {
            let mut columns: Option<(f32, f32)> = None;
            for (index, (x0, y0)) in corners.iter().enumerate() {
                let (x1, y1) = corners[(index + 1) % corners.len()];
                if (*y0 <= height) != (y1 <= height) {
                    let x = x0 + (height - y0) / (y1 - y0) * (x1 - x0);
                    columns =
                        Some(columns.map_or((x, x), |(left, right)| (left.min(x), right.max(x))));
                }
            }
            columns
        });
    }

    /// Mixes each pixel with the 3 x 3 binomial average around it; `strength` in 0..=255.
    pub(super) fn blur(&mut self, strength: u32) {
        let row = CANVAS as usize * 3;
        let last = CANVAS as usize - 1;
        let source = self.picture.as_raw();
        // Sums of 1, 2, 1 along the rows; those along the columns follow.
        let mut across = vec![0_u32; source.len()];
        for (sums, line) in across.chunks_exact_mut(row).zip(source.chunks_exact(row)) {
            for (index, sum) in sums.iter_mut().enumerate() {
                let before = line[if index < 3 { index } else { index - 3 }];
                let after = line[if index + 3 < row { index + 3 } else { index }];
                *sum = u32::from(before) + 2 * u32::from(line[index]) + u32::from(after);
            }
        }
        let line = |y: usize| &across[y * row..(y + 1) * row];
        let channels: &mut [u8] = &mut self.picture;
        for (y, target) in channels.chunks_exact_mut(row).enumerate() {
            let (above, here, below) =
                (line(y.saturating_sub(1)), line(y), line((y + 1).min(last)));
            for (index, channel) in target.iter_mut().enumerate() {
                let sum = above[index] + 2 * here[index] + below[index];
                let mixed = u32::from(*channel) * (255 - strength) * 16 + sum * strength;
                *channel = ((mixed + 2040) / 4080) as u8;
            }
        }
    }
}

/// Position of one of the samples of a pixel.
fn sub_pixel(x: u32, y: u32, sample: u32) -> (f32, f32) {
    let step = 1.0 / SAMPLES as f32;
    (
        x as f32 + ((sample % SAMPLES) as f32 + 0.5) * step,
        y as f32 + ((sample / SAMPLES) as f32 + 0.5) * step,
    )
}

/// Coverage between the mask's pixel centres.
fn bilinear(lettering: &Lettering, (u, v): (f64, f64)) -> u32 {
    let (x, y) = (u - 0.5, v - 0.5);
    let (column, row) = (x.floor(), y.floor());
    let (right, down) = (x - column, y - row);
    let at = |dx, dy| f64::from(lettering.at(column as i32 + dx, row as i32 + dy));
    let upper = at(0, 0) * (1.0 - right) + at(1, 0) * right;
    let lower = at(0, 1) * (1.0 - right) + at(1, 1) * right;
    (upper * (1.0 - down) + lower * down).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fonts::Script;
    use crate::render::text::{Style, set};

    const BLACK: Colour = Rgb([0, 0, 0]);
    const WHITE: Colour = Rgb([255, 255, 255]);

    fn word() -> Lettering {
        let style = Style {
            font: 0,
            script: Script::Latin,
            capital: 11.0,
        };
        set("kavo", style).unwrap()
    }

    #[test]
    fn text_beyond_an_edge_is_refused_and_leaves_the_canvas_untouched() {
        for (left, baseline) in [(-1, 40), (120, 40), (20, 3), (20, 130)] {
            let mut canvas = Canvas::new(WHITE);
            let refused = canvas.write(&word(), left, baseline, BLACK);
            assert!(matches!(refused, Err(RenderError::OutsideCanvas(_))));
            assert!(canvas.picture.pixels().all(|pixel| *pixel == WHITE));
        }
    }

    #[test]
    fn an_upright_homography_draws_what_plain_writing_draws() {
        let lettering = word();
        let (width, height) = (f64::from(lettering.width), f64::from(lettering.height));
        let mut plain = Canvas::new(WHITE);
        let ink = plain.write(&lettering, 30, 60, BLACK).unwrap();
        let (left, top) = (f64::from(ink.left), f64::from(ink.top));
        let quad = [
            (left, top),
            (left + width, top),
            (left + width, top + height),
            (left, top + height),
        ];
        let mut warped = Canvas::new(WHITE);
        let warped_ink = warped
            .write_warped(&lettering, &Homography::onto(width, height, quad), BLACK)
            .unwrap();
        assert!(
            (warped_ink.left - ink.left).abs() < 1e-3
                && (warped_ink.bottom - ink.bottom).abs() < 1e-3
        );
        // Resampling softens the letters, so the mean ink is compared and not each pixel.
        let sum = |canvas: &Canvas| {
            canvas
                .picture
                .pixels()
                .map(|pixel| 255 - u64::from(pixel.0[0]))
                .sum::<u64>() as f64
        };
        let ratio = sum(&warped) / sum(&plain);
        assert!((0.9..1.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn shapes_cover_their_area() {
        let mut canvas = Canvas::new(WHITE);
        canvas.fill_polygon(&[(10.0, 10.0), (30.0, 10.0), (10.0, 30.0)], BLACK, 255);
        let area = canvas
            .picture
            .pixels()
            .map(|pixel| 255.0 - f64::from(pixel.0[0]))
            .sum::<f64>()
            / 255.0;
        assert!((area - 200.0).abs() < 1.0, "{area}");
    }
}
