//! What a reader must know before the numbers: untrained weights, failures, parts of suites, interruptions.

use super::{Summary, VariantNote};
use crate::schema::GenerationRecord;

/// How a model's answers differ from plain greedy decoding up to an end token, and which keys were left out.
fn decoding(model: &str, generation: &GenerationRecord) -> Vec<String> {
    let lists = [
        (
            "decoded with",
            &generation.applied,
            "as the checkpoint asks for",
        ),
        (
            "decoded without",
            &generation.ignored,
            "although the checkpoint asks for it",
        ),
        ("not known", &generation.unknown, "which had no effect"),
    ];
    let told = lists.into_iter().filter_map(|(what, keys, why)| {
        let keys = keys
            .iter()
            .filter(|(key, _)| *key != "eos_token_id" || what != "decoded with");
        let keys: Vec<String> = keys.map(|(key, value)| format!("{key} {value}")).collect();
        let keys = (!keys.is_empty()).then(|| keys.join(", "))?;
        Some(format!(
            "{model}: {what}: {keys}; {why} ({})",
            generation.file
        ))
    });
    told.collect()
}

/// What a reader must know before the numbers.
#[allow(
    clippy::too_many_lines,
    reason = "one note after the other, in the order of importance"
)]
pub(super) fn notes(summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    for model in summary.models.iter().filter(|model| model.untrained) {
        notes.push(format!(
            "untrained: {} has seeded random weights; the scores say nothing about a method",
            model.name
        ));
    }
    notes.extend(
        summary
            .forced
            .iter()
            .map(|reason| format!("forced comparison of unequal runs: {reason}")),
    );
    notes.extend(summary.remarks.iter().cloned());
    for run in summary.runs.iter().filter(|run| run.interrupted) {
        let mut note = format!(
            "interrupted: run {} has no end; these are its {} samples up to there",
            run.run,
            run.counts.scored + run.counts.failed
        );
        if run.truncated_bytes > 0 {
            note += &format!(
                "; a torn last record of {} bytes was left out",
                run.truncated_bytes
            );
        }
        if run.damaged_lines > 0 {
            note += &format!("; {} damaged records were left out", run.damaged_lines);
        }
        notes.push(note);
    }
    for cell in &summary.attention.cells {
        let failed: usize = cell.failures.values().sum();
        if failed > 0 && cell.suite != "average" {
            let reasons: Vec<String> = cell
                .failures
                .iter()
                .map(|(reason, count)| format!("{count} {reason}"))
                .collect();
            notes.push(format!(
                "no probe: the attention behind {failed} answers of {} under {} ({}) is not known ({})",
                cell.suite,
                cell.variant,
                cell.model,
                reasons.join(", ")
            ));
        }
    }
    if summary.cells.is_empty() {
        notes.push("no samples: the runs hold no record of any".into());
    }
    for suite in summary.suites.iter().filter(|suite| suite.is_subset()) {
        notes.push(format!(
            "{}: {} of {} samples; not a score of the whole suite",
            suite.id, suite.rows_used, suite.rows_total
        ));
    }
    let seeds = summary.macros.iter().map(|cell| cell.by_seed.len()).max();
    if let Some(seeds @ 2..) = seeds {
        notes.push(format!(
            "{seeds} training seeds: the intervals draw images and seeds and are too short with so few seeds, the p-values flip images \
             and take the seeds as they are; so a difference is decided only if Student's t over the seeds' differences agrees, which \
             Holm's p includes; see each seed"
        ));
    }
    for model in &summary.models {
        let at_identity =
            |variant: &&VariantNote| variant.trainable && !model.adapters.contains(&variant.id);
        let ids: Vec<&str> = summary
            .variants
            .iter()
            .filter(at_identity)
            .map(|variant| variant.id.as_str())
            .collect();
        if !ids.is_empty() {
            notes.push(format!(
                "{}: no trained weights for {}; at their initial values these compute what the checkpoint does without them",
                model.name,
                ids.join(", ")
            ));
        }
    }
    for model in &summary.models {
        notes.extend(
            model
                .generation
                .iter()
                .flat_map(|generation| decoding(&model.name, generation)),
        );
    }
    for cell in summary.cells.iter().filter(|cell| cell.failed > 0) {
        let reasons: Vec<String> = cell
            .failures
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        notes.push(format!(
            "failed: {} of {} samples of {} under {} ({}) have no score ({}); they are left out, not counted as zero",
            cell.failed,
            cell.failed + cell.scored,
            cell.suite,
            cell.variant,
            cell.model,
            reasons.join(", ")
        ));
    }
    for cell in summary.cells.iter().filter(|cell| cell.is_incomplete()) {
        notes.push(format!(
            "incomplete: {} under {} ({}) holds {} of {} samples; its score is of those alone",
            cell.suite,
            cell.variant,
            cell.model,
            cell.scored + cell.failed,
            cell.due
        ));
    }
    if summary.variants.len() == 1 && !summary.cells.is_empty() {
        notes.push(format!(
            "one variant ({}): nothing to compare it with",
            summary.baseline
        ));
    }
    for cell in &summary.cells {
        if let Some(difference) = cell.difference
            && let Some(p) = difference.p_by_image
            && (p < 0.05) != (difference.p < 0.05)
        {
            notes.push(format!(
                "{} under {} ({}): images carry several questions; p is {:.3} by question but {p:.3} by image: trust the latter",
                cell.suite, cell.variant, cell.model, difference.p
            ));
        }
    }
    notes
}
