//! Geometry of upright boxes.

use super::{CANVAS, RenderError};
use crate::item::PixelBox;

/// The box moved.
pub(super) fn shifted(bounds: PixelBox, right: f32, down: f32) -> PixelBox {
    PixelBox {
        left: bounds.left + right,
        top: bounds.top + down,
        right: bounds.right + right,
        bottom: bounds.bottom + down,
    }
}

/// The box with each edge moved outwards (inwards if negative).
pub(super) fn grown(bounds: PixelBox, by: f32) -> PixelBox {
    PixelBox {
        left: bounds.left - by,
        top: bounds.top - by,
        right: bounds.right + by,
        bottom: bounds.bottom + by,
    }
}

/// Whether two boxes share any area.
pub(super) fn overlap(first: PixelBox, second: PixelBox) -> bool {
    first.left < second.right
        && second.left < first.right
        && first.top < second.bottom
        && second.top < first.bottom
}

/// The box's centre.
pub(super) fn centre(bounds: PixelBox) -> (f32, f32) {
    (
        f32::midpoint(bounds.left, bounds.right),
        f32::midpoint(bounds.top, bounds.bottom),
    )
}

/// Refuses a box that leaves the canvas.
pub(super) fn inside(bounds: PixelBox) -> Result<(), RenderError> {
    let side = CANVAS as f32;
    if bounds.left >= 0.0 && bounds.top >= 0.0 && bounds.right <= side && bounds.bottom <= side {
        Ok(())
    } else {
        Err(RenderError::OutsideCanvas(bounds))
    }
}

/// The smallest box that holds both.
pub(super) fn union(first: PixelBox, second: PixelBox) -> PixelBox {
    PixelBox {
        left: first.left.min(second.left),
        top: first.top.min(second.top),
        right: first.right.max(second.right),
        bottom: first.bottom.max(second.bottom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(left: f32, top: f32, right: f32, bottom: f32) -> PixelBox {
        PixelBox {
            left,
            top,
            right,
            bottom,
        }
    }

    #[test]
    fn boxes_that_share_only_an_edge_do_not_overlap() {
        let first = bounds(0.0, 0.0, 10.0, 10.0);
        assert!(!overlap(first, bounds(10.0, 0.0, 20.0, 10.0)));
        assert!(overlap(first, bounds(9.5, 9.5, 20.0, 20.0)));
        assert!(overlap(first, bounds(4.0, 4.0, 5.0, 5.0)));
    }

    #[test]
    fn a_box_that_leaves_the_canvas_by_any_edge_is_refused() {
        let side = CANVAS as f32;
        let whole = bounds(0.0, 0.0, side, side);
        assert!(inside(whole).is_ok());
        for (right, down) in [(0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)] {
            assert!(inside(shifted(whole, right, down)).is_err());
        }
    }

    #[test]
    fn union_holds_both_and_growing_moves_every_edge() {
        let both = union(bounds(1.0, 5.0, 3.0, 9.0), bounds(2.0, 4.0, 8.0, 6.0));
        assert_eq!(both, bounds(1.0, 4.0, 8.0, 9.0));
        assert_eq!(grown(both, 1.0), bounds(0.0, 3.0, 9.0, 10.0));
        assert_eq!(centre(both), (4.5, 6.5));
    }
}
