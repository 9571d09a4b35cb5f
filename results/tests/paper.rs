//! The paper's claims: every verdict by its rule, and no verdict without what it needs.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use rave_results::latency::{
    AGAIN, LatencyConfiguration, LatencyRecord, LatencyRow, LatencyRun, Phase,
};
use rave_results::paper::{Evidence, Finding, PaperTable, Test, Verdict, claims, paper_table};
use rave_results::schema::{
    AdapterRecord, CodeVersion, Libraries, Machine, ModelRecord, RunRecord,
};
use rave_results::statistics::{Equivalence, Resampling, Sameness};
use rave_results::{Run, SampleRecord, training};

mod common;
use common::{record, sample};

const SUITES: [&str; 2] = ["ocr", "general"];
const ROWS: usize = 60;

fn table(runs: &[Run], latency: &[LatencyRun]) -> PaperTable {
    let resampling = Resampling {
        resamples: 1_000,
        ..Resampling::default()
    };
    paper_table(runs, latency, &resampling).unwrap()
}

fn finding<'a>(table: &'a PaperTable, claim: &str) -> &'a Finding {
    let mut own = table
        .findings
        .iter()
        .filter(|finding| finding.claim == claim);
    let found = own.next().unwrap();
    assert!(own.next().is_none(), "{claim} is judged once");
    found
}

fn verdict(table: &PaperTable, claim: &str) -> Verdict {
    finding(table, claim).verdict
}

/// A run's record with these trained variants.
fn trained(name: &str, variants: &[&str]) -> RunRecord {
    let mut record = record(name, &SUITES, variants);
    for suite in &mut record.configuration.suites {
        suite.reading = suite.id == "ocr";
    }
    for data in record.data.values_mut() {
        (data.rows_used, data.rows_total) = (ROWS, ROWS);
    }
    record.models[0].parameters = 1_000_000;
    for variant in &mut record.configuration.variants {
        variant.trainable = variant.id != "standard";
        if variant.trainable {
            let adapter = AdapterRecord {
                parameters: 6_000,
                ..AdapterRecord::default()
            };
            record.models[0]
                .adapters
                .insert(variant.id.clone(), adapter);
        }
    }
    record.finished = Some(record.created);
    record
}

/// Answers of a variant, of which this share is right on each suite; the same items are hard for every variant.
fn answers(variant: &str, shares: [f64; 2]) -> Vec<SampleRecord> {
    let one = |(suite, share): (&&str, f64)| {
        let (suite, variant) = (suite.to_string(), variant.to_owned());
        (0..ROWS).map(move |index| {
            let hard = (index * 37 % ROWS) as f64 / ROWS as f64;
            sample(
                &suite,
                &variant,
                index,
                Some(f64::from(u8::from(hard < share))),
            )
        })
    };
    SUITES.iter().zip(shares).flat_map(one).collect()
}

fn run(variants: &[(&str, [f64; 2])]) -> Run {
    let ids: Vec<&str> = variants.iter().map(|(id, _)| *id).collect();
    let samples: Vec<SampleRecord> = variants
        .iter()
        .flat_map(|(id, shares)| answers(id, *shares))
        .collect();
    Run::from_samples(trained("run", &ids), &samples)
}

