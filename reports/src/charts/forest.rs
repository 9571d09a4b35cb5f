//! Forest plots: a band for each suite and one for their mean, a line for each variant, on it a dot with its whisker and a
//! small dot for each training seed.

use rave_results::Summary;
use rave_results::summary::{Cell, Estimate, MacroCell, ModelNote, SuiteNote};

use super::bands::Bands;
use super::canvas::{Align, Canvas, Type};
use super::legend::{foot_height, head_height};
use super::palette::{Mark, style};
use super::scale::Scale;

/// One line.
pub(super) struct Line {
    pub(super) estimate: Option<Estimate>,
    /// What each training seed gives, where there are several.
    pub(super) seeds: Vec<f64>,
    /// The estimate in words, or why there is none.
    pub(super) text: String,
}

/// One band: its name, what is said of it, and its lines.
struct Band {
    name: (String, String),
    lines: Vec<Line>,
}

/// The lines of every suite and variant.
pub(super) struct Forest<'a> {
    pub(super) variants: Vec<&'a str>,
    bands: Vec<Band>,
}

impl<'a> Forest<'a> {
    /// A line for each suite and variant by `of_suite`, and by `of_mean` for the mean over suites where there are several.
    pub(super) fn new(
        summary: &'a Summary,
        model: &ModelNote,
        variants: Vec<&'a str>,
        of_suite: impl Fn(Option<&Cell>) -> Line,
        of_mean: impl Fn(Option<&MacroCell>) -> Line,
    ) -> Self {
        let band = |suite: &SuiteNote| {
            let cell = |variant: &&str| summary.cell(&model.name, &suite.id, variant);
            Band {
                name: (suite.id.clone(), samples(suite)),
                lines: variants.iter().map(|own| of_suite(cell(own))).collect(),
            }
        };
        let mut bands: Vec<Band> = summary.suites.iter().map(band).collect();
        if bands.len() > 1 {
            let cell = |variant: &&str| summary.macro_cell(&model.name, variant);
            bands.push(Band {
                name: ("average".into(), "mean over suites".into()),
                lines: variants.iter().map(|own| of_mean(cell(own))).collect(),
            });
        }
        Self { variants, bands }
    }

    /// Nominal height of the chart.
    pub(super) fn height(&self, summary: &Summary, model: &ModelNote) -> u32 {
        let bands = Bands::height(self.bands.len(), self.variants.len());
        let height = head_height(model, &self.variants) + bands + foot_height(summary, model);
        height.ceil() as u32
    }

    /// Whether a line has several seeds.
    pub(super) fn has_seeds(&self) -> bool {
        let mut lines = self.bands.iter().flat_map(|band| &band.lines);
        lines.any(|line| line.seeds.len() > 1)
    }

    /// Where bands and lines lie, and the axis in percent: over every whisker and seed, and over `least` at least; `room` is
    /// for what stands at its right.
    pub(super) fn frame(&self, model: &ModelNote, least: (f64, f64), room: f64) -> (Bands, Scale) {
        let names = self.bands.iter().map(|band| band.name.clone()).collect();
        let top = head_height(model, &self.variants);
        let frame = Bands::new(names, self.variants.len(), top);
        let lines = self.bands.iter().flat_map(|band| &band.lines);
        let values = lines.flat_map(|line| {
            let whisker = line
                .estimate
                .map(|own| [own.interval.low, own.value, own.interval.high]);
            let seeds = line.seeds.iter().copied();
            seeds.chain(whisker.into_iter().flatten())
        });
        let (low, high) = values.fold(least, |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (left, right) = frame.across(room);
        (frame, Scale::new(low * 100.0, high * 100.0, 6, left, right))
    }

    /// Gives `draw` each line with its variant and its middle, from the top.
    pub(super) fn each(&self, frame: &Bands, mut draw: impl FnMut(&Line, &str, f64)) {
        for (index, band) in self.bands.iter().enumerate() {
            for (row, (line, variant)) in band.lines.iter().zip(&self.variants).enumerate() {
                draw(line, variant, frame.at(index, row));
            }
        }
    }
}

impl Line {
    /// Draws seeds, whisker and dot of a line at `y`, `height` high.
    pub(super) fn draw(
        &self,
        canvas: &mut Canvas,
        variant: &str,
        scale: &Scale,
        (y, height): (f64, f64),
    ) {
        let (colour, mark) = style(variant);
        for seed in &self.seeds {
            let at = (scale.position(seed * 100.0), y + height * 0.3);
            canvas.mark(Mark::Circle, at, 2.0, colour);
        }
        if let Some(Estimate { value, interval }) = self.estimate {
            let [low, value, high] =
                [interval.low, value, interval.high].map(|end| scale.position(end * 100.0));
            canvas.whisker((low, high), y, height * 0.22, colour);
            canvas.mark(mark, (value, y), (height * 0.28).min(5.0), colour);
        }
    }

    /// Writes the text at the right of the whisker, where a line is high enough for it.
    pub(super) fn write_value(&self, canvas: &mut Canvas, scale: &Scale, (y, height): (f64, f64)) {
        if let Some(Estimate { value, interval }) = self.estimate.filter(|_| height >= 14.0) {
            let [value, high] = [value, interval.high].map(|end| scale.position(end * 100.0));
            let at = (high.max(value) + 9.0, y);
            canvas.text(&self.text, at, Type::VALUE, Align::Left);
        }
    }
}

/// How many samples were taken.
fn samples(suite: &SuiteNote) -> String {
    if suite.is_subset() {
        format!("{} of {} samples", suite.rows_used, suite.rows_total)
    } else {
        format!("{} samples", suite.rows_used)
    }
}
