//! What a chart of a summary is: one file under `charts/summary`, one row in [`super::CHARTS`].

use rave_results::Summary;
use rave_results::summary::ModelNote;

use super::canvas::{Canvas, WIDTH};
use super::figure::Figure;
use crate::Error;

/// A chart of one model of a summary.
pub trait Chart: Sync {
    /// Its id, which is the stem of its file's name.
    fn id(&self) -> &'static str;

    /// Its heading, without the model's name.
    fn title(&self) -> &'static str;

    /// Whether there is something to draw; a chart that always has something keeps this.
    fn has(&self, _summary: &Summary, _model: &ModelNote) -> bool {
        true
    }

    /// Its height in nominal pixels; its width is [`WIDTH`].
    fn height(&self, summary: &Summary, model: &ModelNote) -> u32;

    /// Its content in words, for a screen reader.
    fn describe(&self, summary: &Summary, model: &ModelNote) -> String;

    /// Draws it.
    fn draw(&self, canvas: &mut Canvas, summary: &Summary, model: &ModelNote);
}

impl dyn Chart + '_ {
    /// Its heading.
    pub fn heading(&self, model: &ModelNote) -> String {
        format!("{}: {}", self.title(), model.name)
    }

    /// The chart as an SVG document.
    ///
    /// # Errors
    /// A chart that cannot be drawn.
    pub fn svg(&self, summary: &Summary, model: &ModelNote) -> Result<String, Error> {
        self.figure(self.id().to_owned(), summary, model).svg()
    }

    /// The chart as a PNG file, at twice its nominal size.
    ///
    /// # Errors
    /// A chart that cannot be drawn or encoded.
    pub fn png(&self, summary: &Summary, model: &ModelNote) -> Result<Vec<u8>, Error> {
        self.figure(self.id().to_owned(), summary, model).png()
    }

    /// The chart under the file name `stem`.
    pub(super) fn figure<'a>(
        &'a self,
        stem: String,
        summary: &'a Summary,
        model: &'a ModelNote,
    ) -> Figure<'a> {
        let untrained = if model.untrained {
            "Untrained weights. "
        } else {
            ""
        };
        Figure {
            stem,
            title: self.heading(model),
            words: format!("{untrained}{}", self.describe(summary, model)),
            size: (WIDTH, self.height(summary, model)),
            draw: Box::new(|canvas| self.draw(canvas, summary, model)),
        }
    }
}
