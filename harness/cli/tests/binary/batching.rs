//! What is computed together, and what stops a run: neither batches nor shared beginnings, threads, shards or signals move an answer.

use rave_results::schema::FailureKind;

use super::*;

/// A suite of three pictures with four questions each and two pictures with one.
fn survey(folder: &Path) -> PathBuf {
    let own = folder.join("survey");
    fs::create_dir_all(&own).unwrap();
    let toml = "id = \"survey\"\nlayout = \"jsonl\"\nmetric = \"anls\"\nmax_new_tokens = 6\n";
    fs::write(own.join("suite.toml"), toml).unwrap();
    let mut lines = String::new();
    for number in 0..5_u8 {
        let name = format!("{number}.png");
        let picture = image::RgbImage::from_fn(90, 60, |x, y| {
            image::Rgb([(x * 3) as u8, (y * 4) as u8, 50 * number])
        });
        fs::write(own.join(&name), png(&picture)).unwrap();
        let questions = [
            "What is it?",
            "Which colour has the corner, and why?",
            "?",
            "Read it to me.",
        ];
        let asked = if number < 3 { 4 } else { 1 };
        for (at, question) in questions.iter().take(asked).enumerate() {
            let line = json!({"id": format!("{number}-{at}"), "image": name, "question": question, "answers": ["x"]});
            lines += &format!("{line}\n");
        }
    }
    fs::write(own.join("test.jsonl"), lines).unwrap();
    own
}

/// `rave eval` of nano at one seed on the survey under a variant of each kind: plain, folded, dropping tokens, running twice. In f32: a
/// processor that multiplies bf16 would take that by itself, where other shapes of the products give other ties.
fn command(suite: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = program();
    command.stdin(Stdio::null()).args([
        "eval",
        "--model",
        "nano-untrained",
        "--variant",
        "standard,rave,fastv-50,adapt-vis",
        "--dtype",
        "f32",
        "--suite",
        text(suite),
        "--out",
        text(out),
    ]);
    command.args(more);
    if !more.contains(&"--batch") {
        command.args(["--batch", "1"]);
    }
    command
}

fn clean(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn records_are_the_same_whatever_was_computed_together() {
    let folder = tempfile::tempdir().unwrap();
    let suite = survey(folder.path());
    let run = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let told = clean(&mut command(&suite, &out, more));
        (records(&out), told)
    };
    let (whole, told) = run("whole", &[]);
    assert_eq!(whole.len(), 14 * 4);
    assert!(told.contains("the vision tower ran 5 times"), "{told}");
    // The same computations: the same bits.
    let out = folder.path().join("one thread");
    let mut one = command(&suite, &out, &[]);
    one.env("RAYON_NUM_THREADS", "1");
    clean(&mut one);
    assert_eq!(records(&out), whole, "rayon threads");
    // Each of two threads has the whole of a small model: the same answers, and each tower's work once.
    let threads = std::thread::available_parallelism().unwrap().get().min(2);
    for (name, batch) in [("two alone", "1"), ("two in batches", "2")] {
        let out = folder.path().join(name);
        let mut two = command(&suite, &out, &["--batch", batch]);
        two.env("OMP_NUM_THREADS", threads.to_string());
        let told = clean(&mut two);
        assert_eq!(records(&out), whole, "{name}");
        assert!(told.contains("the vision tower ran 5 times"), "{told}");
        let record: Value =
            serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
        assert_eq!(record["work"]["workers"], threads, "{name}");
    }
    let shards = ["1/3", "2/3", "3/3"].map(|shard| {
        let out = folder.path().join(shard.replace('/', " of "));
        clean(&mut command(&suite, &out, &["--shard", shard]));
        out
    });
    let merged = folder.path().join("merged");
    let mut merge = program();
    merge
        .arg("merge")
        .args(&shards)
        .args(["--out", text(&merged)]);
    clean(&mut merge);
    assert_eq!(records(&merged), whole, "shards");
    // Other shapes of the products, and the same tokens.
    for more in [
        &["--no-reuse"][..],
        &["--batch", "2"],
        &["--batch", "8"],
        &["--batch", "3", "--no-reuse"],
    ] {
        assert_eq!(run(&more.join(" "), more).0, whole, "{more:?}");
    }
}

