//! Whether new parameters at their initial values leave the model's answers unchanged.

use std::collections::HashMap;

use super::judge::{found, not_measured};
use super::{Claim, Evidence, Finding, Verdict};
use crate::schema::SampleRecord;
use crate::{Error, Run};

/// Compares the answers of every run that holds both and has no trained weights for `variant`.
pub(super) fn judge(
    claim: &'static Claim,
    variant: &str,
    from: &str,
    runs: &[Run],
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for run in runs {
        let asked = &run.record.configuration;
        let has = |id: &str| asked.variants.iter().any(|own| own.id == id);
        let trainable = |id: &str| {
            asked
                .variants
                .iter()
                .any(|own| own.id == id && own.trainable)
        };
        if !has(from) || !trainable(variant) {
            continue;
        }
        let models = run.record.models.iter();
        // Under seeded random weights there is no trained model to leave unchanged.
        let at_start =
            models.filter(|model| !model.untrained && !model.adapters.contains_key(variant));
        let mut samples: Option<Vec<SampleRecord>> = None;
        for model in at_start {
            let samples = match &mut samples {
                Some(samples) => samples,
                none => none.insert(run.samples()?),
            };
            let subject = format!("{} ({})", model.name, run.record.run);
            let own = |id: &str| -> Vec<&SampleRecord> {
                let all = samples.iter();
                all.filter(|sample| sample.variant == id && sample.model == model.name)
                    .collect()
            };
            let precision = format!("{} on {}", asked.dtype, asked.device);
            findings.push(compare(
                claim,
                (&subject, &model.name),
                &own(variant),
                &own(from),
                precision,
                run,
            ));
        }
    }
    if findings.is_empty() {
        let reason = format!(
            "no run holds {variant} at its initial weights beside {from}: rave eval --model CHECKPOINT --variant {from},{variant}"
        );
        findings.push(not_measured(claim, "", reason));
    }
    Ok(findings)
}

fn compare(
    claim: &'static Claim,
    (subject, model): (&str, &str),
    own: &[&SampleRecord],
    from: &[&SampleRecord],
    precision: String,
    run: &Run,
) -> Finding {
    let key = |sample: &SampleRecord| (sample.suite.clone(), sample.sample.clone(), sample.seed);
    let known: HashMap<_, &SampleRecord> =
        from.iter().map(|sample| (key(sample), *sample)).collect();
    let (mut compared, mut same, mut tokens, mut others) = (0, 0, 0, Vec::new());
    for sample in own {
        let Some(base) = known.get(&key(sample)) else {
            continue;
        };
        // A sample that fails under both has no answer; one that fails under a single variant has another answer.
        if sample.error.is_some() && base.error.is_some() {
            continue;
        }
        compared += 1;
        tokens += u64::from(base.new_tokens);
        let answer = |own: &SampleRecord| {
            let answered = own.error.is_none();
            (answered, own.prediction.clone(), own.new_tokens)
        };
        if answer(sample) == answer(base) {
            same += 1;
        } else {
            others.push(sample.key());
        }
    }
    if compared == 0 {
        let reason = "no answer was given under both".to_owned();
        return not_measured(claim, subject, reason);
    }
    others.sort_unstable();
    let evidence = Evidence::Answers {
        compared,
        same,
        tokens,
        precision,
        first_other: others.into_iter().next(),
    };
    // A single different answer decides, however many are missing.
    if same < compared {
        return found(claim, subject, Verdict::Contradicted, vec![evidence], None);
    }
    let due = due(run, model);
    let incomplete = if run.interrupted {
        let name = &run.record.run;
        Some(format!(
            "run {name} was interrupted: finish it with --resume"
        ))
    } else if compared < due {
        Some(format!(
            "{compared} of {due} samples were answered under both: see why the others were not"
        ))
    } else if tokens == 0 {
        Some("every answer is empty: a model that says nothing cannot show a change".to_owned())
    } else {
        None
    };
    found(
        claim,
        subject,
        Verdict::Reproduced,
        vec![evidence],
        incomplete,
    )
}

/// The samples that the run was to take of a model under each variant.
fn due(run: &Run, model: &str) -> usize {
    let rows: usize = run.record.data.values().map(|data| data.rows_used).sum();
    rows * run.record.seeds_of(model)
}
