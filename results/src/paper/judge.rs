//! Verdicts from summaries: gains, reading suites against the others, times, parameters.

use std::cmp::Ordering;

use super::{Claim, Evidence, Finding, Summaries, Verdict};
use crate::latency::{AGAIN, Arm, LatencyRun, LatencySummary};
use crate::statistics::{Resampling, Sameness};
use crate::summary::{Cell, Contrast, LEVEL};
use crate::{Error, Run, Summary};

/// The finding for a claim that cannot be judged.
pub(super) fn not_measured(claim: &'static Claim, subject: &str, reason: String) -> Finding {
    Finding {
        claim: &claim.id,
        subject: subject.into(),
        verdict: Verdict::NotMeasured,
        evidence: Vec::new(),
        reason: Some(reason),
    }
}

/// A finding; it is inconclusive where `incomplete` says why it rests on a part of the samples.
pub(super) fn found(
    claim: &'static Claim,
    subject: &str,
    verdict: Verdict,
    evidence: Vec<Evidence>,
    incomplete: Option<String>,
) -> Finding {
    let (verdict, reason) = match incomplete {
        Some(why) => (Verdict::Inconclusive, Some(why)),
        None => (verdict, None),
    };
    Finding {
        claim: &claim.id,
        subject: subject.into(),
        verdict,
        evidence,
        reason,
    }
}

/// The mean gains of a variant over others.
pub(super) fn gain(
    claim: &'static Claim,
    variant: &str,
    over: &[String],
    summaries: &mut Summaries,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for model in models(claim, summaries, &mut findings) {
        let (mut evidence, mut missing, mut partial) = (Vec::new(), Vec::new(), None);
        let mut parts = Vec::new();
        for other in over {
            let summary = summaries.of_model(&model, other)?;
            match one_gain(summary, &model, variant, other, over.len()) {
                Ok((found, verdict, incomplete)) => {
                    evidence.push(found);
                    parts.push(verdict);
                    partial = partial.or(incomplete);
                }
                Err(reason) => missing.push(reason),
            }
        }
        if !missing.is_empty() {
            missing.dedup();
            findings.push(Finding {
                evidence,
                ..not_measured(claim, &model, missing.join("; "))
            });
            continue;
        }
        let verdict = Verdict::of_all(parts);
        findings.push(found(claim, &model, verdict, evidence, partial));
    }
    Ok(findings)
}

/// The gain on reading suites against that on the others.
pub(super) fn reading(
    claim: &'static Claim,
    variant: &str,
    over: &str,
    summaries: &mut Summaries,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for model in models(claim, summaries, &mut findings) {
        let summary = summaries.of_model(&model, over)?;
        findings.push(match one_contrast(summary, &model, variant, over) {
            Err(reason) => not_measured(claim, &model, reason),
            Ok((evidence, verdict, incomplete)) => {
                found(claim, &model, verdict, vec![evidence], incomplete)
            }
        });
    }
    Ok(findings)
}

/// The models to be judged, or the finding that there is none.
fn models(
    claim: &'static Claim,
    summaries: &Summaries,
    findings: &mut Vec<Finding>,
) -> Vec<String> {
    let models = summaries.models();
    if models.is_empty() {
        let reason = "no run of trained weights was given".to_owned();
        findings.push(not_measured(claim, "", reason));
    }
    models
}

/// A number, or why there is none.
type Judged<T> = Result<T, String>;

fn one_gain(
    summary: Option<&Summary>,
    model: &str,
    variant: &str,
    over: &str,
    parts: usize,
) -> Judged<(Evidence, Verdict, Option<String>)> {
    let summary = ready(summary, model, variant, over)?;
    let cell = summary.macro_cell(model, variant);
    let Some((cell, difference)) = cell.and_then(|cell| Some((cell, cell.difference?))) else {
        return Err(no_score(summary, model, &[variant, over]));
    };
    let evidence = Evidence::Gain {
        variant: variant.into(),
        over: over.into(),
        value: difference.value,
        interval: difference.interval,
        p: difference.p,
        p_by_seed: difference.p_by_seed,
        pairs: difference.pairs,
        smallest_detectable: difference.smallest_detectable,
        by_seed: cell.by_seed.clone(),
    };
    let verdict = Verdict::of(&difference, parts);
    Ok((evidence, verdict, incomplete(summary, model, variant, over)))
}

