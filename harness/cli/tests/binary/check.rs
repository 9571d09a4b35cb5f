//! `rave check checkpoint`, and the first fetch of a checkpoint of the hub: what cannot run is refused before its weights are asked
//! for.

use std::fs;
use std::path::Path;

use rave_lmm::{read_tensors, write_tensors};
use serde_json::{Value, json};

use crate::hub::{MODEL, asking, generate};
use crate::server::Server;
use crate::{fixture, rave, stderr, stdout, text};

const REPOSITORY: &str = "models/org/tiny";
const INDEX: &str = "model.safetensors.index.json";

fn document(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A hub with the fixture `smolvlm_new`, its weights in two shards, each file after a change.
fn hub(change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Server {
    let server = Server::start();
    let put = |name: &str, bytes: Vec<u8>| {
        if let Some(bytes) = change(name, bytes) {
            server.put(REPOSITORY, name, &bytes);
        }
    };
    for entry in fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() && name != "model.safetensors" {
            put(name, fs::read(&path).unwrap());
        }
    }
    let tensors = read_tensors(&fixture().join("model.safetensors"))
        .unwrap()
        .tensors;
    let mut tensors: Vec<_> = tensors.into_iter().collect();
    tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    let folder = tempfile::tempdir().unwrap();
    let mut places = serde_json::Map::new();
    let halves = tensors.split_at(tensors.len() / 2);
    for (shard, half) in ["a.safetensors", "b.safetensors"]
        .into_iter()
        .zip([halves.0, halves.1])
    {
        let path = folder.path().join(shard);
        write_tensors(&path, half, &std::collections::BTreeMap::new()).unwrap();
        put(shard, fs::read(&path).unwrap());
        places.extend(half.iter().map(|(name, _)| (name.clone(), json!(shard))));
    }
    put(
        INDEX,
        json!({ "weight_map": places }).to_string().into_bytes(),
    );
    server
}

fn check(server: &Server, cache: &Path) -> std::process::Output {
    let mut program = asking(server, cache);
    program
        .args(["check", "checkpoint", MODEL, "--json"])
        .output()
        .unwrap()
}

#[test]
fn a_whole_checkpoint_fits_and_a_damaged_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let words = rave(&["check", "checkpoint", text(folder.path())]);
    assert_eq!(words.status.code(), Some(0), "{}", stderr(&words));
    for part in [
        "smolvlm",
        "names and shapes checked",
        "in bf16",
        "tokenizer.json",
        "it fits",
    ] {
        assert!(stdout(&words).contains(part), "{}", stdout(&words));
    }
    let whole = document(&rave(&[
        "check",
        "checkpoint",
        text(folder.path()),
        "--json",
    ]));
    let counts = &whole["counts"];
    assert_eq!(counts["expected"], counts["found"]);
    assert_eq!(whole["fits"], true);
    let config = folder.path().join("config.json");
    let mut changed: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    changed["text_config"]["intermediate_size"] = json!(64);
    changed["text_config"]["num_hidden_layers"] = json!(3);
    fs::write(&config, changed.to_string()).unwrap();
    let damaged = rave(&["check", "checkpoint", text(folder.path()), "--json"]);
    assert_eq!(damaged.status.code(), Some(1));
    let found = document(&damaged);
    assert_eq!(
        (&found["counts"]["shape"], &found["counts"]["missing"]),
        (&json!(6), &json!(9))
    );
    let shape = &found["tensors"]["shape"][0];
    assert_eq!(
        shape["name"],
        "model.text_model.layers.0.mlp.down_proj.weight"
    );
    assert_eq!(
        (&shape["expected"], &shape["found"]),
        (&json!([32, 64]), &json!([32, 48]))
    );
    let words = stdout(&rave(&["check", "checkpoint", text(folder.path())]));
    assert!(
        words.contains("and 4 more") && words.contains("it does not fit"),
        "{words}"
    );
}

#[test]
fn a_checkpoint_of_the_hub_is_checked_by_its_small_files_and_headers() {
    let server = hub(|_, bytes| Some(bytes));
    let cache = tempfile::tempdir().unwrap();
    let output = check(&server, cache.path());
    let found = document(&output);
    assert_eq!(output.status.code(), Some(0), "{found:#}");
    assert_eq!(found["counts"]["expected"], found["counts"]["found"]);
    assert_eq!(found["tensors"]["without_shape"], 0);
    let asked = server.asked("b.safetensors");
    assert!(!asked.is_empty());
    assert!(
        asked
            .iter()
            .all(|request| request.range.as_deref() == Some("bytes=0-131071")),
        "{asked:?}"
    );
    // What was looked at is no fetched checkpoint.
    let offline = generate(&mut asking(&server, cache.path()), MODEL, &["--offline"]);
    assert_eq!(offline.status.code(), Some(1));
}

