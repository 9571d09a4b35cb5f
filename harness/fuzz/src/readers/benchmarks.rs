//! Data: pictures, the parquet files of published suites, a user's own suite, predictions of other harnesses.

use std::fs;
use std::path::Path;

use rave_benchmarks::predictions::{self as files, Format};
use rave_benchmarks::{Error, Picture, Suite, suite};

use super::{named, working};
use crate::Outcome;

/// The suite beside a JSONL file, and the line beside a suite.
const TOML: &str = "id = \"mine\"\nlayout = \"jsonl\"\nmax_new_tokens = 8\nmetric = \"anls\"\n";
const LINE: &str = "{\"image\": \"a.png\", \"question\": \"What?\", \"answers\": [\"this\"]}\n";

/// Items that are read of a suite.
const ITEMS: usize = 4;

/// A picture.
pub(super) fn image(input: &[u8]) -> Outcome {
    rave_lmm::decode(input, "picture").into()
}

/// The id of a published suite, then the parquet file of its split.
pub(super) fn parquet(input: &[u8]) -> Outcome {
    let Some((id, bytes)) = named(input) else {
        return Outcome::Foreign;
    };
    match suite(id) {
        Ok(suite) if !suite.is_embedded() => {
            let folder = working(tempfile::tempdir());
            let name = format!("{}-00000-of-00001.parquet", suite.split);
            working(fs::write(folder.path().join(name), bytes));
            items(suite, Some(folder.path())).into()
        }
        _ => Outcome::Foreign,
    }
}

/// `suite.toml` or `test.jsonl`, then the file.
pub(super) fn own_suite(input: &[u8]) -> Outcome {
    let Some((name @ ("suite.toml" | "test.jsonl"), bytes)) = named(input) else {
        return Outcome::Foreign;
    };
    let folder = working(tempfile::tempdir());
    for (file, text) in [("suite.toml", TOML), ("test.jsonl", LINE), ("a.png", "P")] {
        working(fs::write(folder.path().join(file), text));
    }
    working(fs::write(folder.path().join(name), bytes));
    Suite::load(folder.path())
        .and_then(|suite| items(&suite, None))
        .into()
}

/// Opens a suite and reads its first items. A picture that is not there costs its own item alone.
fn items(suite: &Suite, data: Option<&Path>) -> Result<(), Error> {
    let dataset = suite.open(data)?;
    for index in 0..dataset.len().min(ITEMS) {
        if let Ok(item) = dataset.item(index)
            && let Picture::Encoded { bytes, name } = item.picture
        {
            // Whatever becomes of the picture, it is the other target's.
            drop((bytes, name));
        }
    }
    Ok(())
}

/// `jsonl`, `json`, `csv` or `tsv`, then the file.
pub(super) fn predictions(input: &[u8]) -> Outcome {
    let format = match named(input) {
        Some(("jsonl", _)) => Format::Jsonl,
        Some(("json", _)) => Format::Json,
        Some(("csv", _)) => Format::Csv,
        Some(("tsv", _)) => Format::Tsv,
        _ => return Outcome::Foreign,
    };
    let text = named(input).and_then(|(_, bytes)| std::str::from_utf8(bytes).ok());
    match text {
        Some(text) => files::read(format, text).into(),
        None => Outcome::Foreign,
    }
}
