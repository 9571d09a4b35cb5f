//! Rules, processors and stop strings against what `transformers` computes (`tests/fixtures/make_generation_cases.py`).

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tch::Tensor;
use tokenizers::Tokenizer;

use super::GenerationConfig;
use super::keys::{GenerationKey, GenerationKeys, KEYS};
use super::logits_processors::LogitsProcessors;
use super::stop_strings::StopStrings;
use crate::Error;

fn cases() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/generation.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn parse(settings: &Value, ignored: GenerationKeys) -> Result<GenerationConfig, Error> {
    let settings: Map<String, Value> = settings.as_object().unwrap().clone();
    let file = "generation_config.json";
    GenerationConfig::parse(PathBuf::from(file), file, settings, ignored)
}

fn followed(settings: &Value) -> GenerationConfig {
    parse(settings, GenerationKeys::default()).unwrap()
}

fn ids(value: &Value) -> Vec<i64> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Rows of numbers, of which those that are not finite are texts.
fn tensor(rows: &Value) -> Tensor {
    let rows = rows.as_array().unwrap().iter().map(|row| {
        let row = row.as_array().unwrap().iter();
        let row: Vec<f32> = row
            .map(|value| match value.as_str() {
                Some(text) => text.parse().unwrap(),
                None => value.as_f64().unwrap() as f32,
            })
            .collect();
        Tensor::from_slice(&row)
    });
    Tensor::stack(&rows.collect::<Vec<_>>(), 0)
}

#[test]
fn processors_give_the_scores_of_transformers() {
    for case in cases()["processors"].as_array().unwrap() {
        let config = followed(&case["config"]);
        let prompts: Vec<Vec<i64>> = case["prompts"]
            .as_array()
            .unwrap()
            .iter()
            .map(ids)
            .collect();
        let prompts: Vec<&[i64]> = prompts.iter().map(Vec::as_slice).collect();
        let steps = case["steps"].as_array().unwrap();
        let mut processors = LogitsProcessors::new(&config.rules, &prompts, steps.len()).unwrap();
        for (number, step) in steps.iter().enumerate() {
            let scores = processors.apply(&tensor(&step["logits"])).unwrap();
            let expected = tensor(&step["scores"]);
            // Powers and logarithms are other code.
            assert!(
                scores.allclose(&expected, 1e-6, 1e-6, true),
                "{} at {number}: {scores} instead of {expected}",
                case["config"]
            );
            processors.push(&ids(&step["next"]));
        }
    }
}

/// Also where prompts are of different lengths, which `transformers` pads.
#[test]
fn sequences_of_a_batch_are_treated_as_alone() {
    let config = followed(&json!({
        "no_repeat_ngram_size": 2, "repetition_penalty": 1.5, "encoder_repetition_penalty": 0.7, "min_length": 4, "eos_token_id": 1,
        "encoder_no_repeat_ngram_size": 2, "sequence_bias": [[[2, 3], 1.5]], "begin_suppress_tokens": [4], "forced_bos_token_id": 2,
        "exponential_decay_length_penalty": [1, 1.2],
    }));
    let prompts: [&[i64]; 3] = [&[2], &[0, 1, 0], &[3, 2, 3, 2, 3]];
    let logits = Tensor::from_slice(&[0.5_f32, -1.0, 2.0, 0.25, -0.125]).repeat([3, 1]);
    let mut batched = LogitsProcessors::new(&config.rules, &prompts, 3).unwrap();
    let mut alone =
        prompts.map(|prompt| LogitsProcessors::new(&config.rules, &[prompt], 3).unwrap());
    for next in [[0, 0, 2], [1, 2, 3], [0, 0, 0]] {
        let scores = batched.apply(&logits).unwrap();
        for (row, processors) in alone.iter_mut().enumerate() {
            let own = processors.apply(&logits.get(0).unsqueeze(0)).unwrap();
            assert!(
                own.get(0).equal(&scores.get(row as i64)),
                "{row}: {own} {scores}"
            );
            processors.push(&next[row..=row]);
        }
        batched.push(&next);
    }
}

#[test]
fn tokens_that_the_head_lacks_are_passed_over() {
    let config = followed(&json!({
        "repetition_penalty": 2.0, "no_repeat_ngram_size": 1, "eos_token_id": [1, 90], "min_new_tokens": 1,
        "encoder_repetition_penalty": 2.0,
    }));
    let mut processors = LogitsProcessors::new(&config.rules, &[&[0, 70]], 2).unwrap();
    let scores = processors.apply(&Tensor::from_slice(&[4.0_f32, 2.0, 1.0]).unsqueeze(0));
    let expected = [f32::NEG_INFINITY, f32::NEG_INFINITY, 1.0];
    assert_eq!(
        Vec::<f32>::try_from(scores.unwrap().get(0)).unwrap(),
        expected
    );
}

