//! A drawing surface in nominal pixels over any plotters backend, with text of known width.
//!
//! Deviation: plotters 0.3.7 draws bitmap text without side bearings and at whole pixels, so that letters stand unevenly
//! apart; `Smooth` draws the glyphs itself. The first error of a backend is kept and returned when the drawing ends.

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont as _};
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::prelude::{
    BitMapBackend, Circle, DrawingBackend, IntoDrawingArea as _, PathElement, Polygon, RGBAColor,
    Rectangle, ShapeStyle, Text, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, IntoFont as _, TextStyle, register_font};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind,
};

use super::palette::{Colour, Mark};

/// Drawn pixels a nominal one.
pub(super) const PIXELS: u32 = 2;
/// Nominal width of every chart.
pub const WIDTH: u32 = 900;
/// Free space at the left and right of a chart.
pub const MARGIN: f64 = 20.0;

/// The family is both the name that plotters looks up and the stack that an SVG's reader resolves.
const FAMILY: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";
static REGULAR: &[u8] = include_bytes!("../../../benchmarks/fonts/dejavu/DejaVuSans.ttf");
static BOLD: &[u8] = include_bytes!("../../../benchmarks/fonts/dejavu/DejaVuSans-Bold.ttf");

/// Text and line colours.
pub const INK: Colour = (0x26, 0x26, 0x26);
/// For secondary text.
pub const MUTED: Colour = (0x60, 0x60, 0x60);
/// For grid lines.
pub const GRID: Colour = (0xDD, 0xDD, 0xDD);
/// For every second band.
pub const BAND: Colour = (0xF6, 0xF6, 0xF6);
/// For what must not be missed.
pub const WARNING: Colour = (0xA8, 0x20, 0x20);

/// Gives plotters the project's fonts.
pub(super) fn register_fonts() -> Result<(), String> {
    for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
        register_font(FAMILY, style, bytes)
            .map_err(|_| "the embedded font cannot be read".to_string())?;
    }
    Ok(())
}

/// How a text lies to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// The text begins there.
    Left,
    /// Its middle is there.
    Centre,
    /// It ends there.
    Right,
}

/// Size in nominal pixels, weight and colour of a text.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    /// Size of the em in nominal pixels.
    pub size: f64,
    /// Bold rather than regular.
    pub bold: bool,
    /// Its colour.
    pub colour: Colour,
}

impl Type {
    /// A chart's heading.
    pub const TITLE: Self = Self {
        size: 17.0,
        bold: true,
        colour: INK,
    };
    /// Names.
    pub const LABEL: Self = Self {
        size: 13.0,
        bold: false,
        colour: INK,
    };
    /// Names of groups and panels.
    pub const STRONG: Self = Self {
        size: 13.0,
        bold: true,
        colour: INK,
    };
    /// Numbers, axes and explanations.
    pub const SMALL: Self = Self {
        size: 11.5,
        bold: false,
        colour: MUTED,
    };
    /// A number beside its mark.
    pub const VALUE: Self = Self {
        colour: INK,
        ..Self::SMALL
    };
    /// What must not be missed.
    pub const WARNING: Self = Self {
        size: 13.0,
        bold: true,
        colour: WARNING,
    };

    fn font(self) -> Option<FontRef<'static>> {
        FontRef::try_from_slice(if self.bold { BOLD } else { REGULAR }).ok()
    }

    /// Width of a text in nominal pixels.
    pub fn width(self, text: &str) -> f64 {
        let Some(font) = self.font() else { return 0.0 };
        let scaled = font.as_scaled(em_scale(&font, self.size));
        text.chars()
            .map(|character| f64::from(scaled.h_advance(font.glyph_id(character))))
            .sum()
    }

    /// The text, cut with an ellipsis if it is wider than `width`.
    pub fn fit(self, text: &str, width: f64) -> String {
        if self.width(text) <= width {
            return text.to_string();
        }
        let mut kept: String = text.to_string();
        while kept.pop().is_some() {
            let cut = format!("{}…", kept.trim_end());
            if self.width(&cut) <= width {
                return cut;
            }
        }
        "…".into()
    }
}

