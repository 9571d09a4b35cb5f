//! Where the numbers of a summary come from.

use rave_results::Summary;
use rave_results::summary::RunNote;

/// One line for each run, for each suite, and for the statistics.
pub(crate) fn provenance(summary: &Summary) -> Vec<String> {
    let runs = summary.runs.iter().map(origin);
    let suites = summary.suites.iter().map(|suite| {
        format!(
            "suite {} v{}: {} v{}, {} samples",
            suite.id, suite.version, suite.metric, suite.metric_version, suite.rows_used
        )
    });
    let drawn = if summary.macros.iter().any(|cell| cell.by_seed.len() > 1) {
        "whole images and training seeds"
    } else {
        "whole images"
    };
    let statistics = format!(
        "{} % intervals: percentile bootstrap of {drawn}, {} resamples, seed {}",
        summary.resampling.confidence * 100.0,
        summary.resampling.resamples,
        summary.resampling.seed
    );
    runs.chain(suites).chain([statistics]).collect()
}

/// Where and with what a run was made.
pub(crate) fn origin(run: &RunNote) -> String {
    format!(
        "run {}: {}, {}, {}, rave {}, configuration {}",
        run.run,
        run.created,
        run.precision,
        run.machine,
        run.code,
        run.config_hash.get(..12).unwrap_or(&run.config_hash)
    )
}