#[test]
fn a_clear_gain_reproduces_and_its_opposite_contradicts() {
    let runs = [run(&[
        ("standard", [0.4, 0.4]),
        ("rave", [0.8, 0.5]),
        ("rave-post-rope", [0.9, 0.9]),
        ("rave-all-keys", [0.8, 0.5]),
        ("rave-key-only", [0.5, 0.4]),
        ("rave-query-only", [0.6, 0.5]),
    ])];
    let table = table(&runs, &[]);
    assert_eq!(verdict(&table, "average-gain"), Verdict::Reproduced);
    assert_eq!(verdict(&table, "reading"), Verdict::Reproduced);
    assert_eq!(verdict(&table, "pre-rope"), Verdict::Contradicted);
    assert_eq!(verdict(&table, "visual-keys"), Verdict::Inconclusive);
    assert_eq!(verdict(&table, "pairs"), Verdict::Reproduced);
    assert_eq!(verdict(&table, "parameters"), Verdict::Reproduced);
    assert_eq!(verdict(&table, "overhead"), Verdict::NotMeasured);
    assert_eq!(verdict(&table, "plug-and-play"), Verdict::NotMeasured);
    match finding(&table, "average-gain").evidence.as_slice() {
        [
            Evidence::Gain {
                value,
                over,
                pairs,
                smallest_detectable,
                ..
            },
        ] => {
            assert!((value - 0.25).abs() < 1e-12);
            assert_eq!((over.as_str(), *pairs), ("standard", 2 * ROWS));
            assert!(smallest_detectable.is_some_and(|smallest| smallest > 0.0));
        }
        other => panic!("{other:?}"),
    }
    match finding(&table, "reading").evidence.as_slice() {
        [
            Evidence::Reading {
                reading,
                others,
                value,
                ..
            },
        ] => {
            assert!((reading - 0.4).abs() < 1e-12 && (others - 0.1).abs() < 1e-12);
            assert!((value - 0.3).abs() < 1e-12);
        }
        other => panic!("{other:?}"),
    }
    // One half better than the whole is enough against the claim on pairs.
    let runs = [run(&[
        ("standard", [0.4, 0.4]),
        ("rave", [0.5, 0.5]),
        ("rave-key-only", [0.4, 0.4]),
        ("rave-query-only", [0.9, 0.9]),
    ])];
    let table = self::table(&runs, &[]);
    assert_eq!(verdict(&table, "pairs"), Verdict::Contradicted);
}

#[test]
fn losing_less_where_one_reads_is_no_gain_in_reading() {
    let runs = [run(&[("standard", [0.8, 0.8]), ("rave", [0.7, 0.2])])];
    let table = table(&runs, &[]);
    assert_eq!(verdict(&table, "average-gain"), Verdict::Contradicted);
    assert_eq!(verdict(&table, "reading"), Verdict::Inconclusive);
    // And without a suite of the other kind there is nothing to hold it against.
    let mut alone = run(&[("standard", [0.4, 0.4]), ("rave", [0.8, 0.5])]);
    for suite in &mut alone.record.configuration.suites {
        suite.reading = true;
    }
    let table = self::table(&[alone], &[]);
    assert_eq!(verdict(&table, "reading"), Verdict::NotMeasured);
}

/// A run of three seeds, in each of which `rave` gains this on every suite over a third of right answers.
fn seeded(gains: [f64; 3]) -> Run {
    let mut samples = Vec::new();
    for (seed, gain) in (0..).zip(gains) {
        for (variant, share) in [("standard", 1.0 / 3.0), ("rave", 1.0 / 3.0 + gain)] {
            let own = answers(variant, [share, share]).into_iter();
            samples.extend(own.map(|sample| SampleRecord { seed, ..sample }));
        }
    }
    let mut record = trained("seeded", &["standard", "rave"]);
    record.models[0].seeds = vec![0, 1, 2];
    Run::from_samples(record, &samples)
}

#[test]
fn three_seeds_decide_only_what_they_agree_on() {
    let of = |gains: [f64; 3]| {
        let table = table(&[seeded(gains)], &[]);
        let Evidence::Gain {
            interval,
            p,
            p_by_seed,
            ..
        } = finding(&table, "average-gain").evidence[0]
        else {
            panic!("a gain rests on gains")
        };
        (
            verdict(&table, "average-gain"),
            interval,
            p,
            p_by_seed.unwrap(),
        )
    };
    // All of one sign, so that interval and images are sure; but one seed has nearly all of it.
    let (found, interval, p, by_seed) = of([0.05, 0.05, 0.6]);
    assert!(interval.low > 0.0 && p < 0.05 && by_seed > 0.05);
    assert_eq!(found, Verdict::Inconclusive);
    let (found, _, _, by_seed) = of([0.25, 0.3, 0.35]);
    assert!(by_seed < 0.05);
    assert_eq!(found, Verdict::Reproduced);
    assert_eq!(of([-0.25, -0.3, -0.2]).0, Verdict::Contradicted);
}

