//! Charts by plotters: the same drawing as SVG and as PNG at twice the size.
//!
//! Drawn at 900 pixels' width for a README. A variant has one colour and one mark in every chart ([`palette`]). A chart
//! says what a reader must know: untrained weights, and but for those of attention failed samples and suites in part.
//!
//! `summary`, `latency` and `training` each hold the charts of one kind of record, one file for each, and their table. The
//! other files hold the parts that charts are made of. [`heat`] draws attention over a picture.

use rave_results::Summary;

mod bands;
pub mod canvas;
mod chart;
mod figure;
mod footnotes;
mod forest;
pub mod heat;
mod labels;
mod latency;
mod legend;
pub mod palette;
mod scale;
mod summary;
mod training;

pub use chart::Chart;
pub(crate) use figure::Figure;
pub(crate) use latency::figures as latency;
pub(crate) use legend::variants;
pub(crate) use summary::figures as summary;
pub use summary::{CHARTS, charts};
pub(crate) use training::curves;
pub use training::{Curve, training};

/// Every chart of an evaluation: of its summary, and of how its variants were trained where that is known.
pub(crate) fn evaluation<'a>(summary: &'a Summary, trained: &'a [Curve]) -> Vec<Figure<'a>> {
    let drawings = self::summary(summary).into_iter();
    let figures = drawings.map(|drawing| drawing.figure);
    figures.chain(curves(trained)).collect()
}
