//! Held against `transformers` 5.23: `tests/fixtures/texts` was written by `make_text_fixtures.py` beside it. Whole folders of
//! real files are read from the folder that `RAVE_TEXTS` names, as that script writes it with `--folders`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use super::*;

/// What `transformers` gave for one folder.
#[derive(Deserialize)]
struct Case {
    name: String,
    /// A folder as it is, or these files.
    folder: Option<PathBuf>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// What the family's processor adds.
    #[serde(default)]
    added: Vec<String>,
    marker: String,
    markers: Vec<String>,
    names: BTreeMap<String, String>,
    /// Of each text, with the tokenizer's own additions.
    ids: Vec<Vec<i64>>,
    /// Each text after it was tokenised without them; none where an added token is normalised (see `text.rs`).
    decoded: Option<Vec<String>>,
    #[serde(default)]
    prompts: Vec<Asked>,
    #[serde(default)]
    answers: Vec<Answered>,
}

#[derive(Deserialize)]
struct Asked {
    pictures: usize,
    question: String,
    chat: String,
    /// Every picture stands for three tokens.
    ids: Vec<i64>,
}

#[derive(Deserialize)]
struct Answered {
    question: String,
    answer: String,
    next: String,
    end: i64,
    answer_ids: Vec<i64>,
    next_ids: Vec<i64>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/texts")
}

/// A checkpoint of these files and one number.
pub(crate) fn checkpoint(files: &BTreeMap<String, String>) -> (TempDir, Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match content.strip_prefix('@') {
            Some(shared) => drop(fs::copy(fixtures().join(shared), path).unwrap()),
            None => fs::write(path, content).unwrap(),
        }
    }
    let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let weights = [&header.len().to_le_bytes()[..], header, &[0; 4]].concat();
    fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    if !files.contains_key("config.json") {
        fs::write(folder.path().join("config.json"), "{}").unwrap();
    }
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    (folder, checkpoint)
}

/// The files of a folder that are text.
fn read(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let texts = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        Some((name, fs::read_to_string(entry.path()).ok()?))
    });
    texts.collect()
}

fn check(case: &Case, texts: &[String]) {
    let name = &case.name;
    let files = case.folder.as_deref().map(read);
    let mut files = files.unwrap_or_else(|| case.files.clone());
    let has_template = !case.prompts.is_empty();
    if !has_template {
        files.insert("chat_template.jinja".to_owned(), String::new());
        files.remove("chat_template.json");
    }
    let (_folder, checkpoint) = checkpoint(&files);
    let added: Vec<_> = case.added.iter().map(String::as_str).collect();
    let mut text = Text::open(&checkpoint, i64::MAX, &added).unwrap();
    text.set_markers(case.markers.iter().map(String::as_str));
    let names: BTreeMap<_, _> = text.names.iter().cloned().collect();
    assert_eq!(names, case.names, "{name}");
    assert_eq!(texts.len(), case.ids.len(), "{name}");
    for (words, ids) in texts.iter().zip(&case.ids) {
        assert_eq!(
            &text.encode(words, true, false).unwrap(),
            ids,
            "{name}: {words:?}"
        );
    }
    for (words, decoded) in texts.iter().zip(case.decoded.iter().flatten()) {
        let plain = text.encode(words, false, false).unwrap();
        assert_eq!(&text.decode(&plain).unwrap(), decoded, "{name}: {words:?}");
    }
    for asked in &case.prompts {
        let placeholder = |_| case.marker.repeat(3);
        let prompt = text.prompt(asked.pictures, &asked.question, &case.marker, placeholder);
        let prompt = prompt.unwrap();
        assert_eq!(prompt.chat, asked.chat, "{name}");
        assert_eq!(prompt.ids, asked.ids, "{name}: {:?}", asked.chat);
    }
    for turn in &case.answers {
        let answer = |next| text.answer(&turn.question, &turn.answer, next, &[turn.end]);
        let (ids, next) = answer(Some(turn.next.as_str())).unwrap();
        assert_eq!(ids, turn.answer_ids, "{name}: {:?}", turn.answer);
        assert_eq!(next, turn.next_ids, "{name}: {:?}", turn.next);
        assert_eq!(answer(None).unwrap(), (ids, Vec::new()), "{name}");
    }
}

/// Checks all cases of a file: the texts first, then a case a folder.
fn check_all(path: &Path) -> usize {
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let texts: Vec<String> = serde_json::from_value(entries[0]["texts"].clone()).unwrap();
    for entry in &entries[1..] {
        check(&serde_json::from_value(entry.clone()).unwrap(), &texts);
    }
    entries.len() - 1
}

