//! Predictions as cells under a row of names: `prediction`, and `answers` (or `answer`), `id` (or `index`), `category` (or
//! `split`), `dataset` where there are any. Other columns are ignored. Every cell is text as it stands: `None` and `nan` too.

use rave_hints::refusal;

use super::{Prediction, answers_in, refused};
use crate::Error;

/// Reads a table with that delimiter.
pub(super) fn read(text: &str, delimiter: u8) -> Result<Vec<Prediction>, Error> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let names = reader
        .headers()
        .map_err(|error| refused(1, error.to_string()))?
        .clone();
    let column = |wanted: [&str; 2]| {
        let place = |name: &str| names.iter().position(|own| own.trim() == name);
        wanted.into_iter().find_map(place)
    };
    let Some(said) = column(["prediction", "predictions"]) else {
        return Err(refused(
            1,
            refusal(
                format!(
                    "no column `prediction` among those that the first row names: {}",
                    names.iter().collect::<Vec<_>>().join(", ")
                ),
                "give the column with the answers that name",
            ),
        ));
    };
    let answers = column(["answers", "answer"]);
    let (id, dataset) = (column(["id", "index"]), column(["dataset", "dataset"]));
    let category = column(["category", "split"]);
    let mut predictions = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            refused(line as usize, error.to_string())
        })?;
        let cell = |place: Option<usize>| place.and_then(|place| record.get(place));
        predictions.push(Prediction {
            line: record.position().map_or(0, csv::Position::line) as usize,
            id: cell(id).map(Into::into),
            dataset: cell(dataset).map(str::to_owned),
            category: cell(category).map(str::to_owned),
            prediction: cell(Some(said)).unwrap_or_default().to_owned(),
            answers: cell(answers).map(answers_in).unwrap_or_default(),
            ..Prediction::default()
        });
    }
    Ok(predictions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text_whatever_they_look_like() {
        let text = "index,question,answer,prediction,split\n7,\"a, b?\",\"['None', 'x']\",None,human\n8,?,\"two\nlines\",,augmented\n";
        let read = read(text, b',').unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].id, Some("7".into()));
        assert_eq!(read[0].prediction, "None");
        assert_eq!(read[0].answers, ["None", "x"]);
        assert_eq!(read[0].category.as_deref(), Some("human"));
        assert_eq!(
            (
                read[1].line,
                read[1].prediction.as_str(),
                read[1].answers.as_slice()
            ),
            (3, "", &["two\nlines".to_owned()][..])
        );
    }

    #[test]
    fn a_table_without_its_column_or_with_uneven_rows_is_refused() {
        let message = read("id\tanswer\na\tb\n", b'\t').unwrap_err().with_hint();
        assert!(
            message.contains("no column `prediction`") && message.contains("id, answer"),
            "{message}"
        );
        let message = read("prediction,answer\na,b\nc\n", b',')
            .unwrap_err()
            .with_hint();
        assert!(message.starts_with("line 3 "), "{message}");
    }
}
