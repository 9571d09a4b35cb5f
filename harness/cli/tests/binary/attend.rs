//! `rave eval --attention` and `rave attend` on nano.

use rave_results::maps::read_maps;

use super::*;

/// Pixels of a PNG that decodes.
fn size(path: &Path) -> (u32, u32) {
    let picture = image::load_from_memory(&fs::read(path).unwrap()).unwrap();
    (picture.width(), picture.height())
}

#[test]
fn probes_are_recorded_shown_and_change_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let mut arguments = vec![
            "eval",
            "--model",
            "nano",
            "--variant",
            "standard,rave,fastv-50,softmax-off-by-one",
        ];
        arguments.extend([
            "--suite",
            "embedded-ocr,embedded-general",
            "--limit",
            "3",
            "--seed",
            "1",
        ]);
        arguments.extend(["--out", text(&out)]);
        arguments.extend(more);
        (rave(&arguments), out)
    };
    let (output, probed) = run("probed", &["--attention"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("attention behind the answers"),
        "{}",
        stdout(&output)
    );
    let (output, plain) = run("plain", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        !stdout(&output).contains("attention behind") && !plain.join("attention.parquet").exists()
    );
    assert_eq!(answers(&probed), answers(&plain));

    let file = fs::File::open(probed.join("attention.parquet")).unwrap();
    let frame = ParquetReader::new(file).finish().unwrap();
    // Samples, variants, layers and heads of nano.
    let geometry = rave_lmm::geometry("nano").unwrap();
    assert_eq!(
        frame.height(),
        6 * 4 * geometry.layers * geometry.heads as usize
    );
    let column = |name: &str| frame.column(name).unwrap().clone();
    let (share, uniform) = (column("visual_share"), column("box_uniform"));
    for (share, uniform) in share
        .f64()
        .unwrap()
        .iter()
        .zip(uniform.f64().unwrap().iter())
    {
        assert!((0.0..=1.0).contains(&share.unwrap()) && uniform.unwrap() > 0.0);
    }
    let visual = column("visual_tokens");
    let visual: Vec<u32> = visual.u32().unwrap().iter().flatten().collect();
    assert_eq!(visual.iter().copied().max(), Some(64));
    assert!(
        visual.iter().any(|&tokens| tokens < 64),
        "fastv dropped nothing"
    );
    for name in ["attention-by-layer.png", "attention-in-box.png"] {
        let (width, height) = size(&probed.join("report").join(name));
        assert!(width == 1800 && height > 300, "{name}: {width} x {height}");
    }
    let table = fs::read_to_string(probed.join("report/attention.csv")).unwrap();
    assert!(
        table.contains("embedded-general,rave,standard,3,0,box_share,"),
        "{table}"
    );

    // From the stored records alone.
    let report = folder.path().join("report");
    let output = rave(&[
        "report",
        text(&probed),
        "--format",
        "md,csv",
        "--out",
        text(&report),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        fs::read_to_string(report.join("attention.csv")).unwrap(),
        table
    );
    let page = fs::read_to_string(report.join("report.md")).unwrap();
    assert!(page.contains("(attention-by-layer.svg)") && page.contains("difference to standard"));
}

#[test]
fn a_killed_run_with_probes_goes_on_without_losing_or_doubling_any() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut arguments = small("nano-untrained", "30", &out);
    arguments.push("--attention");
    let mut child = program()
        .args(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines =
        || fs::read_to_string(out.join("samples.log")).map_or(0, |text| text.lines().count());
    let start = Instant::now();
    while lines() < 5 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        (5..30).contains(&lines()),
        "{} samples when it was killed",
        lines()
    );
    let without = rave(&[&arguments[..arguments.len() - 1], &["--resume"]].concat());
    assert_eq!(without.status.code(), Some(1));
    assert!(
        stderr(&without).contains("attention"),
        "{}",
        stderr(&without)
    );
    let output = rave(&[&arguments[..], &["--resume"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let run = Run::open(&out).unwrap();
    assert_eq!((answers(&out).len(), run.attention.len()), (30, 30));
    assert!(!out.join("attention.log").exists());
}

/// What was stored of the item lies over its picture in the report of a run, and over no other's.
fn maps_are_in_the_report(folder: &Path, maps: &Path) {
    let stored = &read_maps(maps).unwrap()[0];
    assert_eq!(stored.sample.as_deref(), Some("ocr-000003"));
    for map in &stored.variants {
        let total: f64 = map.tokens.iter().map(|(_, share)| share).sum();
        assert!((total - 1.0).abs() < 1e-6, "{}: {total}", map.variant);
    }
    let (run, page) = (folder.join("run"), folder.join("page"));
    let evaluated = rave(&[
        "eval",
        "--model",
        "nano",
        "--variant",
        "standard,rave",
        "--suite",
        "embedded-ocr",
        "--limit",
        "5",
        "--out",
        text(&run),
    ]);
    assert_eq!(evaluated.status.code(), Some(0), "{}", stderr(&evaluated));
    let reported = rave(&[
        "report",
        text(&run),
        "--format",
        "html",
        "--maps",
        text(maps),
        "--out",
        text(&page),
    ]);
    assert_eq!(reported.status.code(), Some(0), "{}", stderr(&reported));
    let page = fs::read_to_string(page.join("report.html")).unwrap();
    let data = page.split("id=\"data\">").nth(1).unwrap();
    let data: Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    let samples = data["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 5);
    // Every sample has its picture, drawn anew, its question alone, and the box of its answer.
    for sample in samples {
        assert!(sample["picture"].is_u64() && !sample["boxes"].as_array().unwrap().is_empty());
        assert!(!sample["question"].as_str().unwrap().contains("im_start"));
    }
    let with: Vec<&Value> = samples
        .iter()
        .filter(|sample| !sample["maps"].is_null())
        .collect();
    assert_eq!(with.len(), 1);
    assert_eq!(with[0]["id"], "ocr-000003");
    assert_eq!(with[0]["maps"].as_array().unwrap().len(), 3);
}

#[test]
fn attention_is_drawn_for_a_file_and_for_an_item() {
    let folder = tempfile::tempdir().unwrap();
    let (out, picture) = (folder.path().join("maps"), folder.path().join("page.png"));
    let output = rave(&[
        "attend",
        "--model",
        "nano",
        "--variant",
        "standard,rave,fastv-50",
        "--suite",
        "embedded-ocr",
        "--sample",
        "3",
        "--out",
        text(&out),
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["variants"].as_array().unwrap().len(), 3);
    for variant in said["variants"].as_array().unwrap() {
        assert!(variant["box_uniform"].as_f64().unwrap() > 0.0);
        let share = variant["visual_share"].as_f64().unwrap();
        assert!(share > 0.0 && share < 1.0);
    }
    maps_are_in_the_report(folder.path(), &out);
    let (width, one) = size(&out.join("attention-rave.png"));
    assert_eq!(
        (width, size(&out.join("attention-standard.png"))),
        (1800, (1800, one))
    );
    let all = size(&out.join("attention.png"));
    // Each further row is as high as the picture, 307 nominal pixels, and a gap.
    assert_eq!(all, (1800, one + 2 * 2 * (307 + 16)));

    fs::write(
        &picture,
        png(&image::RgbImage::from_pixel(60, 40, image::Rgb([9, 90, 9]))),
    )
    .unwrap();
    let output = rave(&[
        "attend",
        "--model",
        "nano",
        "--variant",
        "rave",
        "--image",
        text(&picture),
        "--prompt",
        "What?",
        "--layer",
        "1",
        "--head",
        "0",
        "--box",
        "0,0,30,20",
        "--seed",
        "2",
        "--out",
        text(&out),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("in the box"),
        "{}",
        stdout(&output)
    );
    assert!(
        size(&out.join("attention.png")).1 < one,
        "a wide picture makes a lower row"
    );
}

#[test]
fn what_cannot_be_drawn_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let (out, picture) = (folder.path().join("maps"), folder.path().join("page.png"));
    fs::write(&picture, png(&image::RgbImage::new(60, 40))).unwrap();
    let item = ["--suite", "embedded-ocr", "--sample", "0"];
    let file = ["--image", text(&picture), "--prompt", "What?"];
    let cases: [(Vec<&str>, &[&str]); 10] = [
        (
            [&item[..], &["--layer", "99"]].concat(),
            &["layer 99", "0 to "],
        ),
        (
            [&item[..], &["--head", "99"]].concat(),
            &["head 99", "or `mean`"],
        ),
        (
            [&item[..], &["--layer", "last"]].concat(),
            &["--layer", "mean"],
        ),
        (
            [&item[..], &["--variant", "raev"]].concat(),
            &["unknown variant `raev`"],
        ),
        ([&item[..], &["--seed", "77"]].concat(), &["seed 77"]),
        (
            vec!["--suite", "embedded-ocr", "--sample", "200"],
            &["--sample 200", "0 to 199"],
        ),
        (vec!["--suite", "embedded-ocr"], &["--sample"]),
        ([&item[..], &file[..]].concat(), &["cannot be used with"]),
        (
            [&file[..], &["--box", "0,0,61,20"]].concat(),
            &["--box", "<= 60"],
        ),
        (
            vec!["--image", "absent.png", "--prompt", "What?"],
            &["absent.png"],
        ),
    ];
    for (more, parts) in cases {
        let arguments = [
            &["attend", "--model", "nano", "--out", text(&out)],
            &more[..],
        ]
        .concat();
        let output = rave(&arguments);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
        assert!(!out.exists(), "{arguments:?} made a folder");
    }
}
