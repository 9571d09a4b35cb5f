//! `rave compare` and `rave paper-table`, on the published runs: no model is needed.

use super::*;

/// The project's folder.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A published run.
fn published(name: &str) -> PathBuf {
    project().join("results/runs").join(name)
}

/// A copy of a run with its record changed.
fn changed(from: &Path, to: &Path, change: impl FnOnce(&mut Value)) {
    fs::create_dir_all(to).unwrap();
    let record = fs::read_to_string(from.join("run.json")).unwrap();
    let mut record: Value = serde_json::from_str(&record).unwrap();
    change(&mut record);
    fs::write(to.join("run.json"), record.to_string()).unwrap();
    fs::copy(from.join("samples.parquet"), to.join("samples.parquet")).unwrap();
}

#[test]
fn published_runs_stand_side_by_side() {
    let (first, second) = (published("nano-protocol-1"), published("nano"));
    let runs = [text(&first), text(&second)];
    let output = rave(&[&["compare"], &runs[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    for phrase in [
        "nano has other weights in nano than in nano-protocol-1",
        "nano-protocol-1:rave-key-only",
        "nano: difference to standard of the same run",
    ] {
        assert!(table.contains(phrase), "{phrase}: {table}");
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let baseline = [
        "--baseline",
        "nano-protocol-1",
        "--json",
        "--out",
        text(&out),
        "--format",
        "md,csv",
    ];
    let output = rave(&[&["compare"], &runs[..], &baseline].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["baseline"], "the same variant of nano-protocol-1");
    let cells = summary["macros"].as_array().unwrap();
    let gain = |variant: &str| {
        let cell = cells
            .iter()
            .find(|cell| cell["variant"] == variant)
            .unwrap();
        cell["difference"]["value"].as_f64()
    };
    // Longer training, not attention: every variant gained alike.
    assert!(gain("nano:standard").unwrap() > 0.1 && gain("nano:rave").unwrap() > 0.1);
    assert_eq!(gain("nano-protocol-1:rave"), None);
    assert!(out.join("report.md").is_file() && out.join("summary.csv").is_file());
}

#[test]
fn runs_that_measure_other_things_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    let nano = published("nano");
    changed(&nano, &here("data"), |record| {
        record["data"]["embedded-ocr"]["fingerprint"] = json!("other");
    });
    changed(&nano, &here("metric"), |record| {
        record["configuration"]["suites"][1]["metric_version"] = json!(9);
    });
    changed(&nano, &here("old"), |record| {
        record["schema_version"] = json!(0);
    });
    let (data, metric, old) = (here("data"), here("metric"), here("old"));
    let absent = here("absent");
    let (nano, latency) = (text(&nano), published("latency-smolvlm-256m"));
    let cases: [(&[&str], &[&str]); 8] = [
        (
            &[nano, text(&data)],
            &["suite 'embedded-ocr' has another data", "--force"],
        ),
        (
            &[nano, text(&metric)],
            &["suite 'embedded-chart' has another metric", "--force"],
        ),
        (&[nano, nano], &["given twice"]),
        (
            &[nano, "--baseline", "pai"],
            &["baseline 'pai'", "standard, rave"],
        ),
        (&[nano, text(&latency)], &["nothing in common", "one kind"]),
        (&[nano, text(&old)], &["schema version 0", "repeat the run"]),
        (&[text(&absent)], &["no run here", "run.json"]),
        (&[nano, "--format", "md"], &["--out <DIR>"]),
    ];
    for (arguments, phrases) in cases {
        let output = rave(&[&["compare"], arguments].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        for phrase in phrases {
            assert!(message.contains(phrase), "{arguments:?}: {message}");
        }
    }
    let forced = rave(&["compare", nano, text(&data), "--force"]);
    assert!(forced.status.success(), "{}", stderr(&forced));
    assert!(stdout(&forced).contains("! forced comparison of unequal runs: nano and data"));
}

#[test]
fn a_latency_run_is_held_to_equivalence() {
    let run = published("latency-smolvlm-256m");
    let output = rave(&["compare", text(&run)]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(
        table.contains("within 5.0 %?") && table.contains("standard again"),
        "{table}"
    );
    let refused = rave(&["compare", text(&run), "--baseline", "rave"]);
    assert!(
        stderr(&refused).contains("each with its own standard"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn the_papers_table_is_made_from_the_published_runs() {
    let folder = tempfile::tempdir().unwrap();
    let table = |arguments: &[&str], place: &Path| {
        program()
            .arg("paper-table")
            .args(arguments)
            .current_dir(place)
            .output()
            .unwrap()
    };
    let out = folder.path().join("table");
    let output = table(
        &[
            "--json",
            "--out",
            text(&out),
            "--format",
            "txt,md,csv,json,tex",
        ],
        &project(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = whole["findings"].as_array().unwrap();
    let verdict = |claim: &str| {
        let own = findings.iter().find(|finding| finding["claim"] == claim);
        own.unwrap()["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(findings.len(), 8);
    assert_eq!(verdict("plug-and-play"), "reproduced");
    assert_eq!(verdict("parameters"), "reproduced");
    assert_ne!(verdict("overhead"), "not-measured");
    assert!(whole["scale"][0]["training"].is_array());
    for name in [
        "paper-table.txt",
        "paper-table.md",
        "claims.csv",
        "variants.csv",
        "paper-table.json",
        "paper-table.tex",
    ] {
        assert!(out.join(name).is_file(), "{name}");
    }
    // Away from the project there is nothing to take by default, and what is named is enough.
    let away = table(&[], folder.path());
    assert_eq!(away.status.code(), Some(1));
    assert!(
        stderr(&away).contains("none of the published runs is here"),
        "{}",
        stderr(&away)
    );
    let nano = fs::canonicalize(published("nano")).unwrap();
    let named = table(&["--run", text(&nano)], folder.path());
    let shown = stdout(&named);
    assert!(
        shown.contains("6. overhead") && shown.contains("no latency run was given"),
        "{shown}"
    );
    let unknown = table(
        &[text(&nano), "--out", text(&out), "--format", "pdf"],
        folder.path(),
    );
    assert!(
        stderr(&unknown).contains("invalid value 'pdf'")
            && stderr(&unknown).contains("txt, md, csv, tex, json]"),
        "{}",
        stderr(&unknown)
    );
}
