//! `rave models` and `rave variants`: what there is, with one line each.

use clap::Args;
use rave_lmm::{FAMILIES, built_in};
use rave_methods::REGISTRY;
use serde_json::json;

use super::{print, print_json, print_table};
use crate::Outcome;

/// Options of a listing.
#[derive(Debug, Args)]
pub struct Arguments {
    /// One JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `rave models`.
pub fn models(arguments: &Arguments) -> anyhow::Result<Outcome> {
    if arguments.json {
        let models: Vec<_> = built_in::MODELS
            .iter()
            .map(|model| json!({ "id": model.name, "summary": model.summary, "untrained": !model.shipped }))
            .collect();
        let families: Vec<_> = FAMILIES
            .iter()
            .map(|family| json!({ "id": family.id, "model_types": family.model_types, "summary": family.summary }))
            .collect();
        print_json(&json!({ "models": models, "families": families }))?;
        return Ok(Outcome::Clean);
    }
    print_table(
        ["model", "what it is"],
        built_in::MODELS
            .iter()
            .map(|model| [model.name.to_owned(), model.summary.to_owned()]),
    )?;
    print("\n")?;
    let rows = FAMILIES.iter().map(|family| {
        [
            family.id.to_owned(),
            family.model_types.join(", "),
            family.summary.to_owned(),
        ]
    });
    print_table(["family", "model_type in config.json", "what it is"], rows)?;
    print(
        "\n--model takes a name above, or the folder of a checkpoint of one of these families.\n",
    )?;
    Ok(Outcome::Clean)
}

/// `rave variants`.
pub fn variants(arguments: &Arguments) -> anyhow::Result<Outcome> {
    if arguments.json {
        print_json(&REGISTRY)?;
        return Ok(Outcome::Clean);
    }
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let rows = REGISTRY.iter().map(|variant| {
        [
            variant.id.to_owned(),
            variant.version.to_string(),
            yes(variant.trained),
            yes(variant.folds),
            variant.touches.to_owned(),
            variant.summary.to_owned(),
        ]
    });
    print_table(
        [
            "variant",
            "version",
            "trained",
            "fused",
            "touches",
            "what it is",
        ],
        rows,
    )?;
    Ok(Outcome::Clean)
}