/// Two pages of a document, each asked twice, under the document's one name.
#[test]
fn pictures_of_one_name_do_not_share_a_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let suite = folder.path().join("pages");
    let page = |blue: u8| {
        png(&image::RgbImage::from_pixel(
            40,
            30,
            image::Rgb([9, 90, blue]),
        ))
    };
    let (first, second) = (page(0), page(255));
    let pages = [first.clone(), second.clone(), first, second];
    let column = |name: &str, cells: [&str; 4]| Column::new(name.into(), cells);
    let columns = vec![
        column("questionId", ["1", "2", "3", "4"]),
        column("question", ["Who?", "Who?", "When?", "When?"]),
        column("docId", ["7"; 4]),
        column("answers", ["x"; 4]),
    ];
    parquet(&suite, columns, &pages);
    let toml = "id = \"pages\"\nlayout = \"docvqa\"\nmetric = \"anls\"\nmax_new_tokens = 6\n";
    fs::write(suite.join("suite.toml"), toml).unwrap();
    let run = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        clean(&mut command(&suite, &out, more));
        records(&out)
    };
    let alone = run("alone", &["--no-reuse"]);
    let standard = |id: &str| {
        let own = |own: &&SampleRecord| own.variant == "standard" && own.sample == id;
        alone.iter().find(own).unwrap().prediction.clone()
    };
    assert_ne!(standard("1"), standard("2"), "the pages must tell");
    assert_eq!(run("shared", &[]), alone);
}

/// ChartQA names no picture: neighbours are known by their content.
#[test]
fn neighbours_on_one_picture_without_a_name_share_a_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("ChartQA");
    let page = |blue: u8| {
        png(&image::RgbImage::from_pixel(
            40,
            30,
            image::Rgb([9, 90, blue]),
        ))
    };
    chartqa(&data, &[page(0), page(255), page(255), page(7), page(255)]);
    let run = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let mut command = program();
        let base = eval_chartqa("nano-untrained", "standard,rave", &data, &out);
        clean(command.args(base).args(more));
        out
    };
    let one = ["--batch", "1"];
    let alone = run("alone", &["--no-reuse", one[0], one[1]]);
    let shared = run("shared", &one);
    assert_eq!(records(&shared), records(&alone));
    assert_eq!(records(&run("batch", &["--batch", "2"])), records(&alone));
    let samples = Run::open(&shared).unwrap().samples().unwrap();
    let batched = samples.iter().filter(|own| own.prefill_ms.is_none());
    assert_eq!(
        batched.map(|own| own.number).collect::<Vec<_>>(),
        [Some(1), Some(1), Some(2), Some(2)]
    );
}

