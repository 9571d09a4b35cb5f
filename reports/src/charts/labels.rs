//! Places names beside points so that none covers another, a point or a whisker.
//!
//! Greedy: each point takes the best of a fixed list of places around it, nearest first. Points in a crowd choose first, and all
//! choose again in a few more rounds. Where no place is free, the one with the least overlap is taken. That is deterministic, and
//! enough for tens of points.

/// A rectangle in nominal pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Rect {
    pub(super) fn around((x, y): (f64, f64), width: f64, height: f64) -> Self {
        Self {
            left: x - width / 2.0,
            top: y - height / 2.0,
            right: x + width / 2.0,
            bottom: y + height / 2.0,
        }
    }

    pub(super) fn centre(&self) -> (f64, f64) {
        (
            f64::midpoint(self.left, self.right),
            f64::midpoint(self.top, self.bottom),
        )
    }

    fn overlap(&self, other: &Self) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        if width > 0.0 && height > 0.0 {
            width * height
        } else {
            0.0
        }
    }

    fn outside(&self, frame: &Self) -> f64 {
        let width = (frame.left - self.left).max(0.0) + (self.right - frame.right).max(0.0);
        let height = (frame.top - self.top).max(0.0) + (self.bottom - frame.bottom).max(0.0);
        width * (self.bottom - self.top) + height * (self.right - self.left)
    }

    /// Distance of a point from the box, and the place of the box that is nearest to it.
    fn nearest(&self, point: (f64, f64)) -> (f64, (f64, f64)) {
        let place = (
            point.0.clamp(self.left, self.right),
            point.1.clamp(self.top, self.bottom),
        );
        ((place.0 - point.0).hypot(place.1 - point.1), place)
    }
}

/// A placed name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    /// What it covers.
    pub area: Rect,
    /// Where the line to its point begins; none if the name cannot be taken for another point's.
    pub leader: Option<(f64, f64)>,
}

impl Label {
    /// The name at `area`, for the point `own` of `points`.
    fn new(area: Rect, own: usize, points: &[(f64, f64)]) -> Self {
        let (distance, from) = area.nearest(points[own]);
        let mut others = points.iter().enumerate().filter(|(index, _)| *index != own);
        let doubtful = others.any(|(_, other)| area.nearest(*other).0 < distance + 6.0);
        let leader = (distance > 14.0 || doubtful).then_some(from);
        Self { area, leader }
    }

    /// Whether the name is closer to another point's mark than to its own, where a line hardly helps.
    fn misleads(&self, own: usize, points: &[(f64, f64)]) -> bool {
        let distance = self.area.nearest(points[own]).0;
        let mut others = points.iter().enumerate().filter(|(index, _)| *index != own);
        others.any(|(_, other)| self.area.nearest(*other).0 < distance.min(16.0))
    }

    /// Little boxes along the line to `point`, without its ends.
    fn line(&self, point: (f64, f64)) -> Vec<Rect> {
        let Some(from) = self.leader else {
            return Vec::new();
        };
        let length = (from.0 - point.0).hypot(from.1 - point.1);
        let steps = (length / 4.0) as usize;
        (1..steps.saturating_sub(1))
            .map(|step| step as f64 / steps as f64)
            .map(|part| {
                (
                    from.0 + part * (point.0 - from.0),
                    from.1 + part * (point.1 - from.1),
                )
            })
            .map(|place| Rect::around(place, 4.0, 4.0))
            .collect()
    }
}

/// How often each label is placed.
const ROUNDS: usize = 6;

/// A label for each point, all within `frame`; `taken` is what they must not cover.
pub(super) fn place(
    points: &[(f64, f64)],
    sizes: &[(f64, f64)],
    taken: &[Rect],
    frame: Rect,
) -> Vec<Label> {
    let neighbours = |index: usize| {
        let (x, y) = points[index];
        points
            .iter()
            .filter(|point| (point.0 - x).hypot(point.1 - y) < 60.0)
            .count()
    };
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(neighbours(index)), index));
    let mut labels: Vec<Option<Label>> = vec![None; points.len()];
    // The first round is greedy; the next ones let each label move to where the others have left it room.
    for index in (0..ROUNDS).flat_map(|_| order.iter().copied()) {
        let others: Vec<(usize, Label)> = labels
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .filter_map(|(other, label)| Some((other, (*label)?)))
            .collect();
        let names: Vec<Rect> = others.iter().map(|(_, label)| label.area).collect();
        let lines: Vec<Rect> = others
            .iter()
            .flat_map(|(other, label)| label.line(points[*other]))
            .collect();
        let obstacles: Vec<Rect> = taken.iter().chain(&names).chain(&lines).copied().collect();
        labels[index] = candidates(points[index], sizes[index])
            .map(|area| Label::new(area, index, points))
            .map(|label| {
                let covered: f64 = obstacles
                    .iter()
                    .map(|other| label.area.overlap(other))
                    .sum();
                let line = label.line(points[index]);
                let crossed: f64 = line
                    .iter()
                    .flat_map(|part| names.iter().chain(&lines).map(|other| part.overlap(other)))
                    .sum();
                let led = f64::from(u8::from(label.leader.is_some()));
                let misleading = f64::from(u8::from(label.misleads(index, points)));
                (
                    covered
                        + crossed
                        + 10.0 * label.area.outside(&frame)
                        + 6.0 * led
                        + 40.0 * misleading,
                    label,
                )
            })
            // The first of the least: `min_by` keeps it.
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, label)| label);
    }
    labels.into_iter().flatten().collect()
}

/// Places around a point, the preferred ones first: right, left, above, below, ..., then further out.
fn candidates((x, y): (f64, f64), (width, height): (f64, f64)) -> impl Iterator<Item = Rect> {
    [10.0, 20.0, 34.0, 52.0, 74.0, 100.0]
        .into_iter()
        .flat_map(move |gap| {
            let side = gap + width / 2.0;
            let rise = gap * 0.8 + height / 2.0;
            [
                (side, 0.0),
                (-side, 0.0),
                (0.0, -rise),
                (0.0, rise),
                (side, -rise),
                (side, rise),
                (-side, -rise),
                (-side, rise),
                (side, -rise / 2.0),
                (side, rise / 2.0),
                (-side, -rise / 2.0),
                (-side, rise / 2.0),
            ]
            .map(|(right, down)| Rect::around((x + right, y + down), width, height))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_names_in_a_crowd_do_not_touch() {
        let points: Vec<(f64, f64)> = (0..20)
            .map(|index| {
                (
                    300.0 + f64::from(index % 5) * 60.0,
                    150.0 + f64::from(index / 5) * 45.0,
                )
            })
            .collect();
        let sizes = vec![(90.0, 16.0); 20];
        let taken: Vec<Rect> = points
            .iter()
            .map(|point| Rect::around(*point, 14.0, 14.0))
            .collect();
        let frame = Rect {
            left: 80.0,
            top: 60.0,
            right: 880.0,
            bottom: 440.0,
        };
        let labels = place(&points, &sizes, &taken, frame);
        for (index, label) in labels.iter().enumerate() {
            assert!(label.area.outside(&frame) < 1e-9, "{label:?}");
            for other in labels[..index]
                .iter()
                .map(|other| &other.area)
                .chain(&taken)
            {
                assert!(label.area.overlap(other) < 1e-9, "{label:?} on {other:?}");
            }
        }
    }
}
