//! Reports of made-up runs: every format, the odd cases, and the same bytes for the same records.
#![allow(clippy::unwrap_used)]

use rave_reports::charts::{CHARTS, Chart, charts, training};
use rave_reports::{Artifact, Document, Evaluation, FORMATS, Kind, TerminalStyle};
use rave_results::training::Row;
use rave_results::{Run, Summary};

mod common;
use common::{Plan, files, run};

fn of(summary: &Summary) -> Document<'_> {
    Document::Evaluation(Evaluation::of(summary))
}

fn terminal(summary: &Summary, style: TerminalStyle) -> String {
    of(summary).terminal(style)
}

/// The first file of a format.
fn first_file(summary: &Summary, format: &str) -> String {
    let first = files(of(summary), format).remove(0);
    String::from_utf8(first.bytes).unwrap()
}

/// The files of one format, or of several after each other.
fn report(runs: &[Run], formats: &[&str]) -> Vec<Artifact> {
    let summary = Summary::from_runs(runs, "standard").unwrap();
    let of_format = |id: &&str| files(of(&summary), id);
    formats.iter().flat_map(of_format).collect()
}

/// The chart of this name.
fn named(id: &str) -> &'static dyn Chart {
    let found = CHARTS.iter().find(|chart| chart.id() == id);
    *found.unwrap()
}

/// The names of some charts.
fn ids(charts: &[&dyn Chart]) -> Vec<&'static str> {
    charts.iter().map(|chart| chart.id()).collect()
}

fn summary(plan: &Plan) -> Summary {
    Summary::from_runs(&[run(plan)], "standard").unwrap()
}

fn small() -> Plan<'static> {
    Plan {
        fails: Some("rave"),
        rows: 300,
        untrained: true,
        ..Plan::default()
    }
}