/// `ab_glyph` scales by a font's height; everybody else, by its em.
fn em_scale(font: &FontRef<'_>, em: f64) -> PxScale {
    let units = font.units_per_em().unwrap_or(1000.0);
    PxScale::from(em as f32 * font.height_unscaled() / units)
}

/// plotters writes `size / 1.24` as the em of an SVG's text.
const PLOTTERS_EM: f64 = 1.24;

/// What charts are drawn on.
pub struct Canvas<'a> {
    surface: Box<dyn Surface + 'a>,
    error: Option<String>,
}

/// What a canvas puts on its surface, in drawn pixels.
enum Shape<'a> {
    Line(PathElement<BackendCoord>),
    Rectangle(Rectangle<BackendCoord>),
    Disc(Circle<BackendCoord, i32>),
    Polygon(Polygon<BackendCoord>),
    Text(Box<Text<'a, BackendCoord, &'a str>>),
}

/// A drawing area of any backend.
trait Surface {
    fn draw(&mut self, shape: &Shape) -> Result<(), String>;
    fn present(&mut self) -> Result<(), String>;
}

impl<B: DrawingBackend> Surface for DrawingArea<B, Shift> {
    fn draw(&mut self, shape: &Shape) -> Result<(), String> {
        let drawn = match shape {
            Shape::Line(line) => DrawingArea::draw(self, line),
            Shape::Rectangle(rectangle) => DrawingArea::draw(self, rectangle),
            Shape::Disc(disc) => DrawingArea::draw(self, disc),
            Shape::Polygon(polygon) => DrawingArea::draw(self, polygon),
            Shape::Text(text) => DrawingArea::draw(self, &**text),
        };
        drawn.map_err(|error| error.to_string())
    }

    fn present(&mut self) -> Result<(), String> {
        DrawingArea::present(self).map_err(|error| error.to_string())
    }
}

impl<'a> Canvas<'a> {
    /// A white canvas.
    pub(super) fn new<B: DrawingBackend + 'a>(backend: B) -> Self {
        let area = backend.into_drawing_area();
        let error = area.fill(&WHITE).err().map(|error| error.to_string());
        Self {
            surface: Box::new(area),
            error,
        }
    }

    fn draw(&mut self, shape: &Shape) {
        if let Err(error) = self.surface.draw(shape) {
            self.error.get_or_insert(error);
        }
    }

    /// Ends the drawing: the first error of the backend, if there was one.
    pub(super) fn finish(mut self) -> Result<(), String> {
        let presented = self.surface.present();
        self.error.map_or(presented, Err)
    }

    /// A line of the given width.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour, width: f64) {
        let style = stroke(colour, width);
        self.draw(&Shape::Line(PathElement::new(
            vec![at(from), at(to)],
            style,
        )));
    }

    /// A horizontal line with an upright end of `half` to either side.
    pub fn whisker(&mut self, (low, high): (f64, f64), y: f64, half: f64, colour: Colour) {
        self.line((low, y), (high, y), colour, 2.0);
        for end in [low, high] {
            self.line((end, y - half), (end, y + half), colour, 2.0);
        }
    }

    /// A filled rectangle.
    pub fn rectangle(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour) {
        self.draw(&Shape::Rectangle(Rectangle::new(
            [at(from), at(to)],
            fill(colour),
        )));
    }

    /// A data point of the given radius.
    pub fn mark(&mut self, mark: Mark, (x, y): (f64, f64), radius: f64, colour: Colour) {
        let style = fill(colour);
        let corners = mark.corners();
        if corners.is_empty() {
            let disc = Circle::new(at((x, y)), pixels(radius), style);
            self.draw(&Shape::Disc(disc));
        } else {
            let corners = corners
                .iter()
                .map(|(right, down)| at((x + right * radius, y + down * radius)));
            let polygon = Polygon::new(corners.collect::<Vec<_>>(), style);
            self.draw(&Shape::Polygon(polygon));
        }
    }

    /// A text whose middle height, between that of small and of capital letters, is at `y`.
    pub fn text(&mut self, text: &str, (x, y): (f64, f64), kind: Type, align: Align) {
        let weight = if kind.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        let horizontal = match align {
            Align::Left => HPos::Left,
            Align::Centre => HPos::Center,
            Align::Right => HPos::Right,
        };
        let (red, green, blue) = kind.colour;
        let colour = RGBAColor(red, green, blue, 1.0);
        let style = TextStyle::from(
            (FAMILY, kind.size * f64::from(PIXELS) * PLOTTERS_EM, weight).into_font(),
        )
        .color(&colour)
        .pos(Pos::new(horizontal, VPos::Center));
        let place = at((x, y + 0.06 * kind.size));
        let text = Text::new(text, place, style);
        self.draw(&Shape::Text(Box::new(text)));
    }
}