#[test]
fn stop_strings_end_where_transformers_ends() {
    for case in cases()["stops"].as_array().unwrap() {
        let tokenizer: Tokenizer = case["tokenizer"].to_string().parse().unwrap();
        let strings: Vec<String> = serde_json::from_value(case["strings"].clone()).unwrap();
        let found = StopStrings::new(&strings, &tokenizer);
        let Some(ends) = case["ends"].as_array() else {
            assert!(found.is_err(), "{strings:?}");
            continue;
        };
        let stop = found.unwrap();
        for (sequence, ends) in case["sequences"].as_array().unwrap().iter().zip(ends) {
            let sequence = ids(sequence);
            for (last, ends) in ends.as_array().unwrap().iter().enumerate() {
                let said = &sequence[..=last];
                assert_eq!(
                    stop.end(&[], said),
                    ends.as_bool().unwrap(),
                    "{strings:?} {said:?}"
                );
                // Wherever the prompt ends.
                let (prompt, answer) = said.split_at(last / 2);
                assert_eq!(stop.end(prompt, answer), ends.as_bool().unwrap());
            }
        }
    }
}

#[test]
fn every_key_of_transformers_is_in_the_table_and_no_other() {
    let mut known: Vec<String> = serde_json::from_value(cases()["keys"].clone()).unwrap();
    // An attribute of older versions that is read and dropped, and arguments of a call that validate() refuses.
    known.extend(
        [
            "_commit_hash",
            "logits_processor",
            "stopping_criteria",
            "prefix_allowed_tokens_fn",
            "synced_gpus",
            "assistant_model",
            "streamer",
            "negative_prompt_ids",
            "negative_prompt_attention_mask",
        ]
        .map(str::to_owned),
    );
    known.sort_unstable();
    let mut table: Vec<_> = KEYS.iter().map(|(name, _)| (*name).to_owned()).collect();
    table.sort_unstable();
    assert_eq!(table, known);
}

#[test]
fn what_is_not_computed_is_refused_by_its_name_and_can_be_ignored() {
    let refused = [
        json!({ "num_beams": 4 }),
        json!({ "num_beams": "2" }),
        json!({ "use_mtp": true }),
        json!({ "max_time": 2.5 }),
        json!({ "penalty_alpha": 0.6 }),
        json!({ "penalty_alpha": 0.6, "top_k": 4 }),
        json!({ "dola_layers": "high" }),
        json!({ "prompt_lookup_num_tokens": 3 }),
        json!({ "assistant_early_exit": 2 }),
        json!({ "is_assistant": true }),
        json!({ "guidance_scale": 1.5 }),
        json!({ "watermarking_config": { "bias": 2.5 } }),
        json!({ "constraints": [] }),
        json!({ "force_words_ids": [[3]] }),
        json!({ "cache_implementation": "quantized" }),
        json!({ "num_return_sequences": 2 }),
        json!({ "token_healing": true }),
        json!({ "prefill_chunk_size": 64 }),
        json!({ "compile_config": {} }),
        json!({ "streamer": 1 }),
    ];
    for settings in refused {
        let key = settings.as_object().unwrap().keys().next().unwrap();
        let message = parse(&settings, GenerationKeys::default())
            .unwrap_err()
            .with_hint();
        for part in ["generation_config.json", key, "--ignore-generation-config"] {
            assert!(message.contains(part), "{message}");
        }
        let ignored = [key.parse::<GenerationKey>().unwrap()]
            .into_iter()
            .collect();
        let config = parse(&settings, ignored).unwrap();
        assert_eq!(config.followed().ignored[key], settings[key]);
        assert!(parse(&settings, GenerationKeys::ALL).is_ok());
    }
}