#[test]
fn terminal_table() {
    let text = terminal(&summary(&Plan::default()), TerminalStyle::PLAIN);
    insta::assert_snapshot!(text, @r#"
    nano: scores
     variant  |        ocr |     chart |   average 
    ----------+------------+-----------+-----------
     standard | 40.0 ±16.2 | 59.3 ±9.3 | 49.6 ±9.4 
     rave     | 45.0 ±16.2 | 65.9 ±8.9 | 55.4 ±9.4 
    (percent, ± half the width of the 95 % interval)

    nano: difference to standard
     variant | suite   | pairs | difference |  95 % interval |      p |   Holm p |      test | detectable 
    ---------+---------+-------+------------+----------------+--------+----------+-----------+------------
     rave    | ocr     |    40 |       +5.0 | [-12.5, +22.5] |  0.727 |    0.781 |   McNemar |       24.0 
     rave    | chart   |    40 |       +6.6 |   [+3.9, +9.4] | 0.0003 | 0.0003 * | sign-flip |        4.0 
     rave    | average |    80 |       +5.8 |  [-2.8, +14.3] |  0.210 |    0.210 | sign-flip |       12.2 
    (percentage points on the same samples; * decided: Holm-corrected p below 0.05 and an interval without 0; detectable: the smallest true difference that this comparison, taken alone, finds four times in five)

    nano: time a sample
     variant  | suite | vision | prefill | decode | total | ratio | prompt tokens | new tokens 
    ----------+-------+--------+---------+--------+-------+-------+---------------+------------
     standard | ocr   |    180 |     405 |   90.0 |   675 |  1.00 |          1100 |        6.0 
     standard | chart |    180 |     404 |   90.0 |   674 |  1.00 |          1100 |        6.0 
     rave     | ocr   |    180 |     416 |   92.0 |   688 |  1.02 |          1100 |        6.0 
     rave     | chart |    180 |     415 |   92.0 |   687 |  1.02 |          1100 |        6.0 
    (median milliseconds as recorded during the evaluation, not an interleaved benchmark; total: vision, prefill and decode of a sample; ratio: total over that of standard; tokens: means)

    run made-up: 2026-05-18T12:00:00Z, f32 on cpu, A CPU, 2 cores, rave 0.1.0, configuration 22b4d6920113
    suite ocr v1: relaxed_accuracy v1, 40 samples
    suite chart v1: anls v1, 40 samples
    95 % intervals: percentile bootstrap of whole images, 10000 resamples, seed 20260518
    "#);
}

#[test]
fn terminal_table_with_boxes_and_everything_wrong() {
    let text = terminal(
        &summary(&small()),
        TerminalStyle {
            boxes: true,
            width: 100,
        },
    );
    insta::assert_snapshot!(text, @r#"
    ! untrained: nano has seeded random weights; the scores say nothing about a method
    ! ocr: 40 of 300 samples; not a score of the whole suite
    ! chart: 40 of 300 samples; not a score of the whole suite
    ! failed: 40 of 40 samples of ocr under rave (nano) have no score (40 out of memory); they are left out, not counted as zero
    ! failed: 4 of 40 samples of chart under rave (nano) have no score (4 out of memory); they are left out, not counted as zero

    nano: scores
    ╭──────────┬──────────────────────┬──────────────────────┬───────────╮
    │ variant  │                  ocr │                chart │   average │
    ├──────────┼──────────────────────┼──────────────────────┼───────────┤
    │ standard │           40.0 ±16.2 │            59.3 ±9.3 │ 49.6 ±9.4 │
    │ rave     │ no score (40 failed) │ 66.3 ±9.7 (4 failed) │         - │
    ╰──────────┴──────────────────────┴──────────────────────┴───────────╯
    (percent, ± half the width of the 95 % interval)

    nano: difference to standard
    ╭─────────┬───────┬───────┬────────────┬───────────────┬────────┬──────────┬───────────╮
    │ variant │ suite │ pairs │ difference │ 95 % interval │      p │   Holm p │      test │
    ├─────────┼───────┼───────┼────────────┼───────────────┼────────┼──────────┼───────────┤
    │ rave    │ chart │    36 │       +5.6 │  [+2.8, +8.6] │ 0.0013 │ 0.0013 * │ sign-flip │
    ╰─────────┴───────┴───────┴────────────┴───────────────┴────────┴──────────┴───────────╯
    ╭─────────┬───────┬────────────╮
    │ variant │ suite │ detectable │
    ├─────────┼───────┼────────────┤
    │ rave    │ chart │        4.2 │
    ╰─────────┴───────┴────────────╯
    (percentage points on the same samples; * decided: Holm-corrected p below 0.05 and an interval without 0; detectable: the smallest true difference that this comparison, taken alone, finds four times in five)

    nano: time a sample
    ╭──────────┬───────┬────────┬─────────┬────────┬───────┬───────┬───────────────┬────────────╮
    │ variant  │ suite │ vision │ prefill │ decode │ total │ ratio │ prompt tokens │ new tokens │
    ├──────────┼───────┼────────┼─────────┼────────┼───────┼───────┼───────────────┼────────────┤
    │ standard │ ocr   │    180 │     405 │   90.0 │   675 │  1.00 │          1100 │        6.0 │
    │ standard │ chart │    180 │     404 │   90.0 │   674 │  1.00 │          1100 │        6.0 │
    │ rave     │ chart │    180 │     415 │   92.0 │   687 │  1.02 │          1100 │        6.0 │
    ╰──────────┴───────┴────────┴─────────┴────────┴───────┴───────┴───────────────┴────────────╯
    (median milliseconds as recorded during the evaluation, not an interleaved benchmark; total: vision, prefill and decode of a sample; ratio: total over that of standard; tokens: means)

    run made-up: 2026-05-18T12:00:00Z, f32 on cpu, A CPU, 2 cores, rave 0.1.0, configuration 22b4d6920113
    suite ocr v1: relaxed_accuracy v1, 40 samples
    suite chart v1: anls v1, 40 samples
    95 % intervals: percentile bootstrap of whole images, 10000 resamples, seed 20260518
    "#);
}

#[test]
fn markdown_page() {
    insta::assert_snapshot!(first_file(&summary(&small()), "md"), @r#"
    # Report

    > **Note**: untrained: nano has seeded random weights; the scores say nothing about a method

    > **Note**: ocr: 40 of 300 samples; not a score of the whole suite

    > **Note**: chart: 40 of 300 samples; not a score of the whole suite

    > **Note**: failed: 40 of 40 samples of ocr under rave (nano) have no score (40 out of memory); they are left out, not counted as zero

    > **Note**: failed: 4 of 40 samples of chart under rave (nano) have no score (4 out of memory); they are left out, not counted as zero

    ## nano

    ![Accuracy by suite and variant of nano](accuracy.svg)

    ![Difference to the baseline by suite and variant of nano](gain.svg)

    ![Accuracy against latency of nano](accuracy-against-latency.svg)

    ![Time a sample by phase of nano](time-by-phase.svg)

    ![Accuracy by category of nano](accuracy-by-category.svg)

    ### nano: scores

    | variant | ocr | chart | average |
    | --- | ---: | ---: | ---: |
    | standard | 40.0 [25.0, 57.5] | 59.3 [50.2, 68.8] | 49.6 [40.5, 59.3] |
    | rave | no score (40 failed) | 66.3 [56.6, 76.1] (4 failed) | - |

    percent, with 95 % intervals

    ### nano: difference to standard

    | variant | suite | pairs | difference | 95 % interval | p | Holm p | test | detectable |
    | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
    | rave | chart | 36 | +5.6 | [+2.8, +8.6] | 0.0013 | 0.0013 \* | sign-flip | 4.2 |

    percentage points on the same samples; \* decided: Holm-corrected p below 0.05 and an interval without 0; detectable: the smallest true difference that this comparison, taken alone, finds four times in five

    ### nano: time a sample

    | variant | suite | vision | prefill | decode | total | ratio | prompt tokens | new tokens |
    | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
    | standard | ocr | 180 | 405 | 90.0 | 675 | 1.00 | 1100 | 6.0 |
    | standard | chart | 180 | 404 | 90.0 | 674 | 1.00 | 1100 | 6.0 |
    | rave | chart | 180 | 415 | 92.0 | 687 | 1.02 | 1100 | 6.0 |

    median milliseconds as recorded during the evaluation, not an interleaved benchmark; total: vision, prefill and decode of a sample; ratio: total over that of standard; tokens: means

    ### nano: chart by category

    | category | standard | rave |
    | --- | ---: | ---: |
    | augmented | 64.7 | 70.7 |
    | human | 53.9 | 60.7 (4 failed) |

    percent

    ### nano: failed samples

    | suite | sample | variants | reason |
    | --- | --- | --- | --- |
    | ocr | 0000 | rave | out of memory: 0 GiB asked |
    | ocr | 0001 | rave | out of memory: 1 GiB asked |
    | ocr | 0002 | rave | out of memory: 2 GiB asked |
    | ocr | 0003 | rave | out of memory: 3 GiB asked |
    | ocr | 0004 | rave | out of memory: 4 GiB asked |
    | ocr | 0005 | rave | out of memory: 5 GiB asked |
    | ocr | 0006 | rave | out of memory: 6 GiB asked |
    | ocr | 0007 | rave | out of memory: 7 GiB asked |
    | ocr | 0008 | rave | out of memory: 8 GiB asked |
    | ocr | 0009 | rave | out of memory: 9 GiB asked |
    | ocr | 0010 | rave | out of memory: 10 GiB asked |
    | ocr | 0011 | rave | out of memory: 11 GiB asked |
    | ocr | 0012 | rave | out of memory: 12 GiB asked |
    | ocr | 0013 | rave | out of memory: 13 GiB asked |
    | ocr | 0014 | rave | out of memory: 14 GiB asked |
    | ocr | 0015 | rave | out of memory: 15 GiB asked |
    | ocr | 0016 | rave | out of memory: 16 GiB asked |
    | ocr | 0017 | rave | out of memory: 17 GiB asked |
    | ocr | 0018 | rave | out of memory: 18 GiB asked |
    | ocr | 0019 | rave | out of memory: 19 GiB asked |

    without a score, and left out of every number above; 24 more in failures.csv (--format csv)

    ## Where the numbers come from

    - run made-up: 2026-05-18T12:00:00Z, f32 on cpu, A CPU, 2 cores, rave 0.1.0, configuration 22b4d6920113
    - suite ocr v1: relaxed_accuracy v1, 40 samples
    - suite chart v1: anls v1, 40 samples
    - 95 % intervals: percentile bootstrap of whole images, 10000 resamples, seed 20260518
    "#);
}

#[test]
fn csv_lines() {
    let plan = Plan {
        suites: &["ocr"],
        ..Plan::default()
    };
    insta::assert_snapshot!(first_file(&summary(&plan), "csv"), @r#"
    model,untrained,suite,variant,baseline,metric,rows_used,rows_total,scored,failed,due,failures,score,score_low,score_high,pairs,difference,difference_low,difference_high,test,p,holm_p,p_by_image,p_by_seed,smallest_detectable,preprocess_ms,vision_ms,prefill_ms,decode_ms,total_ms,prompt_tokens,visual_tokens,new_tokens,interrupted,forced
    nano,false,ocr,standard,standard,relaxed_accuracy,40,40,40,0,40,,0.4,0.25,0.575,,,,,,,,,,,12,180,404.7844,90,674.7844,1100,1088,6,false,false
    nano,false,ocr,rave,standard,relaxed_accuracy,40,40,40,0,40,,0.45,0.3,0.625,40,0.05,-0.125,0.22499999999999998,McNemar,0.7265625000000004,0.78125,0.78125,,0.2403218853325516,12,180,415.663,92,687.663,1100,1088,6,false,false
    nano,false,average,standard,standard,mean over suites,,,40,0,,,0.4,0.25,0.575,,,,,,,,,,,,,,,674.7844,,,,false,false
    nano,false,average,rave,standard,mean over suites,,,40,0,,,0.45,0.3,0.625,40,0.05,-0.125,0.22499999999999998,sign-flip,0.7742225777422258,0.7742225777422258,,,0.2403218853325516,,,,,687.663,,,,false,false
    "#);
}

#[test]
fn one_variant_alone() {
    let plan = Plan {
        variants: &["standard"],
        suites: &["ocr"],
        ..Plan::default()
    };
    insta::assert_snapshot!(terminal(&summary(&plan), TerminalStyle::PLAIN), @r#"
    ! one variant (standard): nothing to compare it with

    nano: scores
     variant  |        ocr 
    ----------+------------
     standard | 40.0 ±16.2 
    (percent, ± half the width of the 95 % interval)

    nano: time a sample
     variant  | suite | vision | prefill | decode | total | ratio | prompt tokens | new tokens 
    ----------+-------+--------+---------+--------+-------+-------+---------------+------------
     standard | ocr   |    180 |     405 |   90.0 |   675 |  1.00 |          1100 |        6.0 
    (median milliseconds as recorded during the evaluation, not an interleaved benchmark; total: vision, prefill and decode of a sample; ratio: total over that of standard; tokens: means)

    run made-up: 2026-05-18T12:00:00Z, f32 on cpu, A CPU, 2 cores, rave 0.1.0, configuration f102d25551f7
    suite ocr v1: relaxed_accuracy v1, 40 samples
    95 % intervals: percentile bootstrap of whole images, 10000 resamples, seed 20260518
    "#);
}

#[test]
fn several_training_seeds_are_shown_each() {
    let plan = Plan {
        seeds: 3,
        ..Plan::default()
    };
    let summary = summary(&plan);
    let page = first_file(&summary, "md");
    assert!(page.contains("each training seed"), "{page}");
    let average = summary.macro_cell("nano", "rave").unwrap();
    let gains: Vec<f64> = average
        .by_seed
        .iter()
        .filter_map(|seed| seed.difference)
        .collect();
    assert_eq!(gains.len(), 3);
    let mean = gains.iter().sum::<f64>() / 3.0;
    assert!((mean - average.difference.unwrap().value).abs() < 1e-12);
    for (seed, gain) in average.by_seed.iter().zip(&gains) {
        let shown = format!("{:.1} ({:+.1})", seed.value.unwrap() * 100.0, gain * 100.0);
        assert!(page.contains(&shown), "{shown} is not in {page}");
    }
    assert!(page.contains("whole images and training seeds"));
    let model = &summary.models[0];
    let chart = named("accuracy").svg(&summary, model).unwrap();
    assert!(chart.contains("over 3 training seeds"));
    let alone = named("accuracy")
        .svg(&self::summary(&Plan::default()), model)
        .unwrap();
    let dots = |chart: &str| chart.matches("<circle").count();
    // A small dot a seed beside every score: two variants on two suites and the average.
    assert_eq!(dots(&chart), dots(&alone) + 3 * 6);
}

#[test]
fn a_training_run_is_drawn_with_its_losses_and_answers() {
    let row = |step: u64, split: &str, loss: f64, exact: f64| Row {
        step,
        split: split.into(),
        loss,
        exact,
        ..Row::default()
    };
    let mut rows: Vec<Row> = (1..=900)
        .map(|step| row(step, "train", 3.0 / step as f64, 0.0))
        .collect();
    for step in [300, 600, 900] {
        rows.push(row(step, "validation", 0.5, step as f64 / 1_000.0));
        rows.push(row(step, "validation ocr", f64::NAN, 0.25));
    }
    let files = training(&rows, "Training nano with rave").unwrap();
    let [vector, bitmap] = <[Artifact; 2]>::try_from(files).unwrap();
    let text = String::from_utf8(vector.bytes).unwrap();
    for words in [
        "Training nano with rave",
        "answers, validation",
        "all answers",
        "\nocr\n",
        "90.0 % exactly right",
    ] {
        assert!(text.contains(words), "{words} is not in the chart");
    }
    // Nothing is said of what was not trained, and long lines are thinned.
    assert!(
        !text.contains("patches") && text.len() < 60_000,
        "{}",
        text.len()
    );
    assert!(bitmap.bytes.starts_with(b"\x89PNG"));
    let empty = training(&[], "Nothing").unwrap().remove(0);
    assert!(
        String::from_utf8(empty.bytes)
            .unwrap()
            .contains("Nothing was measured")
    );
}

#[test]
fn an_empty_run_gives_a_report_that_says_so() {
    let plan = Plan {
        samples: 0,
        interrupted: true,
        ..Plan::default()
    };
    insta::assert_snapshot!(terminal(&summary(&plan), TerminalStyle::PLAIN), @r#"
    ! interrupted: run made-up has no end; these are its 0 samples up to there
    ! no samples: the runs hold no record of any
    ! ocr: 0 of 40 samples; not a score of the whole suite
    ! chart: 0 of 40 samples; not a score of the whole suite

    run made-up: 2026-05-18T12:00:00Z, f32 on cpu, A CPU, 2 cores, rave 0.1.0, configuration 22b4d6920113
    suite ocr v1: relaxed_accuracy v1, 0 samples
    suite chart v1: anls v1, 0 samples
    95 % intervals: percentile bootstrap of whole images, 10000 resamples, seed 20260518
    "#);
    for format in FORMATS {
        for artifact in files(of(&summary(&plan)), format.id) {
            assert!(!artifact.bytes.is_empty(), "{}", artifact.name);
        }
    }
}

#[test]
fn a_wide_table_is_split_between_suites() {
    let suites = [
        "ocr", "chart", "document", "scene", "docvqa", "infovqa", "chartqa", "textvqa", "ocrbench",
        "mtvqa",
    ];
    let text = terminal(
        &summary(&Plan {
            suites: &suites,
            ..Plan::default()
        }),
        TerminalStyle::PLAIN,
    );
    assert!(
        text.lines()
            .filter(|line| line.starts_with('|'))
            .all(|line| line.chars().count() <= 120)
    );
    assert_eq!(text.matches(" standard ").count(), 2 + 10);
    assert!(suites.iter().all(|suite| text.contains(suite)));
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let formats: Vec<&str> = FORMATS.iter().map(|format| format.id).collect();
    let all = || report(&[run(&small())], &formats);
    let (first, second) = (all(), all());
    let names: Vec<&str> = first
        .iter()
        .map(|artifact| artifact.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "report.txt",
            "report.md",
            "summary.csv",
            "categories.csv",
            "failures.csv",
            "report.tex",
            "summary.json",
            "accuracy.svg",
            "gain.svg",
            "accuracy-against-latency.svg",
            "time-by-phase.svg",
            "accuracy-by-category.svg",
            "accuracy.png",
            "gain.png",
            "accuracy-against-latency.png",
            "time-by-phase.png",
            "accuracy-by-category.png",
            "report.html"
        ]
    );
    assert!(first == second);
}

#[test]
fn a_table_for_a_paper() {
    let plan = Plan {
        variants: &["standard", "rave", "50%_of {it}\\"],
        fails: Some("rave"),
        ..small()
    };
    let files = files(of(&summary(&plan)), "tex");
    let text = String::from_utf8(files[0].bytes.clone()).unwrap();
    let table = text.split("\n\n").nth(1).unwrap();
    insta::assert_snapshot!(table);
    assert!(
        text.lines()
            .take_while(|line| !line.is_empty())
            .all(|line| line.starts_with('%'))
    );
}

#[test]
fn gains_are_drawn_with_their_numbers() {
    let plan = Plan {
        seeds: 3,
        ..Plan::default()
    };
    let summary = summary(&plan);
    let model = &summary.models[0];
    let chart = named("gain").svg(&summary, model).unwrap();
    for suite in ["ocr", "chart"] {
        let own = summary
            .cell("nano", suite, "rave")
            .unwrap()
            .difference
            .unwrap();
        let star = if own.decided().is_ne() { " *" } else { "" };
        let [value, low, high] = [own.value, own.interval.low, own.interval.high]
            .map(|number| format!("{:+.1}", number * 100.0));
        let text = format!("\n{value} [{low}, {high}]{star}\n");
        assert!(chart.contains(&text), "{text} is not in {chart}");
    }
    // Two suites and the average, each with a dot a seed and its own mark; one mark in the legend.
    assert_eq!(chart.matches("<circle").count(), 3 * 4 + 1);
    assert!(
        !named("accuracy")
            .svg(&summary, model)
            .unwrap()
            .contains("NaN")
    );
}

#[test]
fn every_failed_sample_is_in_the_lines_and_in_the_json() {
    let summary = summary(&small());
    let artifact = |format: &str, name: &str| {
        let files = files(of(&summary), format);
        let file = files.into_iter().find(|file| file.name == name).unwrap();
        String::from_utf8(file.bytes).unwrap()
    };
    let lines = artifact("csv", "failures.csv");
    assert_eq!(lines.lines().count(), 1 + 44);
    assert!(
        lines.contains("nano,chart,0030,1,rave,out of memory: 30 GiB asked\n"),
        "{lines}"
    );
    assert!(artifact("json", "summary.json").contains("out of memory: 39 GiB asked"));
}

#[test]
fn a_cell_that_lacks_samples_is_marked_in_every_format() {
    let plan = Plan {
        suites: &["ocr"],
        ..Plan::default()
    };
    let mut run = run(&plan);
    run.record.data.get_mut("ocr").unwrap().rows_used = 41;
    let summary = Summary::from_runs(&[run], "standard").unwrap();
    let text = terminal(&summary, TerminalStyle::PLAIN);
    assert!(text.contains("±16.2 (40 of 41)"), "{text}");
    assert!(text.contains("! incomplete: ocr under rave"), "{text}");
    assert!(first_file(&summary, "md").contains("(40 of 41) |"));
    assert!(first_file(&summary, "csv").contains(",40,0,41,"));
    let chart = named("accuracy").svg(&summary, &summary.models[0]).unwrap();
    assert!(chart.contains("do not hold"), "{chart}");
}

#[test]
fn models_whose_names_are_alike_have_a_file_each() {
    let names = ["x/m", "x-m", "X-M", "x-m-2"];
    let runs = names.map(|model| {
        run(&Plan {
            model,
            ..Plan::default()
        })
    });
    let files = report(&runs, &["svg"]);
    let distinct: std::collections::HashSet<String> =
        files.iter().map(|file| file.name.to_lowercase()).collect();
    assert_eq!((files.len(), distinct.len()), (20, 20));
    assert_eq!(files[0].name, "accuracy-x-m.svg");
    assert_eq!(files[5].name, "accuracy-x-m-2.svg");
    let page = first_file(&Summary::from_runs(&runs, "standard").unwrap(), "md");
    assert!(
        files
            .iter()
            .all(|file| page.contains(&format!("({})", file.name)))
    );
}

#[test]
fn several_models_have_a_file_each() {
    let other = Plan {
        model: "org/model@main",
        ..Plan::default()
    };
    let runs: [Run; 2] = [run(&Plan::default()), run(&other)];
    let files = report(&runs, &["svg"]);
    let names: Vec<&str> = files
        .iter()
        .map(|artifact| artifact.name.as_str())
        .collect();
    assert!(
        names.contains(&"accuracy-nano.svg") && names.contains(&"accuracy-org-model-main.svg"),
        "{names:?}"
    );
    let page = String::from_utf8(report(&runs, &["md"]).remove(0).bytes).unwrap();
    assert!(names.iter().all(|name| page.contains(&format!("({name})"))));
}

/// Width of a text in the font that the charts are measured in.
fn width_of(text: &str, bold: bool, em: f64) -> f64 {
    use ab_glyph::{Font as _, FontRef, ScaleFont as _};
    let regular = include_bytes!("../../benchmarks/fonts/dejavu/DejaVuSans.ttf").as_slice();
    let heavy = include_bytes!("../../benchmarks/fonts/dejavu/DejaVuSans-Bold.ttf").as_slice();
    let font = FontRef::try_from_slice(if bold { heavy } else { regular }).unwrap();
    let scaled = font.as_scaled(em as f32 * font.height_unscaled() / font.units_per_em().unwrap());
    text.chars()
        .map(|character| f64::from(scaled.h_advance(font.glyph_id(character))))
        .sum()
}

/// Texts of an SVG with their left end, right end and height, in nominal pixels.
fn texts(document: &str) -> Vec<(String, f64, f64, f64)> {
    let attribute = |element: &str, name: &str| -> String {
        let begin = element.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
        element[begin..].split('"').next().unwrap().to_string()
    };
    document
        .split("<text")
        .skip(1)
        .map(|element| {
            let number = |name: &str| attribute(element, name).parse::<f64>().unwrap() / 2.0;
            let text = element
                .split_once('>')
                .unwrap()
                .1
                .split("</text>")
                .next()
                .unwrap()
                .trim()
                .to_string();
            let width = width_of(
                &text,
                element.contains("font-weight=\"bold\""),
                number("font-size"),
            );
            let (x, y) = (number("x"), number("y"));
            let left = match attribute(element, "text-anchor").as_str() {
                "middle" => x - width / 2.0,
                "end" => x - width,
                _ => x,
            };
            (text, left, left + width, y)
        })
        .collect()
}

#[test]
fn no_label_leaves_the_picture() {
    let long = ["a-suite-with-a-very-long-name-that-goes-on-and-on", "short"];
    let variants = [
        "standard",
        "my-own-preset-with-quite-a-long-name-and-then-some-more",
    ];
    let plans = [
        Plan::default(),
        Plan {
            zero: true,
            untrained: true,
            ..Plan::default()
        },
        Plan {
            model: "an-organisation/a-model-with-a-very-long-name-Instruct@0123456789",
            ..small()
        },
        Plan {
            suites: &long,
            variants: &variants,
            ..Plan::default()
        },
        Plan {
            variants: &variants[..1],
            ..Plan::default()
        },
    ];
    for plan in plans {
        let summary = summary(&plan);
        for chart in charts(&summary, &summary.models[0]) {
            let document = chart.svg(&summary, &summary.models[0]).unwrap();
            let height: f64 = document
                .split(" height=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let texts = texts(&document);
            assert!(texts.len() > 5);
            for (text, left, right, y) in texts {
                assert!(
                    left >= 0.0 && right <= 900.0 && y > 4.0 && y < height - 4.0,
                    "{text}: {left} {right} {y}"
                );
            }
        }
    }
}

#[test]
fn charts_say_what_must_be_known() {
    let summary = summary(&Plan {
        interrupted: true,
        ..small()
    });
    for chart in charts(&summary, &summary.models[0]) {
        let document = chart.svg(&summary, &summary.models[0]).unwrap();
        assert!(
            document.contains("UNTRAINED: seeded random weights"),
            "{document}"
        );
        assert!(document.contains("44 failed samples have no score"));
        assert!(document.contains("From an interrupted run"));
        assert!(document.contains("role=\"img\"") && document.contains("<title>"));
        assert!(
            document.contains("font-family=\"DejaVu Sans, Verdana, Helvetica, Arial, sans-serif\"")
        );
        let picture = chart.png(&summary, &summary.models[0]).unwrap();
        let decoded = image::load_from_memory(&picture).unwrap();
        assert_eq!(decoded.width(), 1_800);
    }
}

#[test]
fn every_format_has_an_evaluation_and_a_name_of_its_own() {
    let ids: std::collections::HashSet<&str> = FORMATS.iter().map(|format| format.id).collect();
    assert_eq!(ids.len(), FORMATS.len());
    assert!(FORMATS.iter().all(|format| format.makes(Kind::Evaluation)));
}

#[test]
fn names_cannot_break_the_markup() {
    let variants = ["standard", "a|b<script>*"];
    let summary = summary(&Plan {
        variants: &variants,
        ..Plan::default()
    });
    let page = first_file(&summary, "md");
    assert!(page.contains("a\\|b\\<script>\\*") && !page.contains("b<script>"));
    let document = named("accuracy").svg(&summary, &summary.models[0]).unwrap();
    assert!(document.contains("b&lt;script&gt;") && !document.contains("<script>"));
}

#[test]
fn attention_has_its_tables_and_charts() {
    let plan = Plan {
        layers: 3,
        seeds: 2,
        ..Plan::default()
    };
    let summary = summary(&plan);
    let model = &summary.models[0];
    assert_eq!(ids(&charts(&summary, model)), ids(CHARTS));
    let text = terminal(&summary, TerminalStyle::PLAIN);
    let tables = text
        .split("nano: attention")
        .skip(1)
        .map(|part| part.split("\n(").next().unwrap());
    insta::assert_snapshot!(tables.collect::<Vec<_>>().join("\n"), @r"
     behind the answers
     variant  | suite   | answers |    visual |   in box | even |  pointing | chance |      keys |       top 
    ----------+---------+---------+-----------+----------+------+-----------+--------+-----------+-----------
     standard | ocr     |      80 | 22.0 ±0.3 | 8.4 ±0.2 |  4.0 | 28.5 ±7.0 |   10.0 | 20.6 ±0.9 | 14.8 ±0.4 
     standard | chart   |      80 | 22.0 ±0.3 | 8.4 ±0.2 |  4.0 | 28.5 ±6.9 |   10.0 | 20.6 ±0.9 | 14.8 ±0.4 
     standard | average |     160 | 22.0 ±0.3 | 8.4 ±0.2 |  4.0 | 28.5 ±4.9 |   10.0 | 20.6 ±0.6 | 14.8 ±0.3 
     rave     | ocr     |      80 | 24.8 ±0.3 | 9.4 ±0.2 |  4.0 | 28.5 ±7.0 |   10.0 | 20.6 ±0.9 | 14.8 ±0.4 
     rave     | chart   |      80 | 24.8 ±0.3 | 9.4 ±0.2 |  4.0 | 28.5 ±6.9 |   10.0 | 20.6 ±0.9 | 14.8 ±0.4 
     rave     | average |     160 | 24.8 ±0.3 | 9.4 ±0.2 |  4.0 | 28.5 ±4.9 |   10.0 | 20.6 ±0.6 | 14.8 ±0.3 
    , difference to standard
     variant | suite   |               visual |               in box |             pointing |                 keys 
    ---------+---------+----------------------+----------------------+----------------------+----------------------
     rave    | ocr     | +2.80 [+2.80, +2.80] | +1.00 [+1.00, +1.00] | +0.00 [+0.00, +0.00] | +0.00 [+0.00, +0.00] 
     rave    | chart   | +2.80 [+2.80, +2.80] | +1.00 [+1.00, +1.00] | +0.00 [+0.00, +0.00] | +0.00 [+0.00, +0.00] 
     rave    | average | +2.80 [+2.80, +2.80] | +1.00 [+1.00, +1.00] | +0.00 [+0.00, +0.00] | +0.00 [+0.00, +0.00] 
    ");
    let page = first_file(&summary, "md");
    assert!(page.contains("(attention-by-layer.svg)") && page.contains("(attention-in-box.svg)"));
    let lines = files(of(&summary), "csv").remove(3);
    let csv = String::from_utf8(lines.bytes).unwrap();
    assert_eq!(lines.name, "attention.csv");
    // Two suites and their average, two variants, six measures, and the header.
    assert_eq!(csv.lines().count(), 3 * 2 * 6 + 1);
    for chart in ["attention-by-layer", "attention-in-box"].map(named) {
        let drawn = chart.svg(&summary, model).unwrap();
        assert!(
            drawn.contains("rave") && !drawn.contains("NaN"),
            "{}",
            chart.id()
        );
        assert_eq!(chart.png(&summary, model).unwrap()[..4], *b"\x89PNG");
    }
    let none = Plan::default();
    let none = Summary::from_runs(&[run(&none)], "standard").unwrap();
    assert_eq!(ids(&charts(&none, &none.models[0])), ids(&CHARTS[..5]));
    assert_eq!(files(of(&none), "csv").len(), 3);
}