/// The limit is the system's own, so that an allocation of LibTorch's really fails. It leaves room for what else a run allocates, which
/// would end it: the samples' table, above all.
#[cfg(target_os = "linux")]
#[test]
fn a_batch_that_memory_is_too_short_for_is_halved_and_loses_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let suite = folder.path().join("long");
    fs::create_dir(&suite).unwrap();
    let toml = "id = \"long\"\nlayout = \"jsonl\"\nmetric = \"anls\"\nmax_new_tokens = 2\n";
    fs::write(suite.join("suite.toml"), toml).unwrap();
    let picture = image::RgbImage::from_pixel(60, 60, image::Rgb([9, 99, 200]));
    fs::write(suite.join("0.png"), png(&picture)).unwrap();
    // Some 1,800 tokens each: the scores of attention grow with their square. Of a batch of 32 they take gigabytes.
    let lines = (0..32).map(|number| {
        let question = format!("Read line {number} of the page. ").repeat(100);
        let line = json!({"id": number.to_string(), "image": "0.png", "question": question, "answers": ["x"]});
        format!("{line}\n")
    });
    fs::write(suite.join("test.jsonl"), lines.collect::<String>()).unwrap();
    let arguments = |out: &Path, batch: &str| {
        let base = [
            "eval",
            "--model",
            "nano-untrained",
            "--variant",
            "rave",
            "--no-reuse",
            "--dtype",
            "f32",
        ];
        let more = [
            "--suite",
            text(&suite),
            "--batch",
            batch,
            "--out",
            text(out),
        ];
        base.iter()
            .chain(&more)
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let one = folder.path().join("one");
    let mut alone = program();
    let mut alone = alone
        .args(arguments(&one, "1"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Kilobytes of address space that one sample at a time needs.
    let mut needed = 0;
    while alone.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", alone.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
        needed = needed.max(peak.unwrap_or(0_u64));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(needed > 0);
    let short = folder.path().join("short");
    let mut limited = limited(&format!("-v {}", needed + 600_000));
    limited.args(arguments(&short, "32"));
    let told = clean(&mut limited);
    assert!(
        told.contains("memory was short: batches of 32 became batches of"),
        "{told}"
    );
    assert_eq!(answers(&short), answers(&one));
}

#[test]
fn times_are_recorded_where_they_are_a_samples_own() {
    let folder = tempfile::tempdir().unwrap();
    let suite = survey(folder.path());
    let times = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        clean(&mut command(&suite, &out, more));
        let samples = Run::open(&out).unwrap().samples().unwrap();
        let count = |time: fn(&SampleRecord) -> Option<f64>| {
            samples.iter().filter(|own| time(own).is_some()).count()
        };
        [
            count(|own| own.vision_ms),
            count(|own| own.prefill_ms),
            count(|own| own.decode_ms),
        ]
    };
    assert_eq!(times("alone", &["--no-reuse"]), [56, 56, 56]);
    // Of the 12 questions that share a picture fastv-50 alone computes its own beginning.
    assert_eq!(times("shared", &[]), [56, 56 - 3 * 12, 56]);
    assert_eq!(
        times("batches", &["--batch", "14", "--no-reuse"]),
        [56, 0, 0]
    );
}

#[test]
fn a_signal_ends_a_run_cleanly_and_a_second_one_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = |out: &Path| -> Vec<String> {
        let base = [
            "eval",
            "--model",
            "nano-untrained",
            "--suite",
            "embedded-ocr",
            "--limit",
            "60",
            "--out",
            text(out),
        ];
        base.iter().map(ToString::to_string).collect()
    };
    let whole = folder.path().join("whole");
    let mut uninterrupted = program();
    uninterrupted.args(arguments(&whole));
    clean(&mut uninterrupted);
    for (name, signals, code) in [("INT", 1, 130), ("TERM", 1, 143), ("INT", 2, 130)] {
        let run = folder.path().join(format!("{name} {signals}"));
        let child = program()
            .args(arguments(&run))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = run.join("samples.log");
        let start = Instant::now();
        while fs::metadata(&log).map_or(0, |log| log.len()) == 0
            && start.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..signals {
            let sent = Command::new("kill")
                .args([&format!("-{name}"), &child.id().to_string()])
                .status();
            assert!(sent.unwrap().success());
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        if signals == 1 {
            assert!(
                stderr(&output).contains("give the same command with --resume"),
                "{}",
                stderr(&output)
            );
        }
        let stopped = Run::open(&run).unwrap();
        assert!(stopped.interrupted && stopped.damaged_lines.is_empty());
        assert_eq!(stopped.truncated_bytes, 0);
        assert!((1..120).contains(&stopped.samples().unwrap().len()));
        let mut resume = program();
        resume.args(arguments(&run)).arg("--resume");
        clean(&mut resume);
        assert_eq!(records(&run), records(&whole));
    }
}

#[cfg(unix)]
#[test]
fn a_stop_goes_on_into_no_other_seed() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut command = program();
    command.args([
        "eval",
        "--model",
        "nano",
        "--variant",
        "standard",
        "--limit",
        "100",
    ]);
    command.args([
        "--suite",
        "embedded-ocr,embedded-general",
        "--batch",
        "1",
        "--out",
        text(&run),
    ]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while fs::metadata(run.join("samples.log")).map_or(0, |log| log.len()) == 0
        && start.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let samples = Run::open(&run).unwrap().samples().unwrap();
    let is_first = |own: &SampleRecord| own.seed == 0 && own.suite == "embedded-ocr";
    assert!(!samples.is_empty() && samples.iter().all(is_first));
}

#[test]
fn a_sample_that_takes_too_long_fails_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let suite = survey(folder.path());
    let out = folder.path().join("run");
    let output = command(
        &suite,
        &out,
        &["--sample-timeout", "0.000001", "--batch", "2"],
    )
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("failed by reason: timeout 56"),
        "{}",
        stderr(&output)
    );
    let samples = records(&out);
    assert_eq!(samples.len(), 56);
    for sample in samples {
        assert!(
            sample
                .error
                .as_ref()
                .is_some_and(|failure| failure.kind == FailureKind::Timeout),
            "{sample:?}"
        );
        assert_eq!(sample.score, None);
    }
    let refused = command(&suite, &folder.path().join("no"), &["--sample-timeout=-1"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("give seconds above 0"),
        "{}",
        stderr(&refused)
    );
    let refused = command(&suite, &folder.path().join("no"), &["--batch", "0"])
        .output()
        .unwrap();
    assert!(
        stderr(&refused).contains("give a whole number from 1 on"),
        "{}",
        stderr(&refused)
    );
}
