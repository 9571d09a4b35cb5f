//! What a verdict of the paper's table rests on, in words.

use rave_results::paper::{Evidence, Finding, Verdict};
use rave_results::statistics::Interval;
use rave_results::summary::SeedScore;

use super::grid::NOTHING;
use super::numbers::{p_value, signed};

/// A finding's evidence, a line for each number; the reason first where there is one.
pub(super) fn evidence(finding: &Finding) -> Vec<String> {
    let reason = finding.reason.iter().cloned();
    let undecided = finding.verdict == Verdict::Inconclusive;
    reason
        .chain(finding.evidence.iter().map(|part| line(part, undecided)))
        .collect()
}

fn line(evidence: &Evidence, undecided: bool) -> String {
    match evidence {
        Evidence::Gain {
            variant,
            over,
            value,
            interval,
            p,
            p_by_seed,
            pairs,
            smallest_detectable,
            by_seed,
        } => {
            let mut text = format!(
                "{variant} over {over}: {} points {}, {}, {} answers",
                signed(*value),
                points(*interval),
                p_values(*p, *p_by_seed),
                grouped(*pairs as u64)
            );
            text += &seeds(by_seed);
            text + &found(*smallest_detectable, undecided)
        }
        Evidence::Reading {
            variant,
            over,
            reading,
            reading_interval,
            others,
            value,
            interval,
            p,
            p_by_seed,
            smallest_detectable,
        } => {
            let text = format!(
                "{variant} over {over}: {} points on reading {}, {} on the others, {} between them {}, {}",
                signed(*reading),
                points(*reading_interval),
                signed(*others),
                signed(*value),
                points(*interval),
                p_values(*p, *p_by_seed)
            );
            text + &found(*smallest_detectable, undecided)
        }
        Evidence::Time {
            variant,
            phase,
            image_tokens,
            text_tokens,
            rounds,
            equivalence,
        } => {
            let mut text = format!(
                "{variant}, {phase} at {image_tokens} + {text_tokens} tokens: {:.3} of standard's, 90 % interval [{:.3}, {:.3}], p {} of \
                 the two one-sided tests, {rounds} rounds",
                equivalence.ratio,
                equivalence.interval.low,
                equivalence.interval.high,
                p_value(equivalence.p)
            );
            if undecided {
                text += &format!(
                    "; the same within {}",
                    margin(equivalence.smallest_margin())
                );
            }
            text
        }
        Evidence::Parameters {
            added,
            model,
            share,
        } => format!(
            "{} on {} parameters: {:.2} %",
            grouped(*added),
            grouped(*model),
            share * 100.0
        ),
        Evidence::Answers {
            compared,
            same,
            tokens,
            precision,
            first_other,
        } => {
            let other = first_other.as_ref();
            format!(
                "{} of {} answers ({} tokens) are the same, {precision}{}",
                grouped(*same as u64),
                grouped(*compared as u64),
                grouped(*tokens),
                other.map_or(String::new(), |key| format!("; the first other one: {key}"))
            )
        }
    }
}

/// `[-0.6, +0.4]` in percentage points.
fn points(interval: Interval) -> String {
    format!("[{}, {}]", signed(interval.low), signed(interval.high))
}

/// The p of images with the seeds as they are, and that of the seeds where there are several.
fn p_values(p: f64, by_seed: Option<f64>) -> String {
    match by_seed {
        None => format!("p {}", p_value(p)),
        Some(by_seed) => format!(
            "p {} with the seeds as they are and {} by seed",
            p_value(p),
            p_value(by_seed)
        ),
    }
}

/// Every training seed's difference, and whether they agree.
fn seeds(by_seed: &[SeedScore]) -> String {
    if by_seed.is_empty() {
        return String::new();
    }
    let differences = || by_seed.iter().filter_map(|score| score.difference);
    let shown: Vec<String> = by_seed
        .iter()
        .map(|score| score.difference.map_or(NOTHING.into(), signed))
        .collect();
    let opposed = differences().any(|value| value > 0.0) && differences().any(|value| value < 0.0);
    let remark = if opposed { " (of both signs)" } else { "" };
    format!("; seeds {}{remark}", shown.join(", "))
}

/// What an undecided comparison could have found.
fn found(smallest: Option<f64>, undecided: bool) -> String {
    match smallest {
        Some(smallest) if undecided => format!(
            "; {:.1} points would have been found four times in five",
            smallest * 100.0
        ),
        _ => String::new(),
    }
}

/// A margin as the smallest whole tenth of a per cent that holds it.
pub(super) fn margin(margin: f64) -> String {
    format!("{:.1} %", (margin * 1_000.0).ceil() / 10.0)
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let mut groups: Vec<&str> = Vec::new();
    if !head.is_empty() {
        groups.push(head);
    }
    groups.extend((0..tail.len()).step_by(3).map(|at| &tail[at..at + 3]));
    groups.join(",")
}
