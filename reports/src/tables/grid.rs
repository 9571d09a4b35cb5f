//! A table before it is drawn: texts in rows and columns under a heading.

/// What stands where nothing was measured.
pub(crate) const NOTHING: &str = "-";

/// A grid of text with a heading.
pub(crate) struct Grid {
    pub title: String,
    /// Under the grid.
    pub legend: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// So many columns name the row: left-aligned, and repeated when a wide grid is split.
    pub names: usize,
}
