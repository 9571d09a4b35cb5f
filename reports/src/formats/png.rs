//! The charts as pixels, at twice their nominal size.

use crate::charts::{Figure, evaluation, latency};
use crate::{Files, Format};

/// A file for each chart; the paper's table has none.
pub(super) const FORMAT: Format = Format {
    id: "png",
    about: "charts as pixels",
    evaluation: Some(|own| files(&evaluation(own.summary, own.curves))),
    comparison: Some(|own| files(&evaluation(own, &[]))),
    latency: Some(|own| files(&latency(own))),
    paper: None,
};

fn files(figures: &[Figure]) -> Files {
    figures.iter().map(Figure::png_file).collect()
}
