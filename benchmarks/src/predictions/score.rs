//! From predictions to scores, a suite's score, and one a category.

use super::{Prediction, refused};
use crate::Error;
use crate::layouts::Dataset;
use crate::metrics::Metric;
use crate::suite::Average;
use rave_hints::refusal;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// What becomes of a sample without a prediction. A command line has its name and documentation from here.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum Missing {
    /// It is left out, and counted.
    Skip,
    /// It is scored as an empty answer, as the servers of the benchmarks do.
    Zero,
}

/// The score of one prediction: a line of output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// The id of the prediction, where it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// In `[0, 1]`.
    pub score: f64,
}

/// What predictions scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// One score a prediction, in their order.
    pub scores: Vec<Scored>,
    /// The suite's score; `None` without predictions.
    pub score: Option<f64>,
    /// Category, mean and number of predictions, in the order in which they first occur; empty where no prediction has one.
    pub categories: Vec<(String, f64, usize)>,
}

/// Gives every prediction what the suite's data says of its item: answers, category, data set, metric. They come back in the
/// order of the data set, with the number of its samples that have no prediction.
///
/// A prediction belongs to the item with its id, or else with its number; an id of digits alone may lack leading zeros.
///
/// # Errors
/// [`Error::Prediction`] for one that names no item, or an item that another has named.
pub fn match_with(
    dataset: &Dataset,
    predictions: Vec<Prediction>,
    missing: Missing,
) -> Result<(Vec<Prediction>, usize), Error> {
    let labels: Vec<_> = (0..dataset.len())
        .filter_map(|index| dataset.label(index))
        .collect();
    let by_id: HashMap<&str, usize> = (labels.iter().enumerate())
        .map(|(index, label)| (label.id.as_str(), index))
        .collect();
    let by_number: HashMap<usize, usize> = (labels.iter().enumerate())
        .map(|(index, label)| (label.number, index))
        .collect();
    let suite = &dataset.suite().id;
    let mut said: Vec<Option<Prediction>> = vec![None; labels.len()];
    for prediction in predictions {
        let line = prediction.line;
        let id = prediction.id.as_ref().map(|id| match id {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let index = match (&id, prediction.number) {
            (Some(id), _) => by_id
                .get(id.as_str())
                .or_else(|| by_id.get(format!("{id:0>6}").as_str())),
            (None, Some(number)) => by_number.get(&number),
            (None, None) => {
                return Err(refused(
                    line,
                    refusal(
                        "it has no `id`, so that no answer of the data can be found for it",
                        "give ids, or answers and no --data",
                    ),
                ));
            }
        };
        let named = id.unwrap_or_else(|| format!("{}", prediction.number.unwrap_or(0)));
        let Some(&index) = index else {
            return Err(refused(
                line,
                format!(
                    "suite `{suite}` has no sample `{named}` in this data, whose ids are of the form `{}`",
                    labels[0].id
                ),
            ));
        };
        if let Some(first) = &said[index] {
            return Err(refused(
                line,
                refusal(
                    format!(
                        "sample `{named}` has a prediction already, on line {}",
                        first.line
                    ),
                    "leave one",
                ),
            ));
        }
        said[index] = Some(prediction);
    }
    let absent = said
        .iter()
        .filter(|prediction| prediction.is_none())
        .count();
    let matched = said
        .into_iter()
        .zip(labels)
        .filter_map(|(prediction, label)| {
            let prediction = match (prediction, missing) {
                (Some(prediction), _) => prediction,
                (None, Missing::Zero) => Prediction::default(),
                (None, Missing::Skip) => return None,
            };
            Some(Prediction {
                id: Some(label.id.into()),
                dataset: label.dataset,
                category: label.category,
                metric: label.metric,
                answers: label.answers,
                answers_are_doubtful: false,
                ..prediction
            })
        });
    Ok((matched.collect(), absent))
}

/// Scores predictions.
///
/// # Errors
/// [`Error::Prediction`] for one without answers, or whose answers are not those that the metric needs.
pub fn score(metric: Metric, average: Average, predictions: &[Prediction]) -> Result<Tally, Error> {
    let mut scores = Vec::with_capacity(predictions.len());
    let mut categories: Vec<(String, f64, usize)> = Vec::new();
    for prediction in predictions {
        let metric = prediction.metric.unwrap_or(metric);
        if prediction.answers.is_empty() {
            return Err(refused(
                prediction.line,
                refusal(
                    "there are no `answers`, so that nothing could be right",
                    "give the accepted answers, or --suite and --data DIR \
                 to take them from the suite's data",
                ),
            ));
        }
        if prediction.answers_are_doubtful
            && let Some(annotators) = metric.annotators()
            && prediction.answers.len() != annotators
        {
            return Err(refused(
                prediction.line,
                refusal(
                    format!(
                        "{metric} is a vote of {annotators} answers, which lmms-eval does not log"
                    ),
                    "give --suite and --data DIR to take \
                     them from the suite's data",
                ),
            ));
        }
        let score = metric.score(
            &prediction.prediction,
            &prediction.answers,
            prediction.dataset.as_deref(),
        );
        if let Some(name) = &prediction.category {
            match categories.iter_mut().find(|(own, ..)| own == name) {
                Some((_, sum, count)) => {
                    *sum += score;
                    *count += 1;
                }
                None => categories.push((name.clone(), score, 1)),
            }
        }
        scores.push(Scored {
            id: prediction.id.clone(),
            score,
        });
    }
    let by_category = predictions
        .iter()
        .zip(&scores)
        .map(|(prediction, scored)| (prediction.category.as_deref(), scored.score));
    let score = average.of(by_category);
    for (_, sum, count) in &mut categories {
        *sum /= *count as f64;
    }
    Ok(Tally {
        scores,
        score,
        categories,
    })
}
