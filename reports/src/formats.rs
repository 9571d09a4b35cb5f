//! The formats of reports: the table of all of them.

use crate::Format;

mod csv;
mod html;
mod json;
mod md;
mod png;
mod svg;
mod tex;
mod txt;

/// Every format, in the order of help texts.
pub static FORMATS: &[Format] = &[
    txt::FORMAT,
    md::FORMAT,
    csv::FORMAT,
    tex::FORMAT,
    json::FORMAT,
    svg::FORMAT,
    png::FORMAT,
    html::FORMAT,
];
