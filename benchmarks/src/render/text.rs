//! The one text routine of the renderer: shaped with rustybuzz, rasterised from `ab_glyph` outlines, with the box of every
//! character.
//!
//! A [`Lettering`] is a coverage mask plus boxes in the mask's own pixels; the canvas lays it down upright or through a
//! homography, which it applies to the mask and to the boxes alike.

use ab_glyph::{Font as _, GlyphId, PxScale, point};
use rustybuzz::UnicodeBuffer;

use super::boxes::union;
use super::fonts::{Face, Script, face};
use super::{GlyphBox, RenderError};
use crate::item::PixelBox;

/// How a piece of text is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Index into [`super::fonts::fonts`].
    pub(super) font: usize,
    /// Writing system, which decides shaping and direction.
    pub(super) script: Script,
    /// Height of a capital letter in pixels.
    pub(super) capital: f32,
}

impl Style {
    fn face(self) -> &'static Face {
        face(self.font)
    }

    /// Pixels per em.
    fn em(self) -> f32 {
        self.capital / self.face().capital
    }
}

/// A piece of text as a coverage mask, cut to its ink.
#[derive(Debug, Clone)]
pub(super) struct Lettering {
    /// Columns of the mask.
    pub(super) width: u32,
    /// Rows of the mask.
    pub(super) height: u32,
    /// Row of the baseline, counted from the mask's top.
    pub(super) baseline: i32,
    /// Coverage in 0..=255, row by row.
    pub(super) coverage: Vec<u8>,
    /// Each character that has ink, in logical order, boxed in the mask's pixels.
    pub(super) glyphs: Vec<GlyphBox>,
}

impl Lettering {
    /// Coverage at a pixel; zero outside the mask.
    pub(super) fn at(&self, x: i32, y: i32) -> u8 {
        if x < 0 || y < 0 || x >= self.width as i32 || y >= self.height as i32 {
            return 0;
        }
        self.coverage[y as usize * self.width as usize + x as usize]
    }

    /// The mask's own rectangle.
    pub(super) fn frame(&self) -> PixelBox {
        PixelBox {
            left: 0.0,
            top: 0.0,
            right: self.width as f32,
            bottom: self.height as f32,
        }
    }
}

/// Sets one line of text.
///
/// # Errors
/// [`RenderError::NoInk`] when nothing of the text is visible, [`RenderError::MissingGlyph`] when the font lacks a
/// character.
pub(super) fn set(text: &str, style: Style) -> Result<Lettering, RenderError> {
    let face = style.face();
    let scale = style.em() / face.shaper.units_per_em() as f32;
    // `ab_glyph` measures a size by the font's ascent and descent, the shaper by its em: this converts.
    let pixel_scale = PxScale::from(face.outlines.height_unscaled() * scale);

    let mut buffer = UnicodeBuffer::new();
    buffer.push_str(text);
    buffer.set_direction(style.script.direction());
    buffer.set_script(style.script.tag());
    let shaped = rustybuzz::shape_with_plan(&face.shaper, face.plan(style.script), buffer);

    let mut outlines = Vec::with_capacity(shaped.len());
    // Byte offset of a cluster in `text`, with the union of its glyphs' boxes.
    let mut clusters: Vec<(usize, PixelBox)> = Vec::with_capacity(shaped.len());
    let (mut pen_x, mut pen_y) = (0_i32, 0_i32);
    for (info, position) in shaped.glyph_infos().iter().zip(shaped.glyph_positions()) {
        let offset = info.cluster as usize;
        if info.glyph_id == 0 {
            return Err(RenderError::MissingGlyph {
                text: text.to_owned(),
                font: super::fonts::fonts()[style.font].name,
            });
        }
        let place = point(
            (pen_x + position.x_offset) as f32 * scale,
            -((pen_y + position.y_offset) as f32) * scale,
        );
        pen_x += position.x_advance;
        pen_y += position.y_advance;
        let glyph = GlyphId(info.glyph_id as u16).with_scale_and_position(pixel_scale, place);
        let Some(outline) = face.outlines.outline_glyph(glyph) else {
            continue; // A space.
        };
        let bounds = outline.px_bounds();
        let bounds = PixelBox {
            left: bounds.min.x,
            top: bounds.min.y,
            right: bounds.max.x,
            bottom: bounds.max.y,
        };
        match clusters.iter_mut().find(|(start, _)| *start == offset) {
            Some((_, whole)) => *whole = union(*whole, bounds),
            None => clusters.push((offset, bounds)),
        }
        outlines.push(outline);
    }

    let Some(ink) = clusters.iter().map(|(_, bounds)| *bounds).reduce(union) else {
        return Err(RenderError::NoInk(text.to_owned()));
    };
    let (width, height) = (ink.width() as u32, ink.height() as u32);
    let mut coverage = vec![0_u8; (width * height) as usize];
    for outline in outlines {
        let corner = outline.px_bounds().min;
        let (left, top) = ((corner.x - ink.left) as u32, (corner.y - ink.top) as u32);
        outline.draw(|x, y, share| {
            let cell = &mut coverage[((top + y) * width + left + x) as usize];
            *cell = (*cell).max((share.clamp(0.0, 1.0) * 255.0).round() as u8);
        });
    }
    Ok(Lettering {
        width,
        height,
        baseline: -ink.top as i32,
        coverage,
        glyphs: character_boxes(text, style.script, clusters, ink),
    })
}

