//! Plane homographies: perspective for words and for their boxes alike.
//!
//! A 3 x 3 matrix in row order, f64, applied to pixel positions. The rectangle-to-quadrilateral solution is the closed
//! form of Heckbert, "Fundamentals of Texture Mapping and Image Warping" (1989), section 2.2.3.

use crate::item::PixelBox;

/// A point in pixels.
pub(super) type Point = (f64, f64);

/// A perspective map of the plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Homography([f64; 9]);

impl Homography {
    /// The map that takes the rectangle from (0, 0) to (width, height) onto a convex quadrilateral, given in the order
    /// top left, top right, bottom right, bottom left.
    pub(super) fn onto(width: f64, height: f64, quad: [Point; 4]) -> Self {
        let [(x0, y0), (x1, y1), (x2, y2), (x3, y3)] = quad;
        let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
        let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
        let determinant = dx1 * dy2 - dx2 * dy1;
        let g = (sx * dy2 - dx2 * sy) / determinant;
        let h = (dx1 * sy - sx * dy1) / determinant;
        Self([
            (x1 - x0 + g * x1) / width,
            (x3 - x0 + h * x3) / height,
            x0,
            (y1 - y0 + g * y1) / width,
            (y3 - y0 + h * y3) / height,
            y0,
            g / width,
            h / height,
            1.0,
        ])
    }

    /// Where a point goes.
    pub(super) fn apply(&self, (x, y): Point) -> Point {
        let m = &self.0;
        let scale = m[6] * x + m[7] * y + m[8];
        (
            (m[0] * x + m[1] * y + m[2]) / scale,
            (m[3] * x + m[4] * y + m[5]) / scale,
        )
    }

    /// The map back (the adjugate: a homography is defined up to a factor).
    pub(super) fn inverse(&self) -> Self {
        let m = &self.0;
        Self([
            m[4] * m[8] - m[5] * m[7],
            m[2] * m[7] - m[1] * m[8],
            m[1] * m[5] - m[2] * m[4],
            m[5] * m[6] - m[3] * m[8],
            m[0] * m[8] - m[2] * m[6],
            m[2] * m[3] - m[0] * m[5],
            m[3] * m[7] - m[4] * m[6],
            m[1] * m[6] - m[0] * m[7],
            m[0] * m[4] - m[1] * m[3],
        ])
    }

    /// The upright box around the image of a box.
    pub(super) fn bounds(&self, inner: PixelBox) -> PixelBox {
        let (left, right) = (f64::from(inner.left), f64::from(inner.right));
        let (top, bottom) = (f64::from(inner.top), f64::from(inner.bottom));
        bounding_box(
            &[(left, top), (right, top), (right, bottom), (left, bottom)]
                .map(|corner| self.apply(corner)),
        )
    }
}

/// The upright box around points.
pub(super) fn bounding_box(points: &[Point]) -> PixelBox {
    let mut around = PixelBox {
        left: f32::INFINITY,
        top: f32::INFINITY,
        right: f32::NEG_INFINITY,
        bottom: f32::NEG_INFINITY,
    };
    for &(x, y) in points {
        around.left = around.left.min(x as f32);
        around.top = around.top.min(y as f32);
        around.right = around.right.max(x as f32);
        around.bottom = around.bottom.max(y as f32);
    }
    around
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUAD: [Point; 4] = [(10.0, 12.0), (52.0, 8.0), (49.0, 31.0), (14.0, 27.0)];

    fn near(first: Point, second: Point) -> bool {
        (first.0 - second.0).abs() < 1e-9 && (first.1 - second.1).abs() < 1e-9
    }

    #[test]
    fn corners_go_to_corners_and_back() {
        let there = Homography::onto(40.0, 16.0, QUAD);
        let back = there.inverse();
        let corners = [(0.0, 0.0), (40.0, 0.0), (40.0, 16.0), (0.0, 16.0)];
        for (corner, target) in corners.into_iter().zip(QUAD) {
            assert!(near(there.apply(corner), target), "{corner:?}");
            assert!(near(back.apply(target), corner), "{target:?}");
        }
    }

    #[test]
    fn a_parallelogram_is_an_affine_map() {
        let there = Homography::onto(
            10.0,
            10.0,
            [(0.0, 0.0), (20.0, 0.0), (25.0, 10.0), (5.0, 10.0)],
        );
        assert!(near(there.apply((5.0, 5.0)), (12.5, 5.0)));
    }

    #[test]
    fn bounds_hold_the_image_of_inner_points() {
        let there = Homography::onto(40.0, 16.0, QUAD);
        let inner = PixelBox {
            left: 4.0,
            top: 2.0,
            right: 20.0,
            bottom: 12.0,
        };
        let outer = there.bounds(inner);
        let (x, y) = there.apply((12.0, 7.0));
        assert!(f64::from(outer.left) < x && x < f64::from(outer.right));
        assert!(f64::from(outer.top) < y && y < f64::from(outer.bottom));
    }
}