#[test]
fn a_few_answers_decide_nothing() {
    // All of five images gained: the interval is [1, 1], but flips of five images give no p below 0.05.
    let few = |count: usize| {
        let mut samples = Vec::new();
        for (variant, score) in [("standard", 0.0), ("rave", 1.0)] {
            samples.extend((0..count).map(|index| sample("ocr", variant, index, Some(score))));
        }
        let mut record = trained("few", &["standard", "rave"]);
        record
            .configuration
            .suites
            .retain(|suite| suite.id == "ocr");
        record.data.retain(|suite, _| suite == "ocr");
        for data in record.data.values_mut() {
            (data.rows_used, data.rows_total) = (count, count);
        }
        verdict(
            &table(&[Run::from_samples(record, &samples)], &[]),
            "average-gain",
        )
    };
    assert_eq!(few(2), Verdict::Inconclusive);
    assert_eq!(few(5), Verdict::Inconclusive);
    assert_eq!(few(12), Verdict::Reproduced);
}

#[test]
fn a_gain_in_reading_must_itself_be_one() {
    // The others lose, and what is read gains two answers of sixty: the contrast is sure, the gain is not.
    let runs = [run(&[
        ("standard", [0.5, 0.8]),
        ("rave", [0.5 + 2.0 / 60.0, 0.2]),
    ])];
    let table = table(&runs, &[]);
    let Evidence::Reading {
        reading,
        reading_interval,
        interval,
        ..
    } = finding(&table, "reading").evidence[0]
    else {
        panic!("reading rests on the contrast")
    };
    assert!(reading > 0.0 && reading_interval.low <= 0.0 && interval.low > 0.0);
    assert_eq!(verdict(&table, "reading"), Verdict::Inconclusive);
}

/// One part is enough against a claim of several, so each has its share of the level for that.
#[test]
fn a_contradiction_by_one_of_two_parts_takes_half_the_level() {
    // The first seven images lose: p is 2 / 2^6 = 0.031 by six of them, 2 / 2^7 = 0.016 by seven.
    let lost = |count: usize| {
        let variants = ["standard", "rave", "rave-key-only", "rave-query-only"];
        let mut samples: Vec<SampleRecord> = variants
            .iter()
            .flat_map(|id| answers(id, [0.5, 0.5]))
            .collect();
        let mut left = count;
        for sample in &mut samples {
            let own = sample.suite == "ocr" && sample.variant == "rave";
            if own && sample.score == Some(1.0) && left > 0 {
                sample.score = Some(0.0);
                left -= 1;
            }
        }
        let table = table(
            &[Run::from_samples(trained("lost", &variants), &samples)],
            &[],
        );
        (verdict(&table, "average-gain"), verdict(&table, "pairs"))
    };
    assert_eq!(
        lost(6),
        (Verdict::Contradicted, Verdict::Inconclusive),
        "p 0.031"
    );
    assert_eq!(lost(9), (Verdict::Contradicted, Verdict::Contradicted));
}

#[test]
fn failed_and_unpaired_answers_decide_nothing() {
    let reason = |change: &dyn Fn(&mut Vec<SampleRecord>, &mut RunRecord)| {
        let mut samples = answers("standard", [0.4, 0.4]);
        samples.extend(answers("rave", [0.8, 0.8]));
        let mut record = trained("run", &["standard", "rave"]);
        change(&mut samples, &mut record);
        let table = table(&[Run::from_samples(record, &samples)], &[]);
        let found = finding(&table, "average-gain");
        assert_eq!(found.verdict, Verdict::Inconclusive);
        found.reason.clone().unwrap()
    };
    let failed = reason(&|samples, _| {
        let own = samples
            .iter_mut()
            .find(|own| own.variant == "rave")
            .unwrap();
        own.score = None;
        own.error = Some("out of memory: 3 GiB asked".into());
    });
    assert!(
        failed.contains("1 of 60 answers of ocr under rave failed"),
        "{failed}"
    );
    // Each variant holds sixty of sixty answers, but of other samples.
    let apart = reason(&|samples, _| {
        let own = samples
            .iter_mut()
            .find(|own| (own.variant.as_str(), own.suite.as_str()) == ("rave", "ocr"));
        own.unwrap().sample = "9999".into();
    });
    assert!(
        apart.contains("ocr: 59 of 60 samples were answered under both rave and standard"),
        "{apart}"
    );
}