/// Gives each character its own box: a cluster of several characters (a ligature) is cut evenly along the line.
fn character_boxes(
    text: &str,
    script: Script,
    mut clusters: Vec<(usize, PixelBox)>,
    ink: PixelBox,
) -> Vec<GlyphBox> {
    clusters.sort_by_key(|(start, _)| *start);
    let ends = clusters
        .iter()
        .skip(1)
        .map(|(start, _)| *start)
        .chain([text.len()])
        .collect::<Vec<_>>();
    let mut boxes = Vec::with_capacity(text.len());
    for ((start, whole), end) in clusters.iter().zip(ends) {
        let characters = text[*start..end]
            .chars()
            .filter(|character| !character.is_whitespace())
            .collect::<Vec<_>>();
        let share = whole.width() / characters.len().max(1) as f32;
        let word_ends = text[end..].chars().next().is_none_or(char::is_whitespace)
            || text[*start..end].ends_with(char::is_whitespace);
        for (index, character) in characters.iter().enumerate() {
            let column = match script {
                Script::Arabic => characters.len() - 1 - index,
                _ => index,
            } as f32;
            boxes.push(GlyphBox {
                character: *character,
                ends_word: word_ends && index + 1 == characters.len(),
                bounds: PixelBox {
                    left: whole.left - ink.left + column * share,
                    top: whole.top - ink.top,
                    right: whole.left - ink.left + (column + 1.0) * share,
                    bottom: whole.bottom - ink.top,
                },
            });
        }
    }
    boxes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(font: usize, script: Script) -> Style {
        Style {
            font,
            script,
            capital: 11.0,
        }
    }

    #[test]
    fn capitals_have_the_height_asked_for_and_stand_on_the_baseline() {
        for font in Script::Latin.faces() {
            let lettering = set("HEI", style(*font, Script::Latin)).unwrap();
            assert!(
                (11..=12).contains(&lettering.height),
                "{font}: {}",
                lettering.height
            );
            assert_eq!(lettering.baseline, lettering.height as i32);
        }
    }

    #[test]
    fn boxes_hold_all_ink_and_follow_reading_order() {
        let lettering = set("kavo 37", style(0, Script::Latin)).unwrap();
        let read = lettering.glyphs.iter().map(|glyph| glyph.character);
        assert_eq!(read.collect::<String>(), "kavo37");
        assert!(
            lettering
                .glyphs
                .windows(2)
                .all(|pair| pair[0].bounds.left < pair[1].bounds.left)
        );
        for y in 0..lettering.height as i32 {
            for x in 0..lettering.width as i32 {
                let (column, row) = (x as f32 + 0.5, y as f32 + 0.5);
                let boxed = lettering.glyphs.iter().any(|glyph| {
                    let bounds = glyph.bounds;
                    bounds.left < column
                        && column < bounds.right
                        && bounds.top < row
                        && row < bounds.bottom
                });
                assert!(
                    boxed || lettering.at(x, y) == 0,
                    "ink outside every box at {x}, {y}"
                );
            }
        }
    }

    #[test]
    fn arabic_joins_and_runs_from_right_to_left() {
        for font in Script::Arabic.faces() {
            let joined = set("\u{628}\u{633}\u{645}", style(*font, Script::Arabic)).unwrap();
            let lefts = joined.glyphs.iter().map(|glyph| glyph.bounds.left);
            let lefts = lefts.collect::<Vec<_>>();
            assert!(lefts.windows(2).all(|pair| pair[0] > pair[1]), "{lefts:?}");
            // A joined letter is narrower than the isolated one.
            let isolated = ["\u{628}", "\u{633}", "\u{645}"]
                .map(|letter| set(letter, style(*font, Script::Arabic)).unwrap().width);
            assert!(joined.width < isolated.iter().sum());
        }
    }

    #[test]
    fn a_ligature_is_shared_out_among_its_characters() {
        let lettering = set("\u{644}\u{627}", style(0, Script::Arabic)).unwrap();
        assert_eq!(lettering.glyphs.len(), 2);
        assert!(lettering.glyphs[0].bounds.left >= lettering.glyphs[1].bounds.right);
    }

    #[test]
    fn invisible_text_and_missing_characters_are_errors() {
        let latin = style(0, Script::Latin);
        assert!(matches!(set("  ", latin), Err(RenderError::NoInk(_))));
        assert!(matches!(
            set("\u{4e00}", latin),
            Err(RenderError::MissingGlyph { .. })
        ));
    }
}
