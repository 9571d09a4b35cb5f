//! The charts of training runs: of one, and of several beside each other.

use rave_results::training::Row;

use super::figure::Figure;
use crate::{Artifact, Error};

mod curves;
mod gates;
mod losses;
mod panels;

pub use curves::Curve;
pub(crate) use curves::figure as curves;

/// What a chart makes of the rows of a training run and its title.
type Of = for<'a> fn(&'a [Row], &'a str) -> Vec<Figure<'a>>;

/// The charts of one training run, in the order of its files.
static CHARTS: &[Of] = &[losses::figures, gates::figures];

/// Every chart of a training run, as SVG and as PNG.
///
/// # Errors
/// A chart that cannot be drawn or encoded.
pub fn training(rows: &[Row], title: &str) -> Result<Vec<Artifact>, Error> {
    let mut files = Vec::new();
    for figure in CHARTS.iter().flat_map(|chart| chart(rows, title)) {
        files.extend([figure.svg_file()?, figure.png_file()?]);
    }
    Ok(files)
}
