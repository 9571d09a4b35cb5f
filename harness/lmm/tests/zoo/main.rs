//! Published checkpoints by their own small files: tokenizer, chat template, configuration and processor as they are, sizes
//! shrunk, weights random. Each case here says what `transformers` 5.23 made of one (`tools/zoo.py` wrote it; `./just zoo`);
//! the small files, which are their owners', are read from `../shared/hub-files` where that is there.
//!
//! `RAVE_HUB_FILES=DIR` names another folder of such folders, `RAVE_HUB_CASES=DIR` the cases that `tools/zoo.py` wrote for it.

#![allow(clippy::unwrap_used)]

mod case;
mod formula;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::{Answer, Asked, Case};
use rave_lmm::check::expected_tensors;
use rave_lmm::{GenerationOptions, LoadOptions, Model};
use rave_methods::variant;

/// Models that are tried at once: each takes some hundred megabytes.
const WORKERS: usize = 2;

/// The folder of small files with the cases whose files it has; `None`, said aloud, where there is no folder.
fn zoo() -> Option<(PathBuf, Vec<Case>)> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let hub_files = match std::env::var_os("RAVE_HUB_FILES") {
        Some(folder) => {
            let folder = PathBuf::from(folder);
            assert!(folder.is_dir(), "{} is no folder", folder.display());
            folder
        }
        None => own.join("../../../shared/hub-files"),
    };
    if !hub_files.is_dir() {
        println!(
            "skipped: {} is not there; RAVE_HUB_FILES names another",
            hub_files.display()
        );
        return None;
    }
    let folder = std::env::var_os("RAVE_HUB_CASES");
    let folder = folder.map_or_else(|| own.join("tests/zoo"), PathBuf::from);
    let mut cases = Case::all(&folder);
    cases.retain(|case| {
        let there = case.has_files(&hub_files);
        if !there {
            println!("skipped: not all files of {} are there", case.checkpoint);
        }
        there
    });
    assert!(
        !cases.is_empty(),
        "no case of {} has its files in {}",
        folder.display(),
        hub_files.display()
    );
    Some((hub_files, cases))
}

/// What was compared, and every difference found.
#[derive(Default)]
struct Compared {
    prompts: usize,
    tokens: usize,
    /// Prompts compared up to a token at which two were nearly equally likely.
    ties: usize,
    /// Prompts that `transformers` does not compute either.
    refused: usize,
    differences: Vec<String>,
}

impl Compared {
    fn differs(&mut self, question: &str, what: &str) {
        self.differences.push(format!("{question:?}: {what}"));
    }

    /// Asks one prompt.
    fn ask(&mut self, model: &Model, case: &Case, answer: &Answer) {
        self.prompts += 1;
        let question = &answer.question;
        let pictures: Vec<_> = answer
            .pictures
            .iter()
            .map(|&it| formula::picture(it))
            .collect();
        let pictures: Vec<_> = pictures.iter().collect();
        let prompt = match model.processor().prepare(&pictures, question) {
            Ok(prompt) => prompt,
            Err(error) => return self.differs(question, &format!("refused: {error}")),
        };
        let expected = answer.input_ids();
        if prompt.ids != expected {
            let pairs = prompt.ids.iter().zip(&expected);
            let at = pairs.take_while(|(one, other)| one == other).count();
            let [ours, theirs] =
                [&prompt.ids, &expected].map(|ids| &ids[at..ids.len().min(at + 6)]);
            let lengths = (prompt.ids.len(), expected.len());
            let what = format!(
                "input ids from {at}: {ours:?} for {theirs:?}; {} for {}",
                lengths.0, lengths.1
            );
            return self.differs(question, &what);
        }
        let pixels = (!prompt.pixels.is_empty()).then(|| formula::digest(&prompt.pixels));
        if pixels != answer.pixels {
            return self.differs(question, "other pixel values");
        }
        let attention = model.build(variant("standard").unwrap(), 0, None).unwrap();
        let options = GenerationOptions {
            max_new_tokens: case.new_tokens,
            stop_at_end: true,
            deadline: None,
        };
        let embeds = model.encode_image(&prompt).unwrap();
        let generation = model.generate(attention.attention.as_ref(), &prompt, &embeds, &options);
        let generated = match generation {
            Ok(generation) => generation.ids,
            Err(error) => return self.differs(question, &format!("refused: {error}")),
        };
        for (at, margin) in answer.margins.iter().enumerate() {
            if *margin < case.tie {
                self.ties += 1;
                return;
            }
            if generated.get(at) != answer.generated_ids.get(at) {
                let what = format!(
                    "tokens {generated:?} for {:?}, from {at}, where the lead is {margin}",
                    answer.generated_ids
                );
                return self.differs(question, &what);
            }
            self.tokens += 1;
        }
    }