#[test]
fn a_value_that_is_none_is_refused_with_file_key_and_remedy() {
    let end = json!(1);
    let wrong = [
        ("eos_token_id", json!("2")),
        ("eos_token_id", json!([1, -2])),
        ("eos_token_id", json!(1.0)),
        ("min_new_tokens", json!(-1)),
        ("min_new_tokens", json!(true)),
        ("min_length", json!("8")),
        ("min_length", json!(2.5)),
        ("no_repeat_ngram_size", json!(-2)),
        ("encoder_no_repeat_ngram_size", json!([2])),
        ("repetition_penalty", json!(0.0)),
        ("repetition_penalty", json!(-1.5)),
        ("repetition_penalty", json!(2)),
        ("encoder_repetition_penalty", json!("1.2")),
        ("bad_words_ids", json!([])),
        ("bad_words_ids", json!([3])),
        ("bad_words_ids", json!([[]])),
        ("bad_words_ids", json!([[3, "a"]])),
        ("bad_words_ids", json!([[-3]])),
        ("bad_words_ids", json!([[1]])),
        ("sequence_bias", json!({ "(3,)": 1.5 })),
        ("sequence_bias", json!([[[3], 1]])),
        ("sequence_bias", json!([[3, 1.5]])),
        ("sequence_bias", json!([[[], 1.5]])),
        ("sequence_bias", json!([[[3], 1e300]])),
        ("sequence_bias", json!([[[3], 1.5, 2]])),
        ("forced_bos_token_id", json!([3])),
        ("forced_eos_token_id", json!("end")),
        ("forced_eos_token_id", json!([-1])),
        ("remove_invalid_values", json!("true")),
        ("renormalize_logits", json!(1)),
        ("exponential_decay_length_penalty", json!(1.2)),
        ("exponential_decay_length_penalty", json!([-1, 1.2])),
        ("exponential_decay_length_penalty", json!([1, 0.0])),
        ("suppress_tokens", json!(3)),
        ("suppress_tokens", json!([[3]])),
        ("begin_suppress_tokens", json!([-3])),
        ("stop_strings", json!([])),
        ("stop_strings", json!("")),
        ("stop_strings", json!([3])),
    ];
    for (key, value) in wrong {
        let mut settings = json!({ "eos_token_id": end });
        settings[key] = value;
        let message = parse(&settings, GenerationKeys::default())
            .unwrap_err()
            .with_hint();
        for part in [
            "generation_config.json",
            key,
            "give ",
            "--ignore-generation-config",
        ] {
            assert!(message.contains(part), "{settings}: {message}");
        }
        let ignored = [key.parse::<GenerationKey>().unwrap()]
            .into_iter()
            .collect();
        let config = parse(&settings, ignored).unwrap();
        assert_eq!(config.followed().ignored[key], settings[key]);
    }
    let endless = json!({ "exponential_decay_length_penalty": [3, 1.2] });
    assert!(parse(&endless, GenerationKeys::default()).is_err());
    let contradiction = json!({ "forced_eos_token_id": 3, "suppress_tokens": [2, 3] });
    let message = parse(&contradiction, GenerationKeys::default())
        .unwrap_err()
        .with_hint();
    assert!(message.contains("suppress_tokens has it too"), "{message}");
}

#[test]
fn a_token_past_the_vocabulary_is_refused_unless_it_is_an_end() {
    for settings in [
        json!({ "suppress_tokens": [3, 10] }),
        json!({ "begin_suppress_tokens": [10] }),
        json!({ "bad_words_ids": [[1, 10, 2]] }),
        json!({ "sequence_bias": [[[10, 1], 2.0]] }),
        json!({ "forced_bos_token_id": 10 }),
        json!({ "forced_eos_token_id": [10] }),
    ] {
        let key = settings.as_object().unwrap().keys().next().unwrap();
        let config = followed(&settings);
        assert!(config.check_tokens(11).is_ok());
        let message = config.check_tokens(10).unwrap_err().with_hint();
        for part in ["generation_config.json", key, "token 10", "use "] {
            assert!(message.contains(part), "{message}");
        }
    }
    assert!(
        followed(&json!({ "eos_token_id": 10 }))
            .check_tokens(10)
            .is_ok()
    );
}

#[test]
fn what_was_followed_is_told_and_what_asks_for_nothing_is_not() {
    let settings = json!({
        "eos_token_id": [2, 3], "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "min_length": 0, "temperature": 0.1,
        "num_beams": 1, "suppress_tokens": null, "renormalize_logits": false, "min_new_tokens": 3, "made_up": [1],
        "encoder_repetition_penalty": 1.5,
    });
    let ignored = ["encoder_repetition_penalty", "num_beams"];
    let ignored = ignored.map(|key| key.parse::<GenerationKey>().unwrap());
    let config = parse(&settings, ignored.into_iter().collect()).unwrap();
    let told = config.followed();
    assert_eq!(
        json!(told.applied),
        json!({ "eos_token_id": [2, 3], "min_new_tokens": 3 })
    );
    assert_eq!(
        json!(told.ignored),
        json!({ "encoder_repetition_penalty": 1.5, "num_beams": 1 })
    );
    assert_eq!(json!(told.unknown), json!({ "made_up": [1] }));
    // Without an end token there is none to wait for.
    let endless = followed(&json!({ "min_new_tokens": 3, "min_length": 4 }));
    assert!(endless.followed().applied.is_empty());
}

#[test]
fn a_key_that_is_mistyped_is_refused_with_the_nearest() {
    let error = "num_beam".parse::<GenerationKey>().unwrap_err().with_hint();
    assert!(error.contains("did you mean `num_beams`?"), "{error}");
}
