//! The thing that lies furthest to one side, which the `scene` and `general` tasks ask for by that side.

use rand::seq::SliceRandom as _;

use super::Random;

/// Least and most distance in pixels between the outermost thing and the runner-up that counts for likeness.
const LEAD: (f32, f32) = (12.0, 60.0);

/// How far a point lies towards a side.
type Reach = fn((f32, f32)) -> f32;

/// One of the sides to which the first of the centres lies clearly the furthest, if there is any: the words for it, and
/// how near the runner-up comes (0 for [`LEAD`]'s most, 1 for its least).
pub(super) fn outermost(rng: &mut Random, centres: &[(f32, f32)]) -> Option<(&'static str, f64)> {
    let mut sides: [(&str, Reach); 4] = [
        ("at the top", |(_, y)| -y),
        ("at the bottom", |(_, y)| y),
        ("on the left", |(x, _)| -x),
        ("on the right", |(x, _)| x),
    ];
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
        let (words, near) = side(&[(110.0, 50.0), (50.0, 40.0), (20.0, 60.0)]).unwrap();
        assert_eq!((words, near), ("on the right", 0.0));
    }
}