#[test]
fn texts_prompts_and_answers_have_the_ids_of_transformers() {
    assert_eq!(check_all(&fixtures().join("texts.json")), 15);
}

#[test]
fn folders_of_real_files_have_the_ids_of_transformers() {
    if let Some(folder) = std::env::var_os("RAVE_TEXTS") {
        let count = check_all(&Path::new(&folder).join("texts.json"));
        assert!(count > 0, "no cases in {}", folder.display());
        println!("{count} folders");
    }
}

/// The message with which a checkpoint of these files is refused.
fn refusal(files: &[(&str, &str)]) -> String {
    let files = files
        .iter()
        .map(|&(name, content)| (name.to_owned(), content.to_owned()));
    let (_folder, checkpoint) = checkpoint(&files.collect());
    match Text::open(&checkpoint, i64::MAX, &[]) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.with_hint(),
    }
}

#[test]
fn what_is_missing_or_not_supported_is_refused_by_name() {
    let (vocabulary, merges) = (
        ("vocab.json", "@bytes.vocab.json"),
        ("merges.txt", "@bytes.merges.txt"),
    );
    let whole = ("tokenizer.json", "@bytes.tokenizer.json");
    let qwen = ("config.json", r#"{"model_type": "qwen2_vl"}"#);
    let class = |name: &str| format!(r#"{{"tokenizer_class": "{name}"}}"#);
    let (unknown, llama) = (class("OwnTokenizer"), class("LlamaTokenizer"));
    let config = "tokenizer_config.json";
    for (files, parts) in [
        (vec![qwen, vocabulary], ["merges.txt is missing", "fetch"]),
        (vec![qwen, merges], ["vocab.json is missing", "fetch"]),
        (vec![qwen], ["tokenizer.json is missing", "save_pretrained"]),
        (
            vec![qwen, ("tokenizer.model", "?")],
            ["tokenizer.json is missing", "save_pretrained"],
        ),
        // transformers opens neither.
        (
            vec![
                ("config.json", r#"{"model_type": "smolvlm"}"#),
                vocabulary,
                merges,
            ],
            ["tokenizer.json is missing", "fetch"],
        ),
        (
            vec![qwen, vocabulary, ("merges.txt", "a b c")],
            ["vocab.json", "no vocabulary"],
        ),
        (
            vec![qwen, ("vocab.json", "[1]"), merges],
            ["vocab.json", "no vocabulary"],
        ),
        (
            vec![qwen, whole, (config, &unknown)],
            ["tokenizer_class OwnTokenizer", "can be loaded"],
        ),
        (
            vec![("config.json", "{}"), vocabulary, merges, (config, &llama)],
            ["tokenizer.json is missing", "fetch"],
        ),
        (
            vec![
                whole,
                (config, r#"{"auto_map": {"AutoTokenizer": ["a.b", null]}}"#),
            ],
            ["auto_map", "not run"],
        ),
        (
            vec![whole, (config, r#"{"added_tokens_decoder": {"x": {}}}"#)],
            [config, "x is not a token"],
        ),
        (
            vec![whole, (config, r#"{"bos_token": 7}"#)],
            [config, "bos_token is not a token"],
        ),
        (
            vec![whole, ("added_tokens.json", r#"{"<a>": "x"}"#)],
            ["added_tokens.json", "<a> has no id"],
        ),
        (
            vec![whole, ("special_tokens_map.json", "[]")],
            ["special_tokens_map.json", "not a JSON object"],
        ),
        (
            vec![whole, (config, r#"{"fast_tokenizer_files": []}"#)],
            ["fast_tokenizer_files", "use a"],
        ),
    ] {
        let message = refusal(&files);
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
}

#[test]
fn a_template_that_ends_no_answer_needs_a_tokenizer_with_the_end_token() {
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content[0].text }} {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
    let files = [
        ("tokenizer.json", "@bytes.tokenizer.json"),
        ("chat_template.jinja", template),
    ];
    let files = files.map(|(name, content)| (name.to_owned(), content.to_owned()));
    let (_folder, checkpoint) = checkpoint(&files.into());
    let text = Text::open(&checkpoint, i64::MAX, &[]).unwrap();
    let error = text
        .answer("a", "b", None, &[99_999])
        .unwrap_err()
        .to_string();
    assert!(error.contains("none of the end tokens [99999]"), "{error}");
}
