//! `rave models` and `rave variants`: what there is, with one line each.

use clap::Args;
use rave_lmm::{FAMILIES, GenerationKeys, built_in, geometry};
use rave_methods::{REGISTRY, Variant};
use serde_json::json;

use super::arguments::ModelArguments;
use super::{named_variant, print, print_json, print_table};
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
        "\n--model takes a name above, or a checkpoint of one of these families: its folder, or its hub repository (org/name[@revision]).\n",
    )?;
    Ok(Outcome::Clean)
}

/// Options of `rave variants`.
#[derive(Debug, Args)]
#[command(mut_arg("model", |model| {
    model.required(false).default_value("nano").help("The model for which added parameters are counted")
}))]
pub struct VariantArguments {
    /// Variants or preset files to show, separated by commas; all registered ones when left out
    #[arg(long, value_delimiter = ',')]
    pub variant: Vec<String>,
    #[command(flatten)]
    pub model: ModelArguments,
    #[command(flatten)]
    pub listing: Arguments,
}

/// `rave variants`.
pub fn variants(arguments: &VariantArguments) -> anyhow::Result<Outcome> {
    let variants: Vec<&Variant> = if arguments.variant.is_empty() {
        REGISTRY.iter().collect()
    } else {
        let names = arguments.variant.iter();
        names
            .map(|name| named_variant(name))
            .collect::<Result<_, _>>()?
    };
    arguments.model.fetch(GenerationKeys::ALL)?;
    let model = &arguments.model.name;
    let sizes = geometry(model)?;
    let mut rows = Vec::new();
    let mut documents = Vec::new();
    for variant in variants {
        let info = variant.info();
        let added = variant.added_parameters(sizes)?;
        let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
        rows.push([
            variant.id.to_owned(),
            yes(info.trained),
            yes(info.folds),
            info.queries.to_owned(),
            info.keys.to_owned(),
            info.caches.clone(),
            added.to_string(),
            variant.summary.to_owned(),
        ]);
        let mut document = json!({
            "id": variant.id,
            "version": variant.version,
            "summary": variant.summary,
            "added_parameters": added,
            "options": variant.options(),
        });
        if let (Some(document), serde_json::Value::Object(info)) =
            (document.as_object_mut(), serde_json::to_value(&info)?)
        {
            document.extend(info);
        }
        documents.push(document);
    }
    if arguments.listing.json {
        print_json(&json!({ "model": model, "variants": documents }))?;
        return Ok(Outcome::Clean);
    }
    print_table(
        [
            "variant",
            "trained",
            "fused",
            "queries",
            "keys",
            "cached",
            "adds",
            "what it is",
        ],
        rows,
    )?;
    print(&format!(
        "\nqueries, keys: whose attention it touches, and on what. cached: what is stored besides v. adds: parameters for {model}.\n\
         --json has the options, the identity setting and the source of each. A preset of your own: --variant FILE.toml.\n"
    ))?;
    Ok(Outcome::Clean)
}
