//! In which order a tower has its patches, and where each of them lies.
//!
//! The patches of a square that becomes one visual token come one after the other, squares row by row; in a tower with windows
//! the squares of a window come together. Pictures follow each other.
//!
//! Source: `transformers` 5.23 `vision_utils.py`.

/// The order of the patches of some pictures.
pub(super) struct Order {
    /// Row and column of every patch, in the tower's order.
    positions: Vec<[i64; 2]>,
    /// Which patch (in the order of the pixels) is at each place of the tower's order; `None` where they are the same.
    windowed: Option<Vec<i64>>,
    /// Patches of each picture.
    pictures: Vec<usize>,
    /// Patches of each window.
    windows: Vec<usize>,
}

impl Order {
    /// The order for pictures of so many rows and columns of patches, which are multiples of `merge`, and windows of a side of
    /// `window` squares.
    pub(super) fn new(grids: &[[usize; 2]], merge: usize, window: Option<usize>) -> Self {
        let mut positions: Vec<[i64; 2]> = Vec::new();
        let (mut windowed, mut windows) = (Vec::new(), Vec::new());
        for &[rows, columns] in grids {
            let before = positions.len();
            let (high, wide) = (rows / merge, columns / merge);
            for square in 0..high * wide {
                for at in 0..merge * merge {
                    let row = square / wide * merge + at / merge;
                    let column = square % wide * merge + at % merge;
                    positions.push([row as i64, column as i64]);
                }
            }
            let Some(side) = window else { continue };
            for top in (0..high).step_by(side) {
                for left in (0..wide).step_by(side) {
                    let start = windowed.len();
                    for row in top..(top + side).min(high) {
                        for column in left..(left + side).min(wide) {
                            let first = before + (row * wide + column) * merge * merge;
                            windowed.extend((first..first + merge * merge).map(|at| at as i64));
                        }
                    }
                    windows.push(windowed.len() - start);
                }
            }
        }
        if window.is_some() {
            positions = windowed.iter().map(|&at| positions[at as usize]).collect();
        }
        Self {
            positions,
            windowed: window.map(|_| windowed),
            pictures: grids.iter().map(|[rows, columns]| rows * columns).collect(),
            windows,
        }
    }

    /// Row and column of every patch, in the tower's order.
    pub(super) fn positions(&self) -> &[[i64; 2]] {
        &self.positions
    }

    /// Which patch, in the order of the pixels, is at each place of the tower's order; `None` where they are the same.
    pub(super) fn windowed(&self) -> Option<&[i64]> {
        self.windowed.as_deref()
    }

    /// Patches of each picture.
    pub(super) fn pictures(&self) -> &[usize] {
        &self.pictures
    }

    /// Patches of each window, in the tower's order.
    pub(super) fn windows(&self) -> &[usize] {
        &self.windows
    }

    /// How the patches take their positions from a square table of `side` rows that is stretched over each picture from corner
    /// to corner: four times a row of the table and its weight for every patch. In f32, as the source computes it.
    pub(super) fn taps(&self, grids: &[[usize; 2]], side: usize) -> [(Vec<i64>, Vec<f32>); 4] {
        let axis = |at: i64, size: usize| {
            let place = at as f32 * (side - 1) as f32 / (size.max(2) - 1) as f32;
            let low = place.floor();
            let share = place - low;
            let last = side as i64 - 1;
            [
                (low as i64, 1.0 - share),
                ((low as i64 + 1).min(last), 1.0 - (1.0 - share)),
            ]
        };
        let mut taps = [(); 4].map(|()| (Vec::new(), Vec::new()));
        let mut positions = self.positions.iter();
        for &[rows, columns] in grids {
            for &[row, column] in positions.by_ref().take(rows * columns) {
                let (vertical, horizontal) = (axis(row, rows), axis(column, columns));
                for (number, (index, weights)) in taps.iter_mut().enumerate() {
                    let (row, high) = vertical[number / 2];
                    let (column, wide) = horizontal[number % 2];
                    index.push(row * side as i64 + column);
                    weights.push(high * wide);
                }
            }
        }
        taps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_come_together_and_windows_hold_whole_squares() {
        let plain = Order::new(&[[2, 4], [2, 2]], 2, None);
        let first = [
            [0, 0],
            [0, 1],
            [1, 0],
            [1, 1],
            [0, 2],
            [0, 3],
            [1, 2],
            [1, 3],
        ];
        assert_eq!(plain.positions()[..8], first);
        assert_eq!(plain.positions()[8..], first[..4]);
        assert_eq!(plain.pictures(), [8, 4]);
        assert!(plain.windowed().is_none());

        // 1 x 3 squares in windows of 2 x 2 squares: two, then one; the second picture has a window of its own.
        let order = Order::new(&[[4, 6], [2, 2]], 2, Some(2));
        assert_eq!(order.windows(), [16, 8, 4]);
        let squares: Vec<i64> = order
            .windowed()
            .unwrap_or_default()
            .iter()
            .step_by(4)
            .copied()
            .collect();
        assert_eq!(squares, [0, 4, 12, 16, 8, 20, 24]);
        assert_eq!(order.positions()[16], [0, 4]);
    }

    #[test]
    fn a_table_is_stretched_from_corner_to_corner() {
        let order = Order::new(&[[2, 2]], 2, None);
        let taps = order.taps(&[[2, 2]], 4);
        // The corners are the table's own, whole.
        assert_eq!(taps[0].0, [0, 3, 12, 15]);
        assert_eq!(taps[0].1, [1.0; 4]);
        let order = Order::new(&[[2, 4]], 2, None);
        let taps = order.taps(&[[2, 4]], 3);
        // Column 1 of 4 lies two thirds on the way from the table's first column to its second.
        let weights: Vec<f32> = taps.iter().map(|(_, weights)| weights[1]).collect();
        assert!((weights[0] - 1.0 / 3.0).abs() < 1e-6 && (weights[1] - 2.0 / 3.0).abs() < 1e-6);
        for patch in 0..8 {
            let sum: f32 = taps.iter().map(|(_, weights)| weights[patch]).sum();
            assert!((sum - 1.0).abs() < 1e-6);
        }
    }
}
