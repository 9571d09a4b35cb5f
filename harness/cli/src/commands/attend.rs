//! `rave attend`: where the attention behind an answer lies on the picture, a row a variant.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use rave_benchmarks::Item;
use rave_engine::attend::{AttendRequest, Attended, Question, attend};
use rave_engine::{answer_boxes, model_type, picture};
use rave_hints::refusal;
use rave_lmm::attention::{Choice, InBox};
use rave_lmm::checkpoint_folder;
use rave_reports::charts::heat::{self, Row, Sheet};
use rave_results::maps::{AttentionMaps, MAPS_VERSION, VariantMap, write_maps};
use serde_json::{Value, json};

use super::arguments::{ModelArguments, QuestionArguments, VariantsArguments, read_picture};
use super::hub::Part;
use super::{named_suite, print, print_json, write_file};
use crate::Outcome;

/// Options of `rave attend`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub model: ModelArguments,
    #[command(flatten)]
    pub variants: VariantsArguments,
    /// The picture: PNG, JPEG, WebP, GIF, BMP or TIFF
    #[arg(
        long,
        value_name = "F",
        required_unless_present = "suite",
        conflicts_with = "suite",
        requires = "prompt"
    )]
    pub image: Option<PathBuf>,
    /// The question
    #[arg(long, value_name = "TEXT", requires = "image")]
    pub prompt: Option<String>,
    /// Where the answer stands, in pixels of the picture: left, top, right and bottom
    #[arg(
        long = "box",
        value_name = "X0,Y0,X1,Y1",
        value_delimiter = ',',
        allow_hyphen_values = true,
        requires = "image"
    )]
    pub bounds: Vec<f32>,
    /// Take picture, question and answer box from an item of this suite instead
    #[arg(long, value_name = "SUITE", requires = "sample")]
    pub suite: Option<String>,
    /// Which item of --suite, from 0
    #[arg(long, value_name = "N", requires = "suite")]
    pub sample: Option<usize>,
    /// Data of a suite that is not embedded, by default fetched from the hub: a local copy of the suite's data repository, or
    /// `org/name[@revision]`
    #[arg(long, value_name = "DIR|REPOSITORY", requires = "suite")]
    pub data: Vec<String>,
    /// The folder for the pictures: attention.png with a row a variant, and attention-VARIANT.png; and for attention.json,
    /// which `rave report --maps` takes
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The layer to show, from 0, or the mean over all
    #[arg(long, value_name = "N|mean", default_value = "mean")]
    pub layer: NumberOrMean,
    /// The query head to show, from 0, or the mean over all
    #[arg(long, value_name = "N|mean", default_value = "mean")]
    pub head: NumberOrMean,
    #[command(flatten)]
    pub question: QuestionArguments,
    /// One JSON document: files, answers and statistics
    #[arg(long)]
    pub json: bool,
}

/// A number, or the mean over all.
#[derive(Debug, Clone, Copy)]
pub struct NumberOrMean(Option<usize>);

impl std::str::FromStr for NumberOrMean {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mean" => Ok(Self(None)),
            number => match number.parse() {
                Ok(number) => Ok(Self(Some(number))),
                Err(_) => Err("use a number from 0, or mean".into()),
            },
        }
    }
}

impl NumberOrMean {
    fn text(self, what: &str) -> String {
        self.0.map_or_else(
            || format!("mean over {what}s"),
            |number| format!("{what} {number}"),
        )
    }
}

/// What is asked, and where it is from.
struct Task {
    name: String,
    /// Of a suite's item: the item's id.
    sample: Option<String>,
    question: Question,
    answers: Vec<String>,
}

/// `rave attend`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let variants = arguments.variants.selected()?;
    let question = &arguments.question;
    arguments.model.fetch(question.answer.ignored())?;
    let folder = checkpoint_folder(&arguments.model.name, variants[0].id, question.seed)?;
    let task = task(arguments, &folder)?;
    let request = AttendRequest {
        model: arguments.model.name.clone(),
        variants,
        options: question.load_options()?,
        adapter: question.answer.adapter.clone(),
        seed: question.seed,
        max_new_tokens: question.max_new_tokens,
        choice: Choice {
            layer: arguments.layer.0,
            head: arguments.head.0,
        },
    };
    let attended = attend(&request, &task.question)?;
    for _ in attended.iter().filter(|own| own.untrained) {
        eprintln!(
            "note: {} has seeded random weights; its attention means nothing",
            arguments.model.name
        );
    }
    fs::create_dir_all(&arguments.out).with_context(|| {
        refusal(
            format!("cannot make {}", arguments.out.display()),
            "choose another --out",
        )
    })?;
    let mut lines = vec![format!(
        "question: {}",
        task.question.prompt.replace('\n', " ")
    )];
    // Some suites say the same answer once an annotator.
    let mut accepted = Vec::new();
    for answer in &task.answers {
        if !accepted.contains(&answer.as_str()) {
            accepted.push(answer);
        }
    }
    if !accepted.is_empty() {
        lines.push(format!("accepted: {}", accepted.join(", ")));
    }
    lines.push(format!(
        "{}, {}, mean over the tokens that predict the answer{}",
        arguments.layer.text("layer"),
        arguments.head.text("head"),
        if task.question.boxes.is_empty() {
            ""
        } else {
            "; green: the answer's box"
        }
    ));
    let title = format!("{}: attention on {}", arguments.model.name, task.name);
    let sheet = Sheet {
        title: &title,
        lines: &lines,
        picture: &task.question.picture,
        boxes: &task.question.boxes,
    };
    let rows: Vec<Row> = attended.iter().map(row).collect();
    let all = arguments.out.join("attention.png");
    write_file(&all, &heat::png(&sheet, &rows)?)?;
    write_maps(&arguments.out, &maps(arguments, &task, &rows))?;
    let mut documents = Vec::new();
    for (own, row) in attended.iter().zip(&rows) {
        let file = arguments.out.join(format!("attention-{}.png", row.variant));
        write_file(&file, &heat::png(&sheet, std::slice::from_ref(row))?)?;
        documents.push(document(own, &file));
    }
    if arguments.json {
        print_json(&json!({
            "model": arguments.model.name,
            "prompt": task.question.prompt,
            "answers": task.answers,
            "boxes": task.question.boxes,
            "layer": arguments.layer.0,
            "head": arguments.head.0,
            "file": all,
            "variants": documents,
        }))?;
    } else {
        for row in &rows {
            print(&format!("{}: {}\n", row.variant, row.lines.join("; ")))?;
        }
        print(&format!("{}\n", all.display()))?;
    }
    Ok(Outcome::Clean)
}

