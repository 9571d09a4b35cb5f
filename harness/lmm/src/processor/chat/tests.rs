//! Held against `transformers` 5.23: `tests/fixtures/texts` was written by `make_text_fixtures.py` beside it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::processor::text::tests::checkpoint;

/// A template without a checkpoint.
fn template(source: &str) -> ChatTemplate {
    let tokens = json!({ "bos_token": "<s>", "eos_token": "</s>", "image_token": "<image>" });
    ChatTemplate::compile(Path::new("chat_template.jinja"), source, tokens).expect("it compiles")
}

fn fixture<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/texts");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

#[derive(Deserialize)]
struct Template {
    template: String,
    text: String,
}

#[derive(Deserialize)]
struct TemplateFiles {
    files: BTreeMap<String, String>,
    template: String,
}

#[test]
fn templates_write_what_transformers_lets_them_write() {
    let mut wrong = Vec::new();
    for Template {
        template: source,
        text,
    } in fixture("templates.json")
    {
        let written = template(&source).render(1, "What's \"12\"?");
        let written = written.unwrap_or_else(|error| error.to_string());
        if written != text {
            wrong.push(format!(
                "{source}\n  here          {written}\n  transformers  {text}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_end_of_a_line_is_a_newline_as_in_jinja() {
    let source = "{% if true %}\r\na\r\nb\rc{{ 'd\r\ne' }}\r\n{% endif %}\r\n";
    assert_eq!(
        template(source).render(0, "one\r\ntwo").unwrap(),
        "a\nb\ncd\ne\n"
    );
    let question = "{{ messages[0]['content'][0]['text'] }}";
    assert_eq!(
        template(question).render(0, "one\r\ntwo").unwrap(),
        "one\r\ntwo"
    );
}

#[test]
fn the_place_of_a_template_is_that_of_transformers() {
    for case in fixture::<TemplateFiles>("places.json") {
        let (_folder, checkpoint) = checkpoint(&case.files);
        let (_, source) = find::find(&checkpoint).unwrap();
        assert_eq!(source, case.template, "{:?}", case.files);
    }
}

#[test]
fn templates_that_are_none_are_refused_by_their_file() {
    for (files, part) in [
        (
            vec![
                ("chat_template.json", r#"{"chat_template": "a"}"#),
                ("additional_chat_templates/b.jinja", "b"),
            ],
            "additional_chat_templates/b.jinja",
        ),
        (
            vec![("additional_chat_templates/b.jinja", "b")],
            "(b.jinja) none is named default",
        ),
        (
            vec![("processor_config.json", r#"{"chat_template": {"a": "b"}}"#)],
            "(a) none is named default",
        ),
        (
            vec![("chat_template.json", r#"{"template": "a"}"#)],
            "no chat_template",
        ),
        (
            vec![("chat_template.json", r#"{"chat_template": 7}"#)],
            "no text",
        ),
        (vec![], "a chat template"),
    ] {
        let files = files
            .iter()
            .map(|&(name, content)| (name.to_owned(), content.to_owned()));
        let (_folder, checkpoint) = checkpoint(&files.collect());
        let error = find::find(&checkpoint).unwrap_err().with_hint();
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn a_template_without_end_is_an_error() {
    let rounds =
        "{% for a in range(99999) %}{% for b in range(99999) %}BODY{% endfor %}{% endfor %}";
    for (body, reason) in [("", "fuel"), ("{{ 'long' * 9999 }}", "16777216 bytes")] {
        let error = template(&rounds.replace("BODY", body))
            .render(0, "?")
            .expect_err("it has no end");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_template_that_fails_says_why() {
    for (source, reason) in [
        (
            "{{ raise_exception('roles must take turns') }}",
            "roles must take turns",
        ),
        ("{{ strftime_now('%Q') }}", "strftime_now does not know"),
        ("{{ missing | tojson }}", "cannot be written as JSON"),
        ("{{ 1 | tojson(width=2) }}", "width"),
    ] {
        let error = template(source).render(0, "?").unwrap_err().with_hint();
        assert!(error.contains(reason), "`{reason}` is not in: {error}");
    }
}

#[test]
fn generation_blocks_leave_what_they_hold() {
    let source = "a {%- generation -%} {{ x }} {%endgeneration%}\n{% if x %}b{% endif %} {%";
    assert_eq!(
        without_generation_blocks(source),
        "a {%- with -%} {{ x }} {%endwith%}\n{% if x %}b{% endif %} {%"
    );
}