fn at((x, y): (f64, f64)) -> BackendCoord {
    (pixels(x), pixels(y))
}

fn pixels(value: f64) -> i32 {
    (value * f64::from(PIXELS)).round() as i32
}

fn fill((red, green, blue): Colour) -> ShapeStyle {
    ShapeStyle {
        color: RGBAColor(red, green, blue, 1.0),
        filled: true,
        stroke_width: 0,
    }
}

fn stroke((red, green, blue): Colour, width: f64) -> ShapeStyle {
    let stroke_width = (width * f64::from(PIXELS)).round().max(1.0) as u32;
    ShapeStyle {
        color: RGBAColor(red, green, blue, 1.0),
        filled: false,
        stroke_width,
    }
}

/// A bitmap whose text is set as the font says.
pub(super) struct Smooth<'a>(pub BitMapBackend<'a>);

impl<'a> DrawingBackend for Smooth<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.present()
    }

    fn draw_pixel(
        &mut self,
        point: BackendCoord,
        color: BackendColor,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_pixel(point, color)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (x, y): BackendCoord,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        let kind = Type {
            size: style.size() / PLOTTERS_EM,
            bold: matches!(style.style(), FontStyle::Bold),
            colour: INK,
        };
        // The fonts were read before the first drawing.
        let Some(font) = kind.font() else {
            return Ok(());
        };
        let scale = em_scale(&font, kind.size);
        let scaled = font.as_scaled(scale);
        let mut pen = x as f32
            - match style.anchor().h_pos {
                HPos::Left => 0.0,
                HPos::Center => kind.width(text) as f32 / 2.0,
                HPos::Right => kind.width(text) as f32,
            };
        // The middle of a lower-case letter, as `dy="0.5ex"` in an SVG: half of DejaVu's x-height of 0.55 em.
        let baseline = y as f32 + 0.27 * kind.size as f32;
        let color = style.color();
        for character in text.chars() {
            let id = font.glyph_id(character);
            let glyph = id.with_scale_and_position(scale, ab_glyph::point(pen, baseline));
            pen += scaled.h_advance(id);
            let Some(outline) = font.outline_glyph(glyph) else {
                continue;
            };
            let bounds = outline.px_bounds();
            let mut result = Ok(());
            outline.draw(|column, row, coverage| {
                let point = (
                    bounds.min.x as i32 + column as i32,
                    bounds.min.y as i32 + row as i32,
                );
                let shade = BackendColor {
                    alpha: color.alpha * f64::from(coverage.min(1.0)),
                    ..color
                };
                if result.is_ok() && shade.alpha > 0.0 {
                    result = self.0.draw_pixel(point, shade);
                }
            });
            result?;
        }
        Ok(())
    }
}
