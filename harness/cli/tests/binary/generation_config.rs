//! What a checkpoint's generation config does to commands and records.

use super::*;

/// The fixture's checkpoint with another generation config.
fn checkpoint(folder: &Path, config: &Value) -> PathBuf {
    let path = folder.join("checkpoint");
    fs::create_dir_all(&path).unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            fs::copy(&file, path.join(file.file_name().unwrap())).unwrap();
        }
    }
    fs::write(path.join("generation_config.json"), config.to_string()).unwrap();
    path
}

#[test]
fn a_refused_key_names_the_option_that_goes_on_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        json!({ "num_beams": 4, "no_repeat_ngram_size": 2, "made_up": 1, "temperature": 0.5 });
    let model = checkpoint(folder.path(), &config);
    let base = [
        "generate",
        "--model",
        text(&model),
        "--prompt",
        "What?",
        "--max-new-tokens",
        "4",
        "--json",
    ];
    let refused = rave(&base);
    assert_eq!(refused.status.code(), Some(1));
    let message = stderr(&refused);
    for part in [
        "generation_config.json",
        "num_beams 4",
        "--ignore-generation-config num_beams",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let unknown = rave(&[&base[..], &["--ignore-generation-config", "num_beam"]].concat());
    assert!(
        stderr(&unknown).contains("did you mean `num_beams`?"),
        "{}",
        stderr(&unknown)
    );
    let output = rave(
        &[
            &base[..],
            &["--ignore-generation-config", "num_beams,min_length"],
        ]
        .concat(),
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        answer["generation_config"],
        json!({
            "file": "generation_config.json", "applied": { "no_repeat_ngram_size": 2 }, "ignored": { "num_beams": 4 },
            "unknown": { "made_up": 1 },
        })
    );
}

#[test]
fn a_run_records_what_was_followed_and_goes_on_only_with_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let model = checkpoint(
        folder.path(),
        &json!({ "suppress_tokens": [3], "num_beams": 2 }),
    );
    let out = folder.path().join("run");
    let arguments = small(text(&model), "2", &out);
    let refused = rave(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("num_beams 2 asks for beam search"),
        "{}",
        stderr(&refused)
    );
    assert!(!out.exists(), "a refused request left a folder");
    let arguments = [
        &arguments[..],
        &["--ignore-generation-config", "num_beams", "--json"],
    ]
    .concat();
    let output = rave(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let record: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(
        record["models"][0]["generation"],
        json!({ "file": "generation_config.json", "applied": { "suppress_tokens": [3] }, "ignored": { "num_beams": 2 } })
    );
    let notes = fs::read_to_string(out.join("report/report.md")).unwrap();
    for part in [
        "decoded with: suppress_tokens [3]",
        "decoded without: num_beams 2",
    ] {
        assert!(notes.contains(part), "{notes}");
    }

    let resumed = |more: &[&str]| rave(&[&arguments[..], &["--resume"], more].concat());
    assert_eq!(resumed(&[]).status.code(), Some(0));
    let other = resumed(&["--ignore-generation-config", "suppress_tokens"]);
    assert_eq!(other.status.code(), Some(1));
    let message = stderr(&other);
    assert!(
        message.contains("suppress_tokens of applied of generation config"),
        "{message}"
    );
    checkpoint(
        folder.path(),
        &json!({ "suppress_tokens": [4], "num_beams": 2 }),
    );
    let other = resumed(&[]);
    assert_eq!(other.status.code(), Some(1));
    let message = stderr(&other);
    assert!(
        message.contains("generation_config.json of files"),
        "{message}"
    );
    // Of a tokenizer, a template or a config just as well.
    checkpoint(
        folder.path(),
        &json!({ "suppress_tokens": [3], "num_beams": 2 }),
    );
    assert_eq!(resumed(&[]).status.code(), Some(0));
    fs::write(model.join("tokenizer_config.json"), "{}").unwrap();
    let other = resumed(&[]);
    assert!(
        stderr(&other).contains("tokenizer_config.json of files"),
        "{}",
        stderr(&other)
    );
}