/// A second model's run with other suites and variants takes nothing from the first.
#[test]
fn each_model_is_judged_by_the_runs_that_hold_it() {
    let first = run(&[("standard", [0.4, 0.4]), ("rave", [0.8, 0.5])]);
    let mut record = trained("second", &["standard", "rave"]);
    record
        .configuration
        .suites
        .retain(|suite| suite.id == "ocr");
    record.data.retain(|suite, _| suite == "ocr");
    record.configuration.models = vec!["other".into()];
    record.models[0].name = "other".into();
    let samples: Vec<SampleRecord> = [("standard", 0.4), ("rave", 0.9)]
        .iter()
        .flat_map(|(id, share)| answers(id, [*share; 2]))
        .filter(|sample| sample.suite == "ocr")
        .map(|sample| SampleRecord {
            model: "other".into(),
            ..sample
        })
        .collect();
    let table = table(&[first, Run::from_samples(record, &samples)], &[]);
    let gains: Vec<(&str, Verdict)> = table
        .findings
        .iter()
        .filter(|finding| finding.claim == "average-gain")
        .map(|finding| (finding.subject.as_str(), finding.verdict))
        .collect();
    assert_eq!(
        gains,
        [
            ("nano", Verdict::Reproduced),
            ("other", Verdict::Reproduced)
        ]
    );
}

#[test]
fn what_is_missing_is_named_and_never_guessed() {
    let reason = |runs: &[Run], claim: &str| {
        let table = table(runs, &[]);
        let found = finding(&table, claim);
        assert_eq!(found.verdict, Verdict::NotMeasured, "{claim}");
        found.reason.clone().unwrap()
    };
    let good = run(&[("standard", [0.4, 0.4]), ("rave", [0.8, 0.5])]);
    let whole = std::slice::from_ref(&good);
    assert!(reason(whole, "visual-keys").contains("rave-all-keys is in none of the runs"));
    assert!(reason(whole, "pairs").contains("rave-key-only is in none of the runs"));
    assert!(reason(whole, "overhead").contains("no latency run"));
    assert!(reason(whole, "plug-and-play").contains("rave eval --model CHECKPOINT"));

    let alone = run(&[("rave", [0.8, 0.5])]);
    assert!(
        reason(std::slice::from_ref(&alone), "average-gain")
            .contains("standard is in none of the runs")
    );
    assert_eq!(table(&[alone], &[]).summary, None);

    // A variant that was never trained computes what standard does, beside one that was.
    let mut untrained = run(&[
        ("standard", [0.4, 0.4]),
        ("rave", [0.8, 0.5]),
        ("rave-all-keys", [0.4, 0.4]),
    ]);
    untrained.record.models[0].adapters.remove("rave-all-keys");
    assert!(reason(&[untrained], "visual-keys").contains("rave-all-keys has no trained weights"));

    let mut random = good.clone();
    random.record.models[0].untrained = true;
    assert!(reason(&[random], "average-gain").contains("seeded random weights"));

    // Every answer of a cell failed.
    let mut samples = answers("standard", [0.4, 0.4]);
    samples.extend(answers("rave", [0.8, 0.5]).into_iter().map(
        |sample| match sample.suite.as_str() {
            "ocr" => SampleRecord {
                score: None,
                error: Some("out of memory: 3 GiB asked".into()),
                ..sample
            },
            _ => sample,
        },
    ));
    let failed = Run::from_samples(trained("run", &["standard", "rave"]), &samples);
    let told = reason(&[failed], "average-gain");
    assert!(
        told.contains("ocr under rave has no score (60 failed)"),
        "{told}"
    );

    let empty = Run::from_samples(trained("run", &["standard", "rave"]), &[]);
    assert!(reason(&[empty], "average-gain").contains("rave has no answers of nano"));
    let error = paper_table(&[], &[], &Resampling::default()).unwrap_err();
    assert!(error.to_string().contains("no run given"), "{error}");
}

