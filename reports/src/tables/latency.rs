//! Tables of a latency run: a table for each cell, a line for each variant.

use rave_results::latency::{AGAIN, Arm, LatencySummary, Noise, Time};

use super::csv::{finish, number, text_error};
use super::grid::{Grid, NOTHING};
use super::numbers::milliseconds;
use super::terminal::TerminalStyle;
use super::{equivalence, latex, markdown, terminal};
use crate::{Error, charts};

/// Notes, tables and provenance for a terminal or a text file.
pub(crate) fn text(summary: &LatencySummary, style: TerminalStyle) -> String {
    let mut out = String::new();
    for note in notes(summary) {
        out += &format!("! {note}\n");
    }
    for grid in grids(summary) {
        if !out.is_empty() {
            out.push('\n');
        }
        terminal::draw(&mut out, &grid, style);
    }
    out.push('\n');
    for line in provenance(summary) {
        out += &line;
        out.push('\n');
    }
    out
}

/// The same as a page, with the charts that lie beside it.
pub(crate) fn page(summary: &LatencySummary) -> String {
    let mut out = String::from("# Latency\n");
    for note in notes(summary) {
        out += &format!("\n> **Note**: {}\n", markdown::escape(&note));
    }
    for figure in charts::latency(summary) {
        let title = markdown::escape(&figure.title);
        out += &format!("\n![{title}]({}.svg)\n", figure.stem);
    }
    for grid in grids(summary) {
        markdown::draw(&mut out, &grid);
    }
    out += "\n## Where the numbers come from\n\n";
    for line in provenance(summary) {
        out += &format!("- {}\n", markdown::escape(&line));
    }
    out
}

/// A table for each cell, for a paper.
pub(crate) fn tex(summary: &LatencySummary) -> String {
    let mut out = latex::comments(notes(summary).iter().chain(&provenance(summary)));
    out.extend(grids(summary).iter().map(latex::plain));
    out
}

/// One line for each variant, cell and quantity with every number in full; empty where nothing was measured.
pub(crate) fn csv(summary: &LatencySummary) -> Result<String, Error> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let header = [
        "model",
        "variant",
        "image_tokens",
        "text_tokens",
        "quantity",
        "rounds",
        "median_ms",
        "low_ms",
        "high_ms",
        "ratio",
        "ratio_low",
        "ratio_high",
        "smallest_ratio",
        "geometric_mean",
        "geometric_low",
        "geometric_high",
        "equivalence_p",
        "bytes",
        "error",
    ];
    writer.write_record(header).map_err(text_error)?;
    let mut line = |variant: &str,
                    (image, text): (u32, Option<u32>),
                    (quantity, rounds): (&str, usize),
                    time: Option<&Time>,
                    (noise, bytes, errors): (Option<f64>, Option<u64>, &str)| {
        let ratio = time.and_then(|time| time.ratio);
        let equivalence = time.and_then(|time| time.equivalence);
        writer
            .write_record([
                summary.record.model.name.as_str(),
                variant,
                &image.to_string(),
                &text.map_or(String::new(), |text| text.to_string()),
                quantity,
                &rounds.to_string(),
                &number(time.map(|time| time.median_ms)),
                &number(time.map(|time| time.interval_ms.low)),
                &number(time.map(|time| time.interval_ms.high)),
                &number(ratio.map(|ratio| ratio.value)),
                &number(ratio.map(|ratio| ratio.interval.low)),
                &number(ratio.map(|ratio| ratio.interval.high)),
                &number(noise),
                &number(equivalence.map(|own| own.ratio)),
                &number(equivalence.map(|own| own.interval.low)),
                &number(equivalence.map(|own| own.interval.high)),
                &number(equivalence.map(|own| own.p)),
                &bytes.map_or(String::new(), |bytes| bytes.to_string()),
                errors,
            ])
            .map_err(text_error)
    };
    for vision in &summary.vision {
        let what = ("vision", vision.rounds);
        let size = (vision.image_tokens, None);
        line("", size, what, Some(&vision.time), (None, None, ""))?;
    }
    for arm in &summary.arms {
        let size = (arm.image_tokens, Some(arm.text_tokens));
        let noise = summary.noise_of((arm.image_tokens, arm.text_tokens));
        let errors = arm.errors.iter().map(ToString::to_string);
        let errors = errors.collect::<Vec<_>>().join("; ");
        for (quantity, time, noise) in [
            ("prefill", &arm.prefill, noise.and_then(|n| n.prefill)),
            (
                "first-token",
                &arm.first_token,
                noise.and_then(|n| n.first_token),
            ),
            ("decode", &arm.decode, noise.and_then(|n| n.decode)),
        ] {
            let what = (quantity, arm.rounds);
            line(
                &arm.variant,
                size,
                what,
                time.as_ref(),
                (noise, None, &errors),
            )?;
        }
        for (quantity, bytes) in [("cache", arm.cache_bytes), ("peak-memory", arm.peak_bytes)] {
            line(
                &arm.variant,
                size,
                (quantity, 1),
                None,
                (None, bytes, &errors),
            )?;
        }
    }
    finish(writer)
}

