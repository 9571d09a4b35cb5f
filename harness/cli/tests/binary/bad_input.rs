//! Bad input of every kind: one clear error, exit code 1.

use super::*;

#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[test]
fn bad_input_is_one_clear_error_and_exit_code_one() {
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    fs::write(here("file"), "x").unwrap();
    fs::write(here("bad.jsonl"), "{\"prediction\": 1}\n").unwrap();
    let bare = here("bare.jsonl");
    fs::write(&bare, "{\"prediction\": \"a\", \"answers\": [\"a\"]}\n").unwrap();
    chartqa(&here("data"), &[png(&image::RgbImage::new(2, 2))]);
    fs::create_dir(here("empty")).unwrap();
    let (data, empty, file) = (here("data"), here("empty"), here("file"));
    let (under_file, jsonl) = (file.join("run"), here("bad.jsonl"));
    let out = here("out");
    // A folder stands where the picture is to go.
    let taken = here("taken");
    fs::create_dir_all(taken.join("embedded-ocr-test.png")).unwrap();
    let preset = |name: &str, text: &str| {
        fs::write(here(name), text).unwrap();
        here(name).to_str().unwrap().to_owned()
    };
    let presets = [
        preset("axis.toml", "method = \"rave\"\nranks = 4\n"),
        preset("zero.toml", "method = \"rave\"\nrank = 0\n"),
        preset("head.toml", "method = \"rave\"\nheads = [0, 2]\n"),
        preset("deep.toml", "method = \"pai\"\nlayers = [99]\n"),
        preset("gone.toml", "method = \"fastv\"\nratio = 1.0\n"),
        preset("raev.toml", "method = \"raev\"\n"),
        preset("pai.toml", "method = \"pai\"\n"),
    ];
    let own = bad_suites(folder.path());
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    fs::write(here("answers.xlsx"), "PK").unwrap();
    fs::write(here("answers.csv"), "id,answer\n1,a\n").unwrap();
    let (spreadsheet, cells) = (here("answers.xlsx"), here("answers.csv"));
    let score = ["score", "--metric", "anls", "--predictions"];
    let presets: Vec<&str> = presets.iter().map(String::as_str).collect();
    let chosen = |file: usize| [&nano_eval(text(&out))[..], &["--variant", presets[file]]].concat();
    let sheets = ["suites", "--render", text(&out)];
    let nano = nano_eval(text(&out));
    let with = |more: &[&'static str]| [&nano[..], more].concat();
    let image = ["generate", "--model", "nano", "--prompt", "?", "--image"];
    let cases: Vec<(Vec<&str>, &[&str])> = vec![
        (
            with(&["--variant", "raev"]),
            &["unknown variant `raev`", "did you mean `rave`"],
        ),
        (chosen(0), &["axis.toml", "unknown field `ranks`", "`rank`"]),
        (chosen(1), &["variant `zero`", "rank 0", "1 to 128"]),
        (chosen(2), &["variant `head`", "head 2", "the heads 0 to 1"]),
        (
            chosen(3),
            &["variant `deep`", "layer 99", "allowed is 0 to"],
        ),
        (chosen(4), &["variant `gone`", "ratio 1", "0 to below 1"]),
        (
            chosen(5),
            &["raev.toml", "unknown method `raev`", "did you mean `rave`"],
        ),
        (chosen(6), &["pai.toml", "registered", "id = "]),
        (
            with(&["--variant", "absent.toml"]),
            &["absent.toml", "give a TOML file"],
        ),
        (with(&["--suite", "chartqs"]), &["chartqs", "chartqa"]),
        (
            [&nano[..], &["--suite", own[0]]].concat(),
            &["suite.toml", "unknown field `colour`"],
        ),
        (
            [&nano[..], &["--suite", own[1]]].concat(),
            &["test.jsonl", "the id `a` occurs twice"],
        ),
        (
            [&nano[..], &["--suite", own[2]]].concat(),
            &["test.jsonl, line 1", "missing field `answers`"],
        ),
        (
            [&nano[..], &["--suite", own[3]]].concat(),
            &["qa.parquet, row 0", "`qa_pairs` is no Python literal"],
        ),
        (
            [&nano[..], &["--suite", own[4]]].concat(),
            &["column `question`", "mixed up", "suite.toml"],
        ),
        (
            with(&["--suite", "absent/suite.toml"]),
            &["absent/suite.toml", "check that it is there"],
        ),
        (
            with(&["--split", "train"]),
            &["embedded-ocr", "drawn", "leave the split out"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano-untrained",
                "--suite",
                "embedded-ocr",
                "--samples",
                "ocr-9",
                "--out",
                text(&out),
            ],
            &["no sample `ocr-9`", "`ocr-000000` to `ocr-000199`"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano-untrained",
                "--samples",
                "ocr-000009",
                "--out",
                text(&out),
            ],
            &["--samples ocr-000009", "SUITE/ID"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano-untrained",
                "--shuffle",
                "1",
                "--out",
                text(&out),
            ],
            &["--limit"],
        ),
        (
            [&score[..], &[text(&spreadsheet)]].concat(),
            &["answers.xlsx", "save it as .tsv or .csv"],
        ),
        (
            [&score[..], &[text(&cells)]].concat(),
            &["answers.csv", "no column `prediction`"],
        ),
        (with(&["--variant", "rave,rave"]), &["names `rave` twice"]),
        (with(&["--variant", "all,rave"]), &["names `rave` twice"]),
        (
            with(&["--variant", "standard,"]),
            &["--variant standard, has an empty entry"],
        ),
        (with(&["--suite", ""]), &["--suite", "empty entry"]),
        (
            with(&["--suite", "all"]),
            &["docvqa", "not in the hub's cache", "--offline"],
        ),
        (
            with(&["--variant", "rave", "--adapter", "absent.safetensors"]),
            &["absent.safetensors", "no such file"],
        ),
        (with(&["--dtype", "f64"]), &["dtype `f64`", "bf16"]),
        (with(&["--device", "tpu"]), &["device `tpu`", "cuda:N"]),
        (with(&["--device", "cuda"]), &["device `cuda`"]),
        (with(&["--suite", "chartqa"]), &["chartqa", "--data"]),
        (
            with(&["--fail-on-error", "maybe"]),
            &["never, any, or a fraction"],
        ),
        (with(&["--colour"]), &["--colour"]),
        (
            vec![
                "eval",
                "--model",
                "nano",
                "--variant",
                "rave",
                "--adapter",
                "absent.safetensors",
                "--out",
                text(&out),
            ],
            &["does not go with `nano`", "folders"],
        ),
        (
            vec!["eval", "--model", "nano", "--limit", "0"],
            &["--limit 0"],
        ),
        (
            vec!["eval", "--model", "nanp", "--out", text(&out)],
            &["no model `nanp`", "nano"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano",
                "--suite",
                "chartqa",
                "--data",
                text(&empty),
                "--out",
                text(&out),
            ],
            &["empty", "parquet"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano",
                "--suite",
                "docvqa",
                "--data",
                text(&data),
                "--out",
                text(&out),
            ],
            &["docvqa"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano",
                "--limit",
                "1",
                "--out",
                text(&under_file),
            ],
            &["run", "file", "choose another --out"],
        ),
        (
            vec![
                "eval",
                "--model",
                "nano",
                "--limit",
                "1",
                "--out",
                text(&file),
            ],
            &["file", "cannot be written", "choose another --out"],
        ),
        (
            vec!["score", "--metric", "anls", "--predictions", "nope"],
            &["cannot read nope", "- for stdin"],
        ),
        (vec!["report", text(&empty)], &["empty", "run.json"]),
        (
            vec!["report", text(&empty), "--format", "docx"],
            &["docx", "csv"],
        ),
        (
            vec!["score", "--metric", "anls", "--predictions", text(&jsonl)],
            &["bad.jsonl", "line 1"],
        ),
        (
            vec!["score", "--suite", "mtvqa", "--predictions", text(&bare)],
            &["bare.jsonl", "line 1", "category", "--data DIR"],
        ),
        (
            vec!["score", "--metric", "bleu", "--predictions", text(&jsonl)],
            &["bleu", "anls"],
        ),
        (vec!["score", "--predictions", text(&jsonl)], &["--suite"]),
        (
            [&sheets[..], &["--suite", "embedded-ocr,chartqa"]].concat(),
            &["`chartqa`", "not drawn", "embedded-general"],
        ),
        (
            [&sheets[..], &["--suite", "embedded-scenes"]].concat(),
            &["did you mean `embedded-scene`"],
        ),
        (
            [&sheets[..], &["--split", "validation"]].concat(),
            &["`validation`", "train and test"],
        ),
        (
            [&sheets[..], &["--count", "0"]].concat(),
            &["--count", "1..=400"],
        ),
        ([&sheets[..], &["--json"]].concat(), &["--json"]),
        (vec!["suites", "--suite", "embedded-ocr"], &["--render"]),
        (
            vec!["suites", "--render", text(&under_file)],
            &["--render", "cannot make this folder"],
        ),
        (
            vec![
                "suites",
                "--render",
                text(&taken),
                "--suite",
                "embedded-ocr",
            ],
            &["cannot write", "embedded-ocr-test.png"],
        ),
        ([&image[..], &[text(&file)]].concat(), &["file", "PNG"]),
        ([&image[..], &["absent.png"]].concat(), &["absent.png"]),
    ];
    for (arguments, parts) in cases {
        let output = rave(&arguments);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert!(
            message.contains("error:") && output.stdout.is_empty(),
            "{arguments:?}: {message}"
        );
        for part in parts {
            assert!(
                message.contains(part),
                "{arguments:?}: `{part}` is not in: {message}"
            );
        }
    }
    // Nothing that is wrong with a request costs the folder that it names.
    assert!(!out.exists());
}

/// `rave eval` of one sample on the untrained nano.
fn nano_eval(out: &str) -> [&str; 7] {
    [
        "eval",
        "--model",
        "nano-untrained",
        "--limit",
        "1",
        "--out",
        out,
    ]
}

/// Folders with a suite each of which something is wrong: a stray key, an id twice, a line without answers, pairs that are no
/// literal, questions and answers in each other's place.
fn bad_suites(folder: &Path) -> Vec<String> {
    let line = |more: &str| {
        format!("{{\"id\": \"a\", \"image\": \"1.png\", \"question\": \"Who?\"{more}}}\n")
    };
    let answered = line(", \"answers\": [\"me\"]");
    let parquet = |name: &str, columns: [(&str, &str); 3], split: &Path| {
        let pictures = Series::new("image".into(), [b"png".as_slice()]);
        let cells = columns.map(|(name, cell)| Column::new(name.into(), [cell]));
        let columns = cells.into_iter().chain([pictures.into_column()]).collect();
        let mut frame = DataFrame::new(1, columns).unwrap();
        ParquetWriter::new(fs::File::create(split.join(name)).unwrap())
            .finish(&mut frame)
            .unwrap();
    };
    let make = |number: usize, layout: &str, more: &str| {
        let own = folder.join(format!("own-{number}"));
        fs::create_dir(&own).unwrap();
        let toml = format!(
            "id = \"own-{number}\"\nlayout = \"{layout}\"\nmetric = \"anls\"\nmax_new_tokens = 4\n{more}"
        );
        fs::write(own.join("suite.toml"), toml).unwrap();
        fs::write(own.join("1.png"), png(&image::RgbImage::new(2, 2))).unwrap();
        own
    };
    let owns = [
        make(0, "jsonl", "colour = 1\n"),
        make(1, "jsonl", ""),
        make(2, "jsonl", ""),
        make(3, "mtvqa", "split = \"qa\"\n"),
        make(4, "chartqa", ""),
    ];
    fs::write(owns[1].join("test.jsonl"), answered.repeat(2)).unwrap();
    fs::write(owns[2].join("test.jsonl"), line("")).unwrap();
    let pairs = [("id", "1"), ("lang", "DE"), ("qa_pairs", "no literal")];
    parquet("qa.parquet", pairs, &owns[3]);
    let swapped = [("type", "bar"), ("question", "red"), ("answer", "Which?")];
    parquet("test.parquet", swapped, &owns[4]);
    owns.map(|own| text(&own).to_owned()).to_vec()
}