#[test]
fn what_cannot_run_is_refused_before_its_weights_are_fetched() {
    let edited = |change: &'static dyn Fn(&mut Value)| {
        move |name: &str, bytes: Vec<u8>| {
            if name != "config.json" {
                return Some(bytes);
            }
            let mut config = serde_json::from_slice(&bytes).unwrap();
            change(&mut config);
            Some(config.to_string().into_bytes())
        }
    };
    let without =
        |gone: &'static str| move |name: &str, bytes: Vec<u8>| (name != gone).then_some(bytes);
    let unsupported = hub(edited(&|config| config["model_type"] = json!("gpt")));
    let contradictory = hub(edited(&|config| {
        config["text_config"]["num_key_value_heads"] = json!(3);
    }));
    let untokenised = hub(without("tokenizer.json"));
    let incomplete = hub(edited(&|config| {
        config["text_config"]["num_hidden_layers"] = json!(3);
    }));
    for (server, parts) in [
        (
            unsupported,
            ["`gpt` is not supported", "choose a checkpoint"],
        ),
        (contradictory, ["config.json", "3 does not divide"]),
        (untokenised, ["tokenizer.json is missing", "fetch it"]),
        (incomplete, [INDEX, "it lacks 9 of the"]),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let output = generate(&mut asking(&server, cache.path()), MODEL, &[]);
        assert_eq!(output.status.code(), Some(1));
        let message = stderr(&output);
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
        assert!(
            server
                .asked("safetensors")
                .iter()
                .all(|request| request.path.ends_with(INDEX)),
            "{message}"
        );
        if message.contains("gpt") {
            assert!(server.asked("tokenizer.json").is_empty());
        }
    }
}

#[test]
fn templates_in_a_folder_of_their_own_are_fetched() {
    let server = hub(|_, bytes| Some(bytes));
    server.put(
        REPOSITORY,
        "additional_chat_templates/tool_use.jinja",
        b"{{ messages }}",
    );
    server.put(REPOSITORY, "additional_chat_templates/notes/a.jinja", b"");
    let cache = tempfile::tempdir().unwrap();
    let output = generate(&mut asking(&server, cache.path()), MODEL, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        !server
            .asked("/additional_chat_templates/tool_use.jinja")
            .is_empty()
    );
    assert!(server.asked("/additional_chat_templates/notes").is_empty());
}

/// The weights are those of a fixture, with so much to say of them that they are worth remembering.
#[cfg(unix)]
#[test]
fn a_hash_is_remembered_and_computed_anew_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (own, cache) = (folder.path().join("model"), folder.path().join("cache"));
    fs::create_dir(&own).unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, own.join(path.file_name().unwrap())).unwrap();
        }
    }
    let weights = own.join("model.safetensors");
    let mut file = read_tensors(&weights).unwrap();
    file.metadata.insert("said".into(), "x".repeat(33 << 20));
    write_tensors(&weights, &Vec::from_iter(file.tensors), &file.metadata).unwrap();
    let check = |more: &[&str]| {
        let mut command = crate::program();
        command.env("RAVE_CACHE", &cache);
        command.args(["check", "checkpoint", text(&own), "--json"]);
        command.args(more).output().unwrap()
    };
    // Not while it was changed just now.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let first = check(&["--hash"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let known = document(&first)["sha256"].clone();
    let bytes = fs::read(&weights).unwrap();
    assert_eq!(known, crate::server::sha256(&bytes));
    let memory = fs::read_dir(cache.join("hashes")).unwrap().next();
    let memory = memory.unwrap().unwrap().path();
    let remembered = fs::read_to_string(&memory).unwrap();
    let false_one = remembered.replace(known.as_str().unwrap(), &"0".repeat(64));
    fs::write(&memory, false_one).unwrap();
    let second = check(&["--hash"]);
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(document(&second)["sha256"], known);
    assert_eq!(document(&second)["remembered_sha256"], "0".repeat(64));
    assert_eq!(fs::read_to_string(&memory).unwrap(), remembered, "mended");
    assert!(document(&check(&[]))["sha256"].is_null());
}