fn one_contrast(
    summary: Option<&Summary>,
    model: &str,
    variant: &str,
    over: &str,
) -> Judged<(Evidence, Verdict, Option<String>)> {
    let summary = ready(summary, model, variant, over)?;
    if summary
        .macro_cell(model, variant)
        .is_none_or(|cell| cell.difference.is_none())
    {
        return Err(no_score(summary, model, &[variant, over]));
    }
    let contrast = summary
        .macro_cell(model, variant)
        .and_then(|cell| cell.reading_contrast);
    let Some(Contrast { between, reading }) = contrast else {
        return Err("the runs lack suites of one of the two kinds".into());
    };
    let verdict = match Verdict::of(&between, 1) {
        // A smaller loss than on the others is not a gain, and neither is a gain within chance.
        Verdict::Reproduced if reading.decided_alone(LEVEL) != Ordering::Greater => {
            Verdict::Inconclusive
        }
        other => other,
    };
    let evidence = Evidence::Reading {
        variant: variant.into(),
        over: over.into(),
        reading: reading.value,
        reading_interval: reading.interval,
        others: reading.value - between.value,
        value: between.value,
        interval: between.interval,
        p: between.p,
        p_by_seed: between.p_by_seed,
        smallest_detectable: between.smallest_detectable,
    };
    Ok((evidence, verdict, incomplete(summary, model, variant, over)))
}

/// The summary, if both variants can stand for their method in it.
fn ready<'a>(
    summary: Option<&'a Summary>,
    model: &str,
    variant: &str,
    over: &str,
) -> Judged<&'a Summary> {
    let summary = summary.ok_or_else(|| format!("{over} is in none of the runs"))?;
    let note = summary.models.iter().find(|note| note.name == model);
    if note.is_none_or(|note| note.untrained) {
        return Err(format!("{model} has seeded random weights"));
    }
    for id in [variant, over] {
        let Some(own) = summary.variants.iter().find(|own| own.id == id) else {
            return Err(format!("{id} is in none of the runs"));
        };
        if summary.macro_cell(model, id).is_none() {
            return Err(format!("{id} has no answers of {model}"));
        }
        if own.trainable && !note.is_some_and(|note| note.adapters.contains(&own.id)) {
            return Err(format!("{id} has no trained weights for {model}"));
        }
    }
    Ok(summary)
}

/// Why a mean over the suites has no value.
fn no_score(summary: &Summary, model: &str, variants: &[&str]) -> String {
    let own = |suite: &str, variant: &str| summary.cell(model, suite, variant);
    for suite in &summary.suites {
        for variant in variants {
            match own(&suite.id, variant) {
                None => return format!("{} under {variant} is in none of the runs", suite.id),
                Some(Cell {
                    score: None,
                    failed,
                    ..
                }) => {
                    return format!(
                        "{} under {variant} has no score ({failed} failed)",
                        suite.id
                    );
                }
                Some(_) => {}
            }
        }
    }
    format!("no answer is scored under both {}", variants.join(" and "))
}

/// Why a comparison does not rest on all samples that were to be taken: a missing or failed answer might have changed the
/// verdict.
fn incomplete(summary: &Summary, model: &str, variant: &str, over: &str) -> Option<String> {
    for suite in &summary.suites {
        let cell = |id: &str| summary.cell(model, &suite.id, id);
        let both: Vec<&Cell> = [cell(variant), cell(over)].into_iter().flatten().collect();
        for cell in &both {
            if cell.is_incomplete() {
                return Some(format!(
                    "{} under {} holds {} of {} samples: finish the run with --resume",
                    cell.suite,
                    cell.variant,
                    cell.scored + cell.failed,
                    cell.due
                ));
            }
            if cell.failed > 0 {
                return Some(format!(
                    "{} of {} answers of {} under {} failed, and may be those that differ: see why, and repeat the run",
                    cell.failed,
                    cell.scored + cell.failed,
                    cell.suite,
                    cell.variant
                ));
            }
        }
        let due = both.iter().map(|cell| cell.due).max()?;
        let pairs = cell(variant).and_then(|cell| cell.difference)?.pairs;
        if pairs < due {
            return Some(format!(
                "{}: {pairs} of {due} samples were answered under both {variant} and {over}: give them the same rows and seeds",
                suite.id
            ));
        }
    }
    None
}

