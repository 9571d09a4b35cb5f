//! The numbers behind the verdicts of the paper's table, in full: for spreadsheets and scripts.
//!
//! Differences and shares are fractions of 1; an empty field is "not measured", never zero.

use rave_results::paper::{Evidence, PaperTable};

use super::csv;
use crate::Error;

/// One line for each number behind a verdict, or a line without one where there is none.
///
/// # Errors
/// None that the contents can cause.
pub(crate) fn paper_csv(table: &PaperTable) -> Result<String, Error> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let header = [
        "claim",
        "subject",
        "verdict",
        "reason",
        "kind",
        "variant",
        "over",
        "quantity",
        "value",
        "low",
        "high",
        "confidence",
        "p",
        "p_by_seed",
        "count",
        "smallest_detectable",
        "smallest_margin",
    ];
    writer.write_record(header).map_err(csv::text_error)?;
    for finding in &table.findings {
        let begin = [
            finding.claim.to_owned(),
            finding.subject.clone(),
            finding.verdict.name().to_owned(),
            finding.reason.clone().unwrap_or_default(),
        ];
        let empty = [const { String::new() }; 13];
        let mut rows: Vec<[String; 13]> = finding.evidence.iter().map(fields).collect();
        if rows.is_empty() {
            rows.push(empty);
        }
        for row in rows {
            writer
                .write_record(begin.iter().chain(&row))
                .map_err(csv::text_error)?;
        }
    }
    csv::finish(writer)
}

/// The fields of a number from `kind` on.
fn fields(evidence: &Evidence) -> [String; 13] {
    let number = csv::number;
    let text = str::to_owned;
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
            ..
        } => [
            text("gain"),
            variant.clone(),
            over.clone(),
            text("mean over suites"),
            value.to_string(),
            interval.low.to_string(),
            interval.high.to_string(),
            text("0.95"),
            p.to_string(),
            number(*p_by_seed),
            pairs.to_string(),
            number(*smallest_detectable),
            String::new(),
        ],
        Evidence::Reading {
            variant,
            over,
            value,
            interval,
            p,
            p_by_seed,
            smallest_detectable,
            ..
        } => [
            text("reading"),
            variant.clone(),
            over.clone(),
            text("reading - others"),
            value.to_string(),
            interval.low.to_string(),
            interval.high.to_string(),
            text("0.95"),
            p.to_string(),
            number(*p_by_seed),
            String::new(),
            number(*smallest_detectable),
            String::new(),
        ],
        Evidence::Time {
            variant,
            phase,
            image_tokens,
            text_tokens,
            rounds,
            equivalence,
        } => [
            text("time"),
            variant.clone(),
            text("standard"),
            format!("{phase} at {image_tokens} + {text_tokens} tokens"),
            equivalence.ratio.to_string(),
            equivalence.interval.low.to_string(),
            equivalence.interval.high.to_string(),
            text("0.9"),
            equivalence.p.to_string(),
            String::new(),
            rounds.to_string(),
            String::new(),
            equivalence.smallest_margin().to_string(),
        ],
        Evidence::Parameters { added, share, .. } => {
            counted("parameters", "share", share.to_string(), added.to_string())
        }
        Evidence::Answers { compared, same, .. } => counted(
            "answers",
            "the same",
            same.to_string(),
            compared.to_string(),
        ),
    }
}

/// The fields of a number that nothing is estimated of.
fn counted(kind: &str, quantity: &str, value: String, count: String) -> [String; 13] {
    let mut fields = [const { String::new() }; 13];
    kind.clone_into(&mut fields[0]);
    quantity.clone_into(&mut fields[3]);
    fields[4] = value;
    fields[10] = count;
    fields
}
