//! `rave check`: whether inputs are what they should be, before a run meets them.

use clap::{Args, Subcommand};
use indicatif::DecimalBytes;
use rave_lmm::check::{Report, Tensors};
use rave_lmm::{Checkpoint, Rehashed};
use serde_json::{Value, json};

use super::hub::HubArguments;
use super::{print, print_json};
use crate::Outcome;

/// Names of a list that are shown.
const SHOWN: usize = 5;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What a checkpoint is, which of its small files are read, and which of its tensors are missing, surplus or of another shape
    ///
    /// From its config, the headers of its weight files and its index alone. Of a repository of the hub the small files are fetched,
    /// and of the weights the headers. Exit code 1 when it cannot be loaded.
    Checkpoint(CheckpointArguments),
}

#[derive(Debug, Args)]
struct CheckpointArguments {
    /// The folder of a checkpoint, a repository of the hub (org/name, org/name@revision) or a built-in model
    model: String,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    /// Hash the weight files anew, and compare with what is remembered of them (a record says the hash of what ran)
    #[arg(long)]
    hash: bool,
    #[command(flatten)]
    hub: HubArguments,
}

/// `rave check`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let What::Checkpoint(arguments) = &arguments.what;
    let report = arguments.hub.check(&arguments.model)?;
    let rehash = || Checkpoint::open(&report.folder).map(|checkpoint| checkpoint.rehash());
    let rehashed = arguments.hash.then(rehash).transpose()?;
    if arguments.json {
        let mut document = document(&arguments.model, &report);
        if let Some(rehashed) = &rehashed {
            document["sha256"] = json!(rehashed.sha256);
            document["remembered_sha256"] = json!(rehashed.remembered);
        }
        print_json(&document)?;
    } else {
        print(&text(&report))?;
        if let Some(Rehashed { sha256, remembered }) = &rehashed {
            print(&format!("{:<11} {sha256}\n", "sha256"))?;
            if let Some(before) = remembered {
                print(&format!(
                    "{:<11} was {before}: the files have changed and the system did not say so, so records made since name the old hash\n",
                    "remembered"
                ))?;
            }
        }
    }
    let is_as_remembered = rehashed.is_none_or(|rehashed| rehashed.remembered.is_none());
    Ok(if report.fits() && is_as_remembered {
        Outcome::Clean
    } else {
        Outcome::Failures
    })
}

/// Bytes of so many values in f32 and in bf16.
fn memory(tensors: &Tensors) -> (u64, u64) {
    let values = tensors.parameters;
    (values.saturating_mul(4), values.saturating_mul(2))
}

fn document(model: &str, report: &Report) -> Value {
    let tensors = report.tensors.as_ref();
    let decoder = report.geometry.as_ref().map(|sizes| {
        json!({
            "layers": sizes.layers,
            "heads": sizes.heads,
            "kv_heads": sizes.kv_heads,
            "head_dim": sizes.head_dim,
            "model_width": sizes.model_width,
        })
    });
    json!({
        "model": model,
        "folder": report.folder,
        "model_type": report.model_type,
        "family": report.family,
        "decoder": decoder,
        "files": report.files,
        "parameters": tensors.map(|tensors| tensors.parameters),
        "memory": tensors.map(memory).map(|(full, half)| json!({ "f32": full, "bf16": half })),
        "counts": tensors.map(|tensors| json!({
            "expected": tensors.expected.len(),
            "found": tensors.found,
            "missing": tensors.missing.len(),
            "surplus": tensors.surplus.len(),
            "shape": tensors.shape.len(),
        })),
        "tensors": tensors,
        "problems": report.problems,
        "notes": report.notes,
        "fits": report.fits(),
    })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text += &format!("{name:<11} {value}\n");
    line("checkpoint", report.folder.display().to_string());
    let model_type = report.model_type.as_deref().unwrap_or("unknown");
    let family = report.family.unwrap_or("none that is supported");
    line("family", format!("{family} (model_type {model_type})"));
    if let Some(sizes) = &report.geometry {
        line(
            "decoder",
            format!(
                "{} layers of width {}, {} query heads, {} key-value heads, {} wide each",
                sizes.layers, sizes.model_width, sizes.heads, sizes.kv_heads, sizes.head_dim
            ),
        );
    }
    line("files", report.files.join(", "));
    if let Some(tensors) = &report.tensors {
        let (full, half) = memory(tensors);
        line(
            "parameters",
            format!(
                "{} in {} tensors: {} in f32, {} in bf16",
                tensors.parameters,
                tensors.expected.len(),
                DecimalBytes(full),
                DecimalBytes(half)
            ),
        );
        line("weights", weights(tensors));
        let differing = tensors.shape.iter().map(|own| {
            let (found, expected) = (&own.found, &own.expected);
            format!("{} is {found:?} and should be {expected:?}", own.name)
        });
        let others = tensors.element_type.iter();
        let others = others.map(|own| format!("{} is {}", own.name, own.found));
        for (name, list) in [
            ("missing", tensors.missing.clone()),
            ("surplus", tensors.surplus.clone()),
            ("shape", differing.collect()),
            ("type", others.collect()),
            ("not needed", tensors.missing_unused.clone()),
            ("ignored", tensors.ignored.clone()),
        ] {
            if !list.is_empty() {
                line(name, listing(&list));
            }
        }
    }
    for note in &report.notes {
        line("note", note.clone());
    }
    for problem in &report.problems {
        line("problem", problem.clone());
    }
    let verdict = match (report.fits(), &report.tensors) {
        (true, Some(tensors)) if tensors.found.is_none() => {
            "nothing against it so far: there are no weights to check"
        }
        (true, _) => "it fits",
        (false, _) => "it does not fit: see above",
    };
    text + &format!("\n{verdict}\n")
}

/// What there is of weights.
fn weights(tensors: &Tensors) -> String {
    match (tensors.found, tensors.without_shape) {
        (None, _) => "none to check".to_owned(),
        (Some(found), 0) => format!(
            "{found} tensors, {}, names and shapes checked",
            DecimalBytes(tensors.bytes)
        ),
        (Some(found), unknown) if found == unknown => {
            format!("{found} tensors by the index, which says nothing of shapes: names checked")
        }
        (Some(found), unknown) => format!(
            "{found} tensors, names checked; shapes of {} ({} are named by the index alone)",
            found - unknown,
            unknown
        ),
    }
}

fn listing(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(String::as_str);
    let shown: Vec<&str> = shown.collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!(", and {more} more (--json lists them)")
    } else {
        String::new()
    };
    format!("{}: {}{more}", names.len(), shown.join(", "))
}