#[test]
fn an_interrupted_run_decides_nothing() {
    let mut samples = answers("standard", [0.4, 0.4]);
    samples.extend(answers("rave", [0.8, 0.8]));
    samples.retain(|sample| sample.sample != "0003" || sample.variant != "rave");
    let mut record = trained("run", &["standard", "rave"]);
    record.finished = None;
    let table = table(&[Run::from_samples(record, &samples)], &[]);
    let found = finding(&table, "average-gain");
    assert_eq!(found.verdict, Verdict::Inconclusive);
    let reason = found.reason.as_ref().unwrap();
    assert!(
        reason.contains("ocr under rave holds 59 of 60 samples"),
        "{reason}"
    );
    assert!(table.notes.iter().any(|note| note.contains("interrupted")));
}

#[test]
fn too_many_parameters_contradict() {
    let mut large = run(&[("standard", [0.4, 0.4]), ("rave", [0.8, 0.5])]);
    large.record.models[0]
        .adapters
        .get_mut("rave")
        .unwrap()
        .parameters = 10_000;
    assert_eq!(
        verdict(&table(&[large], &[]), "parameters"),
        Verdict::Contradicted
    );
}

/// A latency run in which `rave` takes so many times as long as `standard`, give or take a hundredth.
fn latency(prefill: f64, decode: f64) -> LatencyRun {
    let configuration = LatencyConfiguration {
        model: "nano".into(),
        variants: Vec::new(),
        image_tokens: vec![64],
        text_tokens: vec![8],
        new_tokens: 5,
        seconds: 1.0,
        warmup_seconds: 0.5,
        check_noise: false,
        dtype: "f32".into(),
        device: "cpu".into(),
        threads: 2,
    };
    let mut rows = Vec::new();
    for round in 0..12_u32 {
        let wobble = 1.0 + 0.01 * f64::from(round % 3) - 0.01;
        for (variant, times) in [
            ("standard", [10.0, 8.0]),
            ("rave", [10.0 * prefill, 8.0 * decode]),
        ] {
            for (phase, time) in [Phase::Prefill, Phase::Decode].into_iter().zip(times) {
                rows.push(LatencyRow {
                    model: "nano".into(),
                    variant: variant.into(),
                    image_tokens: 64,
                    text_tokens: 8,
                    new_tokens: 5,
                    round,
                    turn: 0,
                    phase,
                    milliseconds: Some(if variant == "rave" {
                        time * wobble
                    } else {
                        time
                    }),
                    bytes: None,
                    error: None,
                });
            }
        }
    }
    let created = "2026-05-18T12:00:00Z".parse().unwrap();
    LatencyRun {
        record: LatencyRecord {
            latency_version: 1,
            run: "latency".into(),
            created,
            command_line: vec!["rave".into()],
            config_hash: configuration.hash(),
            configuration,
            code: CodeVersion::default(),
            model: ModelRecord {
                name: "nano".into(),
                ..ModelRecord::default()
            },
            tokens_per_tile: 64,
            machine: Machine::default(),
            libraries: Libraries::default(),
            notes: Vec::new(),
            load_average: [None, None],
            finished: Some(created),
        },
        rows,
    }
}

#[test]
fn overhead_is_judged_by_equivalence() {
    let of =
        |prefill: f64, decode: f64| verdict(&table(&[], &[latency(prefill, decode)]), "overhead");
    assert_eq!(of(1.0, 1.02), Verdict::Reproduced);
    assert_eq!(of(0.8, 1.0), Verdict::Reproduced);
    // Shorter, but not shown to be within 5 % of standard's: that is no longer, all the same.
    assert_eq!(of(0.95, 1.0), Verdict::Reproduced);
    assert_eq!(of(1.0, 1.05), Verdict::Inconclusive);
    assert_eq!(of(1.2, 1.0), Verdict::Contradicted);
    let mut interrupted = latency(1.0, 1.0);
    interrupted.record.finished = None;
    let table = table(&[], &[interrupted]);
    assert_eq!(verdict(&table, "overhead"), Verdict::Inconclusive);
    assert!(
        table
            .notes
            .iter()
            .any(|note| note.contains("no run of trained weights"))
    );
    let mut without = latency(1.0, 1.0);
    without.rows.retain(|row| row.variant == "standard");
    let table = self::table(&[], &[without]);
    assert_eq!(verdict(&table, "overhead"), Verdict::NotMeasured);
}

