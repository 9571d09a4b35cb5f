//! Backgrounds of the `scene` task: smooth patches, brick or plank seams, grain, and shapes strewn over them.
//!
//! Everything stays within a narrow band of brightness around the base colour, so that the words on it stay readable.

use rand::Rng;
use rand::RngCore as _;

use super::canvas::{Canvas, Colour};
use super::{CANVAS, Random};

/// Cells along each side of the coarse pattern.
const CELLS: usize = 8;

/// Paints the whole canvas and strews `clutter` shapes over it; says whether the ground is dark, so that words on it must
/// be light.
pub(super) fn paint(rng: &mut Random, clutter: usize) -> (Canvas, bool) {
    let dark = rng.random_bool(0.5);
    let band = if dark { 26..=62 } else { 186..=226 };
    let base = image::Rgb([0; 3].map(|_: u8| rng.random_range(band.clone())));
    let mut canvas = Canvas::new(base);
    patches(rng, &mut canvas);
    if rng.random_bool(0.6) {
        seams(rng, &mut canvas, base, dark);
    }
    for _ in 0..clutter {
        shape(rng, &mut canvas, base);
    }
    (canvas, dark)
}

/// Adds a coarse bilinear pattern and pixel grain.
fn patches(rng: &mut Random, canvas: &mut Canvas) {
    let swing = rng.random_range(4..=14);
    let grain = rng.random_range(1..=6_i32);
    let coarse: [[i32; CELLS + 1]; CELLS + 1] =
        std::array::from_fn(|_| std::array::from_fn(|_| rng.random_range(-swing..=swing)));
    let mut noise = vec![0_u8; (CANVAS * CANVAS) as usize];
    rng.fill_bytes(&mut noise);
    let cell = CANVAS as usize / CELLS;
    for (index, pixel) in canvas.picture.pixels_mut().enumerate() {
        let (x, y) = (index % CANVAS as usize, index / CANVAS as usize);
        let (column, row) = (x / cell, y / cell);
        let (right, down) = ((x % cell) as i32, (y % cell) as i32);
        let side = cell as i32;
        let upper = coarse[row][column] * (side - right) + coarse[row][column + 1] * right;
        let lower = coarse[row + 1][column] * (side - right) + coarse[row + 1][column + 1] * right;
        let shift = (upper * (side - down) + lower * down) / (side * side)
            + (i32::from(noise[index]) - 128) * grain / 128;
        for channel in &mut pixel.0 {
            *channel = (i32::from(*channel) + shift).clamp(0, 255) as u8;
        }
    }
}

/// Draws the seams of bricks or planks.
fn seams(rng: &mut Random, canvas: &mut Canvas, base: Colour, dark: bool) {
    let seam = image::Rgb(
        base.0
            .map(|channel| if dark { channel + 26 } else { channel - 30 }),
    );
    let course = rng.random_range(12..22_u32);
    let brick = rng.random_range(18..40_u32);
    let bricks = rng.random_bool(0.5);
    let phase = rng.random_range(0..course);
    for y in 0..CANVAS {
        let row = (y + phase) / course;
        let on_course = (y + phase) % course == 0;
        for x in 0..CANVAS {
            let joint = bricks && (x + row % 2 * (brick / 2)) % brick == 0;
            if on_course || joint {
                canvas.blend(x, y, seam, 200);
            }
        }
    }
}

/// Adds one ellipse, bar or triangle of a colour near the ground's.
fn shape(rng: &mut Random, canvas: &mut Canvas, base: Colour) {
    let colour = image::Rgb(base.0.map(|channel| {
        let shift = rng.random_range(-34..=34);
        (i32::from(channel) + shift).clamp(8, 247) as u8
    }));
    let side = CANVAS as f32;
    let mut spot = || (rng.random_range(0.0..side), rng.random_range(0.0..side));
    let (x, y) = spot();
    let (u, v) = spot();
    match rng.random_range(0..3) {
        0 => {
            let (a, b) = (4.0 + u / 6.0, 4.0 + v / 6.0);
            let around = crate::item::PixelBox {
                left: x - a,
                top: y - b,
                right: x + a,
                bottom: y + b,
            };
            canvas.fill_ellipse(around, colour, 230);
        }
        1 => {
            let half = rng.random_range(1.0..3.0_f32);
            let (dx, dy) = (u - x, v - y);
            let length = (dx * dx + dy * dy).sqrt().max(1.0);
            let (nx, ny) = (-dy / length * half, dx / length * half);
            let corners = [
                (x + nx, y + ny),
                (u + nx, v + ny),
                (u - nx, v - ny),
                (x - nx, y - ny),
            ];
            canvas.fill_polygon(&corners, colour, 230);
        }
        _ => {
            let (a, b) = (6.0 + u / 5.0, 6.0 + v / 5.0);
            canvas.fill_polygon(
                &[(x, y - b), (x + a, y + b), (x - a, y + b * 0.7)],
                colour,
                230,
            );
        }
    }
}