/// What a reader must know first.
pub(crate) fn notes(summary: &LatencySummary) -> Vec<String> {
    let record = &summary.record;
    let mut notes = Vec::new();
    if record.finished.is_none() {
        notes.push("The run was interrupted: cells up to there.".to_owned());
    }
    if record.model.untrained {
        notes.push(format!(
            "{} has seeded random weights: times and bytes mean what they say, answers would not.",
            record.model.name
        ));
    }
    if summary.noise.is_empty() {
        notes.push(
            "standard was not run against itself (--check-noise): what ratio this machine resolves is not known.".to_owned(),
        );
    }
    let threads = record.configuration.threads as f64;
    let loads = record.load_average.iter().flatten();
    let busiest = loads.copied().fold(0.0, f64::max);
    if busiest > threads + 0.75 {
        notes.push(format!(
            "Other programs ran: {busiest:.1} processes wanted a processor, and this one uses {threads} threads. Ratios stand \
             within their intervals; times are longer than on a quiet machine."
        ));
    }
    for arm in &summary.arms {
        for error in &arm.errors {
            notes.push(format!(
                "{}, {} + {} tokens: {error}",
                arm.variant, arm.image_tokens, arm.text_tokens
            ));
        }
    }
    // A reason that is the same for every variant is one note.
    let mut seen = Vec::new();
    let own = |note: &str| {
        note.split_once("tokens: ")
            .map_or(note.to_owned(), |(_, why)| why.to_owned())
    };
    notes.retain(|note| {
        let why = own(note);
        let new = !seen.contains(&why);
        seen.push(why);
        new
    });
    notes
}

pub(crate) fn grids(summary: &LatencySummary) -> Vec<Grid> {
    summary
        .cells()
        .into_iter()
        .map(|cell| grid(summary, cell))
        .chain(equivalence::grid(&[summary]))
        .collect()
}