/// `standard` timed once more, so many times as long as itself, give or take a hundredth.
fn with_control(mut run: LatencyRun, ratio: f64) -> LatencyRun {
    let own = run.rows.iter().filter(|row| row.variant == "standard");
    let again: Vec<LatencyRow> = own
        .map(|row| LatencyRow {
            variant: AGAIN.into(),
            milliseconds: row
                .milliseconds
                .map(|time| time * ratio * (0.99 + 0.01 * f64::from(row.round % 3))),
            ..row.clone()
        })
        .collect();
    run.rows.extend(again);
    run
}

#[test]
fn a_machine_that_differs_from_itself_judges_no_time() {
    let of = |prefill: f64, ratio: f64| {
        let table = table(&[], &[with_control(latency(prefill, 1.0), ratio)]);
        let found = finding(&table, "overhead").clone();
        (found.verdict, found.reason)
    };
    assert_eq!(of(1.0, 1.0), (Verdict::Reproduced, None));
    assert_eq!(of(1.2, 1.0), (Verdict::Contradicted, None));
    for prefill in [1.0, 1.2] {
        let (verdict, reason) = of(prefill, 1.1);
        assert_eq!(verdict, Verdict::Inconclusive);
        let reason = reason.unwrap();
        assert!(
            reason.contains("prefill at 64 + 8 tokens, decode at 64 + 8 tokens"),
            "{reason}"
        );
    }
}

#[test]
fn one_long_time_of_several_takes_its_share_of_the_level() {
    // Twelve rounds with a hundredth to and fro: the standard error is 0.0025, so 1.05 and two of them has p 0.035.
    let mut one = latency(1.055, 1.0);
    let by_itself = {
        one.rows.retain(|row| row.phase == Phase::Prefill);
        one.rows
            .iter()
            .filter(|row| row.variant == "rave")
            .map(|row| row.milliseconds.unwrap() / 10.0)
            .collect::<Vec<f64>>()
    };
    let alone = Equivalence::of(&by_itself, 0.05).unwrap();
    assert!(alone.p_above > 0.025 && alone.p_above < 0.05, "{alone:?}");
    assert_eq!(alone.sameness(), Sameness::Above);
    // Of two times that is not enough.
    let table = table(&[], &[latency(1.055, 1.0)]);
    assert_eq!(verdict(&table, "overhead"), Verdict::Inconclusive);
}

/// A stored run of `rave` at its initial weights, whose answers `change` may alter.
fn step_zero(folder: &Path, change: fn(&mut SampleRecord)) -> Run {
    let mut record = trained("step-0", &["standard", "rave"]);
    record.models[0].adapters.clear();
    let mut writer = common::begin(folder, &record).unwrap();
    for mut sample in ["standard", "rave"]
        .iter()
        .flat_map(|id| answers(id, [0.4, 0.4]))
    {
        change(&mut sample);
        writer.append(&sample).unwrap();
    }
    writer.finish(|_| {}).unwrap();
    Run::open(folder).unwrap()
}

