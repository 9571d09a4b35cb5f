//! Tables as plain text, Markdown, LaTeX and CSV.
//!
//! What is drawn in several formats is a [`grid::Grid`] of texts first, so that no number is formatted in two ways. `summary`,
//! `attention`, `latency`, `equivalence` and `paper` make grids; `terminal`, `markdown` and `latex` draw them; the files in
//! `csv` write numbers in full.

pub(crate) mod attention;
pub(crate) mod csv;
mod equivalence;
mod evidence;
pub(crate) mod grid;
pub(crate) mod latency;
pub(crate) mod latency_comparison;
pub(crate) mod latex;
pub(crate) mod markdown;
pub(crate) mod numbers;
pub(crate) mod paper;
pub(crate) mod paper_csv;
pub(crate) mod provenance;
pub(crate) mod summary;
pub(crate) mod terminal;
