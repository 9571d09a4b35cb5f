//! A drawing as a file: the same as SVG and as PNG at twice the size.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};
use plotters::prelude::{BitMapBackend, SVGBackend};

use super::canvas::{Canvas, PIXELS, Smooth, register_fonts};
use crate::{Artifact, Error};

/// How a figure is drawn.
pub(super) type Draw<'a> = Box<dyn Fn(&mut Canvas) + 'a>;

/// A chart that is ready to be drawn.
pub(crate) struct Figure<'a> {
    /// The stem of its file's name.
    pub(crate) stem: String,
    /// Its heading.
    pub(crate) title: String,
    /// Its content in words, for a screen reader.
    pub(super) words: String,
    /// Nominal width and height.
    pub(super) size: (u32, u32),
    pub(super) draw: Draw<'a>,
}

impl Figure<'_> {
    /// As an SVG document with a title and a description in words.
    ///
    /// # Errors
    /// A chart that cannot be drawn.
    pub(crate) fn svg(&self) -> Result<String, Error> {
        let failed = |reason| failed(&self.stem, reason);
        let (width, height) = self.size;
        register_fonts().map_err(failed)?;
        let drawn = (width * PIXELS, height * PIXELS);
        let mut text = String::new();
        let mut canvas = Canvas::new(SVGBackend::with_string(&mut text, drawn));
        (self.draw)(&mut canvas);
        canvas.finish().map_err(failed)?;
        // Drawn at twice the size, so that half pixels have a position; shown at the nominal size.
        let drawn = format!("width=\"{}\" height=\"{}\"", drawn.0, drawn.1);
        let shown = format!("width=\"{width}\" height=\"{height}\" role=\"img\"");
        let mut text = text.replacen(&drawn, &shown, 1);
        if let Some(end) = text.find('>').map(|end| end + 1) {
            let words = format!(
                "\n<title>{}</title>\n<desc>{}</desc>",
                escape(&self.title),
                escape(&self.words)
            );
            text.insert_str(end, &words);
        }
        Ok(text)
    }

    /// As a PNG file, at twice the nominal size.
    ///
    /// # Errors
    /// A chart that cannot be drawn or encoded.
    pub(crate) fn png(&self) -> Result<Vec<u8>, Error> {
        let picture = raster(&self.stem, self.size, &self.draw)?;
        encoded(&self.stem, &picture, FilterType::NoFilter)
    }

    /// The file `{stem}.svg`.
    ///
    /// # Errors
    /// As [`Figure::svg`].
    pub(crate) fn svg_file(&self) -> Result<Artifact, Error> {
        Ok(Artifact::text(&format!("{}.svg", self.stem), self.svg()?))
    }

    /// The file `{stem}.png`.
    ///
    /// # Errors
    /// As [`Figure::png`].
    pub(crate) fn png_file(&self) -> Result<Artifact, Error> {
        Ok(Artifact {
            name: format!("{}.png", self.stem),
            bytes: self.png()?,
        })
    }
}

/// A drawing as pixels, at twice its nominal size.
pub(super) fn raster(
    name: &str,
    (width, height): (u32, u32),
    draw: impl Fn(&mut Canvas),
) -> Result<RgbImage, Error> {
    let failed = |reason| failed(name, reason);
    register_fonts().map_err(failed)?;
    let mut picture = RgbImage::new(width * PIXELS, height * PIXELS);
    let size = picture.dimensions();
    let mut canvas = Canvas::new(Smooth(BitMapBackend::with_buffer(&mut picture, size)));
    draw(&mut canvas);
    canvas.finish().map_err(failed)?;
    Ok(picture)
}

/// Pixels as a PNG file.
pub(super) fn encoded(
    name: &str,
    picture: &RgbImage,
    filter: FilterType,
) -> Result<Vec<u8>, Error> {
    let (width, height) = picture.dimensions();
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, filter)
        .write_image(picture, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| failed(name, error.to_string()))?;
    Ok(bytes)
}

fn failed(name: &str, reason: String) -> Error {
    Error::Chart {
        chart: name.to_owned(),
        reason,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
