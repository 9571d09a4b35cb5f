//! One benchmark item in the form every layout is brought to, whatever its parquet columns are called.
//!
//! A layout reads a published data set and the renderer draws the embedded suites; both end in an [`Item`], so that
//! the engine, the probes and the records never see a column name.

use crate::metrics::Metric;

/// One question about one picture, with the answers it is scored against.
#[derive(Debug, Clone)]
pub struct Item {
    /// Stable name of the sample within its suite; the same file gives the same ids on every machine.
    pub id: String,
    /// Names the picture: two items with the same picture have the same `image_id`, the cluster of the bootstrap.
    pub image_id: String,
    /// The question as published.
    pub question: String,
    /// The question followed by the suite's prompt suffix; a family whose authors ask otherwise is asked by
    /// [`Suite::prompt`](crate::Suite::prompt).
    pub prompt: String,
    /// The accepted answers, as published (not normalised: that is the metric's business).
    pub answers: Vec<String>,
    /// A part of the suite that is reported on its own: `ChartQA`'s human/augmented, `OCRBench`'s question type, `MTVQA`'s
    /// language.
    pub category: Option<String>,
    /// `OCRBench`'s `dataset` column, on which its metric depends.
    pub dataset: Option<String>,
    /// The metric of this item alone; `None` for the suite's.
    pub metric: Option<Metric>,
    /// The picture.
    pub picture: Picture,
    /// Where the answer stands in the picture, in the picture's pixels; empty where the data set does not say.
    pub answer_boxes: Vec<PixelBox>,
    /// Where things stand that look like an answer and are not; empty where the data set does not say.
    pub distractor_boxes: Vec<PixelBox>,
    /// How hard the renderer made the item, from 0 (easy) to 1; `None` for published data.
    pub difficulty: Option<f64>,
}

/// What is known of an item without its picture; fields as in [`Item`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    /// Stable name of the sample within its suite.
    pub id: String,
    /// Its number in the split, from 0, questions that are left out included: what other harnesses call `doc_id`.
    pub number: usize,
    /// Names the picture, where a column does; otherwise its bytes would.
    pub image_id: Option<String>,
    /// The question as published; empty for an item that is not drawn yet.
    pub question: String,
    /// The question followed by the suite's prompt suffix; empty for an item that is not drawn yet.
    pub prompt: String,
    /// The accepted answers; empty for an item that is not drawn yet.
    pub answers: Vec<String>,
    /// A part of the suite that is reported on its own.
    pub category: Option<String>,
    /// `OCRBench`'s `dataset` column.
    pub dataset: Option<String>,
    /// The metric of this item alone; `None` for the suite's.
    pub metric: Option<Metric>,
}

/// The picture of an item.
#[derive(Debug, Clone)]
pub enum Picture {
    /// An image file as published, not decoded here: decoding belongs to the model's preprocessing, which sets the
    /// limits on size and colour type.
    Encoded {
        /// The bytes of the file (PNG, JPEG, ...).
        bytes: Vec<u8>,
        /// What to call it in an error message: the published path where there is one.
        name: String,
    },
    /// A picture drawn by the renderer of the embedded suites.
    Rendered(image::RgbImage),
}

/// An axis-aligned box in pixels of the picture; `left` and `top` inclusive, `right` and `bottom` exclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelBox {
    /// Distance of the left edge from the picture's left edge.
    pub left: f32,
    /// Distance of the top edge from the picture's top edge.
    pub top: f32,
    /// Distance of the right edge from the picture's left edge.
    pub right: f32,
    /// Distance of the bottom edge from the picture's top edge.
    pub bottom: f32,
}

impl PixelBox {
    /// Width in pixels; zero for a box that is empty or turned inside out.
    pub fn width(&self) -> f32 {
        (self.right - self.left).max(0.0)
    }

    /// Height in pixels; zero for a box that is empty or turned inside out.
    pub fn height(&self) -> f32 {
        (self.bottom - self.top).max(0.0)
    }
}
