//! The first picture of a GIF on its canvas, as Pillow's `GifImagePlugin` (version 13) puts it there: what the picture does
//! not cover is the transparent entry of the palette, or else entry 0, in the colours of the picture's own palette; the
//! background colour is not used. A canvas smaller than the picture grows. A palette that is a grey ramp is as good as none.
//!
//! Deviation: a file without any palette, which Pillow reads as grey, is refused.

use std::io::Cursor;

use gif::{ColorOutput, DecodeOptions, MemoryLimit};
use image::RgbImage;
use rave_hints::Refusal;

use super::{check_size, damaged};

/// Decodes the first picture; the reason why not, otherwise.
pub(super) fn decode(bytes: &[u8], max_pixels: u64) -> Result<RgbImage, Refusal> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    // The size is checked here.
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(damaged)?;
    let screen = (u32::from(decoder.width()), u32::from(decoder.height()));
    let Some(frame) = decoder.next_frame_info().map_err(damaged)? else {
        return Err(damaged("it holds no picture"));
    };
    let (left, top) = (u32::from(frame.left), u32::from(frame.top));
    let (columns, rows) = (usize::from(frame.width), usize::from(frame.height));
    let transparent = frame.transparent;
    let fill = transparent.unwrap_or(0);
    let width = screen.0.max(left + u32::from(frame.width));
    let height = screen.1.max(top + u32::from(frame.height));
    check_size(width, height, max_pixels)?;
    let own = frame.palette.clone();
    let mut palette = colours(own.as_deref(), decoder.global_palette());
    // Every pixel of the transparent colour, whatever its entry, becomes white.
    if let Some(transparent) = transparent {
        let transparent = palette[usize::from(transparent)];
        let entries = palette.iter_mut();
        for entry in entries.filter(|entry| **entry == transparent) {
            *entry = [255; 3];
        }
    }
    let mut indices = vec![0; columns * rows];
    decoder.read_into_buffer(&mut indices).map_err(damaged)?;
    let mut canvas = RgbImage::from_pixel(width, height, image::Rgb(palette[usize::from(fill)]));
    for (number, index) in indices.into_iter().enumerate() {
        let (x, y) = ((number % columns) as u32, (number / columns) as u32);
        canvas.put_pixel(left + x, top + y, image::Rgb(palette[usize::from(index)]));
    }
    Ok(canvas)
}

/// All 256 colours: of the picture's own palette, or else of the file's; those that it lacks are black. A palette that is a
/// grey ramp is passed over, and where both are, the indices are greys.
fn colours(own: Option<&[u8]>, global: Option<&[u8]>) -> [[u8; 3]; 256] {
    let greys = std::array::from_fn(|index| [index as u8; 3]);
    let is_ramp = |palette: &[u8]| palette.chunks(3).eq(greys.iter().take(palette.len() / 3));
    let mut palettes = [own, global].into_iter().flatten();
    let Some(palette) = palettes.find(|palette| !is_ramp(palette)) else {
        return greys;
    };
    let mut colours = [[0; 3]; 256];
    for (colour, entry) in colours.iter_mut().zip(palette.chunks_exact(3)) {
        colour.copy_from_slice(entry);
    }
    colours
}
