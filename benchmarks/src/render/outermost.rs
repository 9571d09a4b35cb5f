//! The thing that lies furthest to one side, which the `scene` and `general` tasks ask for by that side.

use rand::seq::SliceRandom as _;

use super::Random;

/// Least and most distance in pixels between the outermost thing and the runner-up that counts for likeness.
const LEAD: (f32, f32) = (12.0, 60.0);

/// How far a point lies towards a side.
type Reach = fn((f32, f32)) -> f32;

/// The words for each side.
const SIDES: [(&str, Reach); 4] = [
    ("at the top", |(_, y)| -y),
    ("at the bottom", |(_, y)| y),
    ("on the left", |(x, _)| -x),
    ("on the right", |(x, _)| x),
];

/// One of the sides to which the first of the centres lies clearly the furthest, if there is any: the words for it, and
/// how near the runner-up comes (0 for [`LEAD`]'s most, 1 for its least).
pub(super) fn outermost(rng: &mut Random, centres: &[(f32, f32)]) -> Option<(&'static str, f64)> {
    let mut sides = SIDES;
    sides.shuffle(rng);
    sides.into_iter().find_map(|(words, reach)| {
        let runner_up = centres[1..]
            .iter()
            .map(|spot| reach(*spot))
            .reduce(f32::max)?;
        let lead = reach(centres[0]) - runner_up;
        let (least, most) = LEAD;
        let near = 1.0 - f64::from((lead.min(most) - least) / (most - least));
        (lead >= least).then_some((words, near))
    })
}

/// For each side the words for it and the number of the thing that lies clearly the furthest to it, where one does.
pub(super) fn outermost_of_all(
    centres: &[(f32, f32)],
) -> impl Iterator<Item = (&'static str, usize)> {
    SIDES.into_iter().filter_map(|(words, reach)| {
        let mut order: Vec<usize> = (0..centres.len()).collect();
        order.sort_by(|a, b| reach(centres[*b]).total_cmp(&reach(centres[*a])));
        let [first, second, ..] = order[..] else {
            return None;
        };
        let lead = reach(centres[first]) - reach(centres[second]);
        (lead >= LEAD.0).then_some((words, first))
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn only_a_clear_lead_counts_and_its_size_sets_the_likeness() {
        let mut rng = Random::seed_from_u64(5);
        let mut side = |centres: &[(f32, f32)]| outermost(&mut rng, centres);
        assert_eq!(side(&[(50.0, 50.0), (61.0, 50.0), (39.0, 50.0)]), None);
        let (words, near) = side(&[(50.0, 50.0), (50.0, 62.0), (50.0, 90.0)]).unwrap();
        assert_eq!((words, near), ("at the top", 1.0));
        let centres = [(110.0, 50.0), (50.0, 40.0), (20.0, 60.0)];
        let (words, near) = side(&centres).unwrap();
        assert_eq!((words, near), ("on the right", 0.0));
        let all: Vec<_> = outermost_of_all(&centres).collect();
        assert_eq!(all, [("on the left", 2), ("on the right", 0)]);
    }
}