#[test]
fn a_graft_is_held_to_every_character() {
    let folder = tempfile::tempdir().unwrap();
    let same = step_zero(&folder.path().join("same"), |_| {});
    let table = table(std::slice::from_ref(&same), &[]);
    let found = finding(&table, "plug-and-play");
    assert_eq!(found.verdict, Verdict::Reproduced);
    assert!(matches!(
        found.evidence[0],
        Evidence::Answers {
            compared: 120,
            same: 120,
            tokens: 600,
            ..
        }
    ));
    // It says nothing of what training gains, alone or beside a trained run of the same name.
    assert_eq!(verdict(&table, "average-gain"), Verdict::NotMeasured);
    let good = run(&[("standard", [0.4, 0.4]), ("rave", [0.8, 0.5])]);
    let both = self::table(&[good, same], &[]);
    assert_eq!(verdict(&both, "average-gain"), Verdict::Reproduced);
    assert_eq!(verdict(&both, "plug-and-play"), Verdict::Reproduced);

    let other = step_zero(&folder.path().join("other"), |sample| {
        if (sample.variant.as_str(), sample.sample.as_str()) == ("rave", "0007") {
            sample.prediction.push('.');
        }
    });
    let table = self::table(&[other], &[]);
    let found = finding(&table, "plug-and-play");
    assert_eq!(found.verdict, Verdict::Contradicted);
    match &found.evidence[0] {
        Evidence::Answers {
            same: 118,
            first_other: Some(key),
            ..
        } => {
            assert_eq!(key, "nano/general/rave/0007/seed 1");
        }
        other => panic!("{other:?}"),
    }
}

fn fail(sample: &mut SampleRecord) {
    sample.score = None;
    sample.error = Some("out of memory: 3 GiB asked".into());
    sample.prediction.clear();
    sample.new_tokens = 0;
}

#[test]
fn a_graft_is_not_shown_by_what_was_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, change: fn(&mut SampleRecord)| {
        let run = step_zero(&folder.path().join(name), change);
        let found = finding(&table(&[run], &[]), "plug-and-play").clone();
        (found.verdict, found.reason.unwrap_or_default())
    };
    // Under one alone: another answer.
    let (verdict, _) = of("one", |sample| {
        if (sample.variant.as_str(), sample.sample.as_str()) == ("rave", "0007") {
            fail(sample);
        }
    });
    assert_eq!(verdict, Verdict::Contradicted);
    // Under both: no answer.
    let (verdict, reason) = of("both", |sample| {
        if sample.sample == "0007" {
            fail(sample);
        }
    });
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(reason.contains("118 of 120 samples"), "{reason}");
    let (verdict, reason) = of("empty", |sample| {
        sample.prediction.clear();
        sample.new_tokens = 0;
    });
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(reason.contains("every answer is empty"), "{reason}");
    // Random weights are no trained model.
    let mut random = step_zero(&folder.path().join("random"), |_| {});
    random.record.models[0].untrained = true;
    assert_eq!(
        self::verdict(&table(&[random], &[]), "plug-and-play"),
        Verdict::NotMeasured
    );
}

#[test]
fn the_claims_are_whole() {
    let claims = claims();
    let ids: Vec<&str> = claims
        .claims
        .iter()
        .map(|claim| claim.id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "average-gain",
            "reading",
            "pre-rope",
            "visual-keys",
            "pairs",
            "overhead",
            "parameters",
            "plug-and-play"
        ]
    );
    assert!(claims.statement.contains("reconstruction at another scale"));
    for claim in &claims.claims {
        assert!(claim.source.starts_with("abstract: "), "{}", claim.id);
        assert!(claim.rule.contains("reproduced") || claim.rule.contains("as average-gain"));
        // The one number of the paper that is public.
        let numbers = claim
            .source
            .matches(|character: char| character.is_ascii_digit())
            .count();
        assert!(numbers == 0 || claim.id == "average-gain" || claim.source.contains("our choice"));
    }
    assert!(
        matches!(claims.claims[5].test, Test::Overhead { margin, .. } if (margin - 0.05).abs() < 1e-12)
    );
}

/// What the table says of the published model's training is what its losses say.
#[test]
fn the_published_training_is_as_long_as_its_losses() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR"));
    let nano = Run::open(&results.join("runs/nano")).unwrap();
    let table = table(&[nano], &[]);
    let stages = table.scale[0]
        .training
        .expect("nano's training is written down in training/scale.toml");
    assert!(
        stages
            .iter()
            .any(|stage| stage.what.contains("each variant"))
    );
    for stage in stages {
        let steps: u64 = stage
            .losses
            .iter()
            .map(|losses| {
                let rows = training::read_rows(&results.join("training").join(losses)).unwrap();
                rows.iter().map(|row| row.step).max().unwrap()
            })
            .sum();
        assert_eq!(steps, stage.steps, "{}", stage.what);
    }
}