/// The rows as a record, which a report draws over the picture.
fn maps(arguments: &Arguments, task: &Task, rows: &[Row]) -> AttentionMaps {
    let variants = rows.iter().map(|row| VariantMap {
        variant: row.variant.clone(),
        tokens: row.tokens.clone(),
    });
    AttentionMaps {
        maps_version: MAPS_VERSION,
        model: arguments.model.name.clone(),
        suite: arguments.suite.clone(),
        sample: task.sample.clone(),
        seed: arguments.question.seed,
        layer: arguments.layer.0,
        head: arguments.head.0,
        variants: variants.collect(),
    }
}

/// Picture, question and box, of a file or of a suite's item, which the model in that folder is asked as in an evaluation.
fn task(arguments: &Arguments, folder: &Path) -> anyhow::Result<Task> {
    if let (Some(id), Some(number)) = (&arguments.suite, arguments.sample) {
        let suite = named_suite(id)?;
        let data = arguments
            .model
            .hub
            .data(&arguments.data, &[suite], Part::Scored)?;
        let dataset = suite.open(data.get(&suite.id).map(PathBuf::as_path))?;
        if number >= dataset.len() {
            bail!(refusal(
                format!("--sample {number}: {id} has no such item"),
                format!("its items are 0 to {}", dataset.len().saturating_sub(1)),
            ));
        }
        let item: Item = dataset.item(number)?;
        return Ok(Task {
            name: format!("{id}, item {number}"),
            sample: Some(item.id.clone()),
            question: Question {
                picture: picture(&item)?,
                boxes: answer_boxes(&item)?,
                prompt: dataset
                    .suite()
                    .prompt(&item.question, model_type(folder)?.as_deref()),
            },
            answers: item.answers,
        });
    }
    let (Some(path), Some(prompt)) = (&arguments.image, &arguments.prompt) else {
        bail!(refusal(
            "nothing is asked",
            "give --image F --prompt TEXT, or --suite SUITE --sample N",
        ));
    };
    let picture = read_picture(path)?;
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let boxes = match arguments.bounds.as_slice() {
        [] => Vec::new(),
        &[left, top, right, bottom]
            if 0.0 <= left
                && left < right
                && right <= width
                && 0.0 <= top
                && top < bottom
                && bottom <= height =>
        {
            vec![[left / width, top / height, right / width, bottom / height]]
        }
        _ => bail!(refusal(
            format!("--box is no box of this picture of {width} x {height} pixels"),
            format!(
                "give left,top,right,bottom in pixels, with 0 <= left < right <= {width} and 0 <= top < bottom <= {height}"
            ),
        )),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Task {
        name: name.into_owned(),
        sample: None,
        question: Question {
            picture,
            prompt: prompt.clone(),
            boxes,
        },
        answers: Vec::new(),
    })
}

/// What is shown of a variant.
fn row(attended: &Attended) -> Row {
    Row {
        variant: attended.variant.to_owned(),
        lines: lines(attended),
        tokens: attended.tokens.clone(),
    }
}

/// What is said of it as JSON.
fn document(attended: &Attended, file: &Path) -> Value {
    let means = &attended.means;
    let inside = |of: fn(&InBox) -> f64| means.in_box.as_ref().map(of);
    json!({
        "variant": attended.variant,
        "answer": attended.answer,
        "queries": attended.queries,
        "visual_tokens": attended.tokens.len(),
        "visual_share": means.visual_share,
        "effective": means.effective,
        "box_share": inside(|own| own.share),
        "box_uniform": inside(|own| own.uniform),
        "pointing": inside(|own| own.pointing),
        "pointing_uniform": inside(|own| own.pointing_uniform),
        "file": file,
    })
}

/// What is said beside its pictures.
fn lines(attended: &Attended) -> Vec<String> {
    let means = &attended.means;
    let mut lines = vec![
        format!("answer: {}", attended.answer.trim()),
        format!("on the picture: {:.1} %", means.visual_share * 100.0),
    ];
    if let Some(inside) = means.in_box {
        lines.push(format!(
            "of that in the box: {:.1} % (even weights: {:.1} %)",
            inside.share * 100.0,
            inside.uniform * 100.0
        ));
        lines.push(format!(
            "peak touches the box: {:.0} % (by chance: {:.0} %)",
            inside.pointing * 100.0,
            inside.pointing_uniform * 100.0
        ));
    }
    if let Some(effective) = means.effective {
        lines.push(format!(
            "visual keys: {effective:.1} effective of {}",
            attended.tokens.len()
        ));
    }
    lines
}