    /// Asks all prompts of a case.
    fn of(case: &Case, hub_files: &Path) -> Self {
        let mut compared = Self::default();
        let folder = case.checkpoint(hub_files);
        let path = folder.path().to_owned();
        let model = match Model::open(&case.checkpoint, path, LoadOptions::default()) {
            Ok(model) => model,
            Err(error) => {
                compared.differences.push(format!("refused: {error}"));
                return compared;
            }
        };
        for asked in &case.prompts {
            match asked {
                Asked::Answered(answer) => compared.ask(&model, case, answer),
                Asked::Refused {
                    question,
                    transformers_refuses,
                } => {
                    println!(
                        "{}: not compared: {question:?}: transformers: {transformers_refuses}",
                        case.checkpoint
                    );
                    compared.refused += 1;
                }
            }
        }
        if compared.tokens == 0 && compared.differences.is_empty() {
            compared.differences.push("no token was compared".into());
        }
        compared
    }
}

#[test]
fn published_small_files_give_the_ids_and_tokens_of_transformers() {
    let Some((hub_files, mut cases)) = zoo() else {
        return;
    };
    cases.retain(|case| case.refused.is_none());
    let (next, lines) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let compared = Compared::of(case, &hub_files);
            println!(
                "{}: {} prompts, {} tokens, {} near ties, {} not computed by transformers, {} differences",
                case.checkpoint,
                compared.prompts,
                compared.tokens,
                compared.ties,
                compared.refused,
                compared.differences.len()
            );
            let of_case = compared
                .differences
                .iter()
                .map(|what| format!("{}: {what}", case.checkpoint));
            lines.lock().unwrap().extend(of_case);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    let mut lines = lines.into_inner().unwrap();
    lines.sort();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Names and shapes as they are published, of 256 million parameters to 13 billion: from the small files, without weights.
#[test]
fn every_tensor_of_the_full_size_is_expected_as_transformers_has_it() {
    let Some((hub_files, cases)) = zoo() else {
        return;
    };
    let mut lines = Vec::new();
    let mut compared = 0;
    for case in cases.iter().filter(|case| case.refused.is_none()) {
        let theirs = case.full_size();
        if theirs.is_empty() {
            println!("not compared: {} has no full size", case.checkpoint);
            continue;
        }
        let folder = case.small_files(&hub_files);
        let ours: BTreeMap<_, _> = match expected_tensors(folder.path()) {
            Ok(ours) => ours.into_iter().collect(),
            Err(error) => {
                lines.push(format!("{}: {error}", case.checkpoint));
                continue;
            }
        };
        compared += theirs.len();
        let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        let differ = names
            .into_iter()
            .filter(|name| ours.get(*name) != theirs.get(*name));
        lines.extend(differ.map(|name| {
            let (own, other) = (ours.get(name), theirs.get(name));
            format!("{}: {name}: {own:?} for {other:?}", case.checkpoint)
        }));
    }
    println!("{compared} tensors");
    let has_own_cases = std::env::var_os("RAVE_HUB_CASES").is_none();
    assert!(compared > 0 || !has_own_cases, "no tensor was compared");
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Without weights: nobody is to fetch gigabytes of a checkpoint that cannot run.
#[test]
fn what_cannot_run_is_refused_by_name_from_the_small_files_alone() {
    let Some((hub_files, cases)) = zoo() else {
        return;
    };
    let mut lines = Vec::new();
    for case in &cases {
        let Some(words) = &case.refused else { continue };
        let path = case.small_files(&hub_files);
        let model = Model::open(
            &case.checkpoint,
            path.path().to_owned(),
            LoadOptions::default(),
        );
        let said = model.err().map_or_else(
            || "nothing: it was loaded".to_owned(),
            |error| error.with_hint(),
        );
        if !words
            .iter()
            .all(|word| said.to_lowercase().contains(word.as_str()))
        {
            lines.push(format!(
                "{}: {words:?} expected, but it said {said}",
                case.checkpoint
            ));
        }
    }
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Values that `tools/zoo_formula.py` gives.
#[test]
fn weights_pictures_and_digests_have_the_bits_that_python_gives_them() {
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let drawn = formula::weights(7, "model.norm.weight", 4, 0.2, 1.0);
    assert_eq!(
        bits(&drawn),
        [0x3F79_6133, 0x3F06_E39A, 0x3F46_2ECD, 0x3F8F_E066]
    );
    assert_eq!(formula::digest(&drawn), "9ad99d7685abf299");
    let many = formula::weights(0, "lm_head.weight", 100_000, 0.0884, 0.0);
    assert_eq!(formula::digest(&many), "021b02a8da47cda2");
    let picture = formula::picture([3, 40, 25]);
    let values: Vec<f32> = picture.iter().map(|&value| f32::from(value)).collect();
    assert_eq!(formula::digest(&values), "2cda6e19fce9131e");
}
