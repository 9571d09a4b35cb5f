//! Where a picture lies in the square that the tower sees, and which part of it a token there stands for.

use crate::TokenRegion;

/// A picture within a square or canvas of which it may fill a part, or show a part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::families) struct Frame {
    /// Left and top edge of the picture, in pixels of the frame; negative where it is cut.
    pub origin: [f64; 2],
    /// Width and height of the picture, in pixels of the frame.
    pub extent: [f64; 2],
}

impl Frame {
    /// A picture that fills its frame of `side` x `side` pixels.
    pub(in crate::families) fn filled(side: u32) -> Self {
        Self {
            origin: [0.0; 2],
            extent: [f64::from(side); 2],
        }
    }

    /// The part of picture number `picture` that lies at `[left, top, right, bottom]` in the frame: without an area where
    /// there is nothing but padding.
    pub(in crate::families) fn region(
        &self,
        picture: usize,
        at: [f64; 4],
        whole: bool,
    ) -> TokenRegion {
        let edge = |number: usize| {
            let axis = number % 2;
            let share = (at[number] - self.origin[axis]) / self.extent[axis];
            share.clamp(0.0, 1.0) as f32
        };
        TokenRegion {
            picture,
            bounds: [edge(0), edge(1), edge(2), edge(3)],
            whole,
        }
    }

    /// The places of `side` x `side` tokens over the whole frame of `pixels` x `pixels`, row by row.
    pub(in crate::families) fn grid(
        self,
        picture: usize,
        pixels: u32,
        side: usize,
        whole: bool,
    ) -> impl Iterator<Item = TokenRegion> {
        let step = f64::from(pixels) / side as f64;
        (0..side * side).map(move |at| {
            let (row, column) = ((at / side) as f64, (at % side) as f64);
            let (left, top) = (column * step, row * step);
            self.region(picture, [left, top, left + step, top + step], whole)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp)]

    use super::*;

    #[test]
    fn a_cut_picture_shows_its_middle_and_a_padded_one_leaves_tokens_without_area() {
        let wide = Frame {
            origin: [-50.0, 0.0],
            extent: [200.0, 100.0],
        };
        let bounds: Vec<_> = wide
            .grid(0, 100, 2, true)
            .map(|region| region.bounds)
            .collect();
        assert_eq!(bounds[0], [0.25, 0.0, 0.5, 0.5]);
        assert_eq!(bounds[3], [0.5, 0.5, 0.75, 1.0]);
        let padded = Frame {
            origin: [0.0, 50.0],
            extent: [100.0, 50.0],
        };
        let bounds: Vec<_> = padded
            .grid(0, 100, 2, true)
            .map(|region| region.bounds)
            .collect();
        assert_eq!(bounds[0], [0.0, 0.0, 0.5, 0.0]);
        assert_eq!(bounds[2], [0.0, 0.0, 0.5, 1.0]);
    }
}