/// The times of every latency run.
pub(super) fn overhead(
    claim: &'static Claim,
    variant: &str,
    margin: f64,
    runs: &[LatencyRun],
    resampling: &Resampling,
) -> Vec<Finding> {
    if runs.is_empty() {
        let reason = "no latency run was given".to_owned();
        return vec![not_measured(claim, "", reason)];
    }
    let one = |run: &LatencyRun| {
        let record = &run.record;
        let subject = format!("{} ({})", record.model.name, record.run);
        let summary = LatencySummary::with_margin(run, resampling, margin);
        let arms: Vec<&Arm> = summary
            .arms
            .iter()
            .filter(|arm| arm.variant == variant)
            .collect();
        if arms.is_empty() {
            return not_measured(
                claim,
                &subject,
                format!("{variant} is not in the latency run"),
            );
        }
        let mut evidence = Vec::new();
        for arm in arms {
            for (phase, time) in times(arm) {
                let Some(time) = time else {
                    let error = arm.errors.first();
                    let reason = format!(
                        "{phase} at {} + {} tokens has fewer than two rounds with both{}",
                        arm.image_tokens,
                        arm.text_tokens,
                        error.map_or(String::new(), |error| format!(" ({error})"))
                    );
                    return not_measured(claim, &subject, reason);
                };
                evidence.push(time);
            }
        }
        let again: Vec<Evidence> = summary
            .arms
            .iter()
            .filter(|arm| arm.variant == AGAIN)
            .flat_map(times)
            .filter_map(|(_, evidence)| evidence)
            .collect();
        let (verdict, unsteady) = judge_times(&evidence, &again);
        evidence.extend(again);
        let interrupted = record.finished.is_none();
        let incomplete = interrupted.then(|| format!("run {} was interrupted", record.run));
        found(claim, &subject, verdict, evidence, incomplete.or(unsteady))
    };
    runs.iter().map(one).collect()
}

/// The times of prefill and decoding at one size; `None` where too few rounds are shared with `standard`.
fn times(arm: &Arm) -> [(&'static str, Option<Evidence>); 2] {
    [("prefill", arm.prefill), ("decode", arm.decode)].map(|(phase, time)| {
        let equivalence = time.and_then(|time| time.equivalence);
        let evidence = equivalence.map(|equivalence| Evidence::Time {
            variant: arm.variant.clone(),
            phase,
            image_tokens: arm.image_tokens,
            text_tokens: arm.text_tokens,
            rounds: equivalence.pairs,
            equivalence,
        });
        (phase, evidence)
    })
}

/// The verdict on all times, and which of them did not count. A claim needs every time to be no longer than `standard`; a single
/// longer one contradicts it, so for that each is tested at its share of the level. A time does not count where this machine
/// cannot show that `standard` is as long as itself.
fn judge_times(times: &[Evidence], again: &[Evidence]) -> (Verdict, Option<String>) {
    let parts = times.len() as f64;
    let mut verdicts = Vec::new();
    let mut unsteady = Vec::new();
    for time in times {
        let Evidence::Time {
            phase,
            image_tokens,
            text_tokens,
            equivalence,
            ..
        } = time
        else {
            continue;
        };
        let place = (phase, image_tokens, text_tokens);
        let control = again.iter().find_map(|own| match own {
            Evidence::Time {
                phase,
                image_tokens,
                text_tokens,
                equivalence,
                ..
            } if (phase, image_tokens, text_tokens) == place => Some(equivalence.sameness()),
            _ => None,
        });
        verdicts.push(if control.is_some_and(|own| own != Sameness::Equivalent) {
            unsteady.push(format!("{phase} at {image_tokens} + {text_tokens} tokens"));
            Verdict::Inconclusive
        } else if equivalence.is_no_more() {
            Verdict::Reproduced
        } else if equivalence.p_above < LEVEL / parts {
            Verdict::Contradicted
        } else {
            Verdict::Inconclusive
        });
    }
    let verdict = Verdict::of_all(verdicts);
    let undecided = verdict == Verdict::Inconclusive && !unsteady.is_empty();
    let reason = undecided.then(|| {
        format!(
            "standard is not shown to be as long as itself within the margin ({}): the machine is too noisy there to judge",
            unsteady.join(", ")
        )
    });
    (verdict, reason)
}

/// What the trained weights of a variant add.
pub(super) fn parameters(
    claim: &'static Claim,
    variant: &str,
    below: f64,
    runs: &[Run],
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for model in runs.iter().flat_map(|run| &run.record.models) {
        let Some(adapter) = model.adapters.get(variant).filter(|_| model.parameters > 0) else {
            continue;
        };
        if findings.iter().any(|finding| finding.subject == model.name) {
            continue;
        }
        let share = adapter.parameters as f64 / model.parameters as f64;
        let verdict = if share < below {
            Verdict::Reproduced
        } else {
            Verdict::Contradicted
        };
        let evidence = Evidence::Parameters {
            added: adapter.parameters,
            model: model.parameters,
            share,
        };
        findings.push(found(claim, &model.name, verdict, vec![evidence], None));
    }
    if findings.is_empty() {
        let reason = format!("no run holds trained weights of {variant}");
        findings.push(not_measured(claim, "", reason));
    }
    findings
}
