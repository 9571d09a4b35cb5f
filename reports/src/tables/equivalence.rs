//! Whether a variant takes as long as `standard`: the two one-sided tests of a latency run, or of several side by side.

use rave_results::latency::{Arm, LatencySummary, Time};
use rave_results::statistics::{Equivalence, Sameness};

use super::evidence::margin;
use super::grid::{Grid, NOTHING};
use super::numbers::p_value;

/// A line for each run, size, variant and phase; `None` where nothing was held against `standard`.
pub(super) fn grid(runs: &[&LatencySummary]) -> Option<Grid> {
    let mut rows = Vec::new();
    let mut tested = None;
    for summary in runs {
        for arm in &summary.arms {
            for (phase, time) in [("prefill", arm.prefill), ("a token", arm.decode)] {
                let Some((time, equivalence)) =
                    time.and_then(|time| Some((time, time.equivalence?)))
                else {
                    continue;
                };
                tested = Some(equivalence.margin);
                rows.push(row(summary, arm, phase, &time, &equivalence));
            }
        }
    }
    let allowed = margin(tested?);
    let mut title = format!("As long as standard, within {allowed}?");
    let mut header = [
        "run",
        "image + text",
        "variant",
        "phase",
        "rounds",
        "median",
        "mean",
        "90 % interval",
        "p",
        "the same?",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut names = 4;
    // Of one run the name is said once.
    if let [alone] = runs {
        title = format!("{}: {}", alone.record.model.name, title.to_lowercase());
        header.remove(0);
        names -= 1;
        for row in &mut rows {
            row.remove(0);
        }
    }
    Some(Grid {
        title,
        legend: format!(
            "ratios to standard within rounds: median, and geometric mean with its 90 % interval; p: the larger of two one-sided tests of a \
             difference of {allowed} or more; an undecided line says within which margin it would have been the same"
        ),
        header,
        rows,
        names,
    })
}

fn row(
    summary: &LatencySummary,
    arm: &Arm,
    phase: &str,
    time: &Time,
    equivalence: &Equivalence,
) -> Vec<String> {
    let word = match equivalence.sameness() {
        Sameness::Equivalent => "yes".to_owned(),
        Sameness::Above => "no, longer".to_owned(),
        Sameness::Below => "no, shorter".to_owned(),
        Sameness::Undecided => format!("undecided ({})", margin(equivalence.smallest_margin())),
    };
    vec![
        summary.record.run.clone(),
        format!("{} + {}", arm.image_tokens, arm.text_tokens),
        arm.variant.clone(),
        phase.to_owned(),
        arm.rounds.to_string(),
        time.ratio
            .map_or(NOTHING.into(), |ratio| format!("{:.3}", ratio.value)),
        format!("{:.3}", equivalence.ratio),
        format!(
            "[{:.3}, {:.3}]",
            equivalence.interval.low, equivalence.interval.high
        ),
        p_value(equivalence.p),
        word,
    ]
}