fn grid(summary: &LatencySummary, cell: (u32, u32)) -> Grid {
    let noise = summary.noise_of(cell);
    let ratio = |time: &Option<Time>, bound: fn(&Noise) -> Option<f64>| {
        let ratio = time.as_ref().and_then(|time| time.ratio);
        ratio.map_or(NOTHING.to_owned(), |ratio| {
            let (low, high) = (ratio.interval.low, ratio.interval.high);
            let bound = noise.and_then(bound).unwrap_or(1.0);
            let resolved = ratio.value.max(1.0 / ratio.value) > bound && (low > 1.0 || high < 1.0);
            // Of the baseline the ratio is 1 by definition, which needs no mark.
            let mark = if resolved || low.total_cmp(&high).is_eq() {
                ""
            } else {
                "~"
            };
            format!("{mark}{:.3} [{low:.3}, {high:.3}]", ratio.value)
        })
    };
    let time = |time: &Option<Time>| {
        time.as_ref()
            .map_or(NOTHING.to_owned(), |time| milliseconds(time.median_ms))
    };
    let rows = summary.arms_of(cell).map(|arm: &Arm| {
        vec![
            arm.variant.clone(),
            time(&arm.prefill),
            ratio(&arm.prefill, |noise| noise.prefill),
            time(&arm.first_token),
            time(&arm.decode),
            ratio(&arm.decode, |noise| noise.decode),
            mebibytes(arm.cache_bytes),
            // The second run of standard is the first one's work: its memory is not measured again.
            mebibytes(arm.peak_bytes),
        ]
    });
    let header = [
        "variant",
        "prefill",
        "of standard",
        "first token",
        "a token",
        "of standard",
        "cache",
        "peak",
    ];
    let rounds = summary.arms_of(cell).map(|arm| arm.rounds).max();
    Grid {
        title: format!(
            "{}: {} image + {} text tokens, {} rounds",
            summary.record.model.name,
            cell.0,
            cell.1,
            rounds.unwrap_or(0)
        ),
        rows: rows.collect(),
        header: header.map(str::to_owned).to_vec(),
        names: 1,
        legend: legend(summary, cell),
    }
}

fn legend(summary: &LatencySummary, cell: (u32, u32)) -> String {
    let mut text = "medians, milliseconds and MiB; ratios: medians within rounds with 95 % intervals, ~ where 1 is possible; first \
                    token: with the vision side before the prefill"
        .to_owned();
    if let Some(vision) = summary.vision_of(cell.0) {
        text += &format!(
            ", which takes {} ms [{}, {}] in {} runs for every variant",
            milliseconds(vision.time.median_ms),
            milliseconds(vision.time.interval_ms.low),
            milliseconds(vision.time.interval_ms.high),
            vision.rounds
        );
    }
    if let Some(noise) = summary.noise_of(cell) {
        let bound =
            |bound: Option<f64>| bound.map_or(NOTHING.to_owned(), |bound| format!("{bound:.3}"));
        text += &format!(
            "; the smallest ratio that can be told from 1 here ({AGAIN}): {} in prefill, {} to the first token, {} a token",
            bound(noise.prefill),
            bound(noise.first_token),
            bound(noise.decode)
        );
    }
    text
}

pub(crate) fn provenance(summary: &LatencySummary) -> Vec<String> {
    let record = &summary.record;
    let asked = &record.configuration;
    let load = |load: Option<f64>| load.map_or("unknown".to_owned(), |load| load.to_string());
    let mut lines = vec![
        format!(
            "run {}: {}, {} on {}, {} threads, {}, {} cores, load {} to {}, rave {} ({}), configuration {}",
            record.run,
            record.created,
            asked.dtype,
            asked.device,
            asked.threads,
            record.machine.cpu,
            record.machine.cores,
            load(record.load_average[0]),
            load(record.load_average[1]),
            record.code.version,
            record.code.commit.as_deref().unwrap_or("no commit"),
            record.config_hash.get(..12).unwrap_or(&record.config_hash)
        ),
        format!(
            "checkpoint {}: sha256 {}; LibTorch {}",
            record.model.name,
            record
                .model
                .sha256
                .get(..12)
                .unwrap_or(&record.model.sha256),
            record.libraries.libtorch.as_deref().unwrap_or("unknown")
        ),
        format!("command: {}", record.command_line.join(" ")),
        format!(
            "order: variants forwards and backwards in turn, {} s a cell after {} s untimed; answers of {} tokens",
            asked.seconds, asked.warmup_seconds, asked.new_tokens
        ),
        format!(
            "{} % intervals: percentile bootstrap of rounds, {} resamples, seed {}",
            summary.resampling.confidence * 100.0,
            summary.resampling.resamples,
            summary.resampling.seed
        ),
    ];
    lines.extend(record.notes.iter().cloned());
    lines
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or(NOTHING.to_owned(), |bytes| {
        format!("{:.1}", bytes as f64 / f64::from(1 << 20))
    })
}
