//! The frame of horizontal charts: a band for each suite, in it a line for each variant, one axis under all of them.
//!
//! Horizontal, so that names of any length can be read.

use super::canvas::{Align, BAND, Canvas, GRID, INK, MARGIN, Type, WIDTH};
use super::scale::Scale;

/// Under the bands: ticks and the axis's name.
const AXIS: f64 = 46.0;
const PADDING: f64 = 8.0;
/// Room for a value at the right of the axis's end.
const VALUE: f64 = 44.0;

/// Where bands and lines lie.
pub(super) struct Bands {
    /// Name and detail of each.
    names: Vec<(String, String)>,
    lines: usize,
    top: f64,
    /// Room for the names.
    widest: f64,
}

impl Bands {
    /// Bands of `lines` lines each, from `top` downwards.
    pub(super) fn new(names: Vec<(String, String)>, lines: usize, top: f64) -> Self {
        let widest = names
            .iter()
            .map(|(name, detail)| Type::STRONG.width(name).max(Type::SMALL.width(detail)))
            .fold(70.0, f64::max)
            .min(230.0);
        Self {
            names,
            lines,
            top,
            widest,
        }
    }

    /// Nominal height with the axis, from `top` on.
    pub(super) fn height(bands: usize, lines: usize) -> f64 {
        bands as f64 * band_height(lines) + AXIS
    }

    /// Left and right end of the axis, with `room` more for what stands at the right.
    pub(super) fn across(&self, room: f64) -> (f64, f64) {
        let right = f64::from(WIDTH) - MARGIN - VALUE - room;
        (MARGIN + self.widest + 16.0, right)
    }

    fn bottom(&self) -> f64 {
        self.top + self.names.len() as f64 * band_height(self.lines)
    }

    /// Height of a line.
    pub(super) fn line_height(&self) -> f64 {
        line_height(self.lines)
    }

    /// Upper and lower end of a band.
    pub(super) fn ends(&self, band: usize) -> (f64, f64) {
        let height = band_height(self.lines);
        let begin = self.top + band as f64 * height;
        (begin, begin + height)
    }

    /// The middle of a line.
    pub(super) fn at(&self, band: usize, line: usize) -> f64 {
        let (begin, end) = self.ends(band);
        let middle = f64::midpoint(begin, end);
        middle + (line as f64 - (self.lines as f64 - 1.0) / 2.0) * self.line_height()
    }

    /// Draws bands, grid, axis and names.
    pub(super) fn draw(&self, canvas: &mut Canvas, scale: &Scale, axis: &str) {
        let band = band_height(self.lines);
        let bottom = self.bottom();
        for index in (0..self.names.len()).step_by(2) {
            let y = self.top + index as f64 * band;
            canvas.rectangle((MARGIN, y), (f64::from(WIDTH) - MARGIN, y + band), BAND);
        }
        for (value, text) in scale.ticks() {
            let x = scale.position(value);
            canvas.line((x, self.top), (x, bottom), GRID, 1.0);
            canvas.text(&text, (x, bottom + 14.0), Type::SMALL, Align::Centre);
        }
        let (left, right) = scale.ends();
        canvas.line((left, bottom), (right, bottom), INK, 1.0);
        let middle = f64::midpoint(left, right);
        canvas.text(axis, (middle, bottom + 33.0), Type::SMALL, Align::Centre);
        for (index, (name, detail)) in self.names.iter().enumerate() {
            let middle = self.top + (index as f64 + 0.5) * band;
            let apart = if detail.is_empty() { 0.0 } else { 9.0 };
            let text = Type::STRONG.fit(name, self.widest);
            canvas.text(
                &text,
                (MARGIN + 6.0, middle - apart),
                Type::STRONG,
                Align::Left,
            );
            let text = Type::SMALL.fit(detail, self.widest);
            if !detail.is_empty() {
                canvas.text(
                    &text,
                    (MARGIN + 6.0, middle + apart),
                    Type::SMALL,
                    Align::Left,
                );
            }
        }
    }

    /// A vertical line through all bands.
    pub(super) fn upright(&self, canvas: &mut Canvas, x: f64) {
        canvas.line((x, self.top), (x, self.bottom()), INK, 1.0);
    }
}

fn line_height(lines: usize) -> f64 {
    match lines {
        0..=6 => 18.0,
        7..=12 => 14.0,
        _ => 10.0,
    }
}

fn band_height(lines: usize) -> f64 {
    // Two lines of text stand at the left of each band.
    (lines as f64 * line_height(lines)).max(34.0) + 2.0 * PADDING
}
