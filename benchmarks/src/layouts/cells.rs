//! The types of parquet columns that are read, and their cells as text.

use crate::metrics::float_text;
use polars::prelude::{ArrowDataType, ArrowSchema, DataType, Series};

/// Whether polars, as it is built here, reads columns of that type.
pub(super) fn are_read(dtype: &ArrowDataType) -> bool {
    match dtype {
        ArrowDataType::Null
        | ArrowDataType::Boolean
        | ArrowDataType::Int32
        | ArrowDataType::Int64
        | ArrowDataType::UInt32
        | ArrowDataType::UInt64
        | ArrowDataType::Float32
        | ArrowDataType::Float64
        | ArrowDataType::Utf8View
        | ArrowDataType::BinaryView => true,
        ArrowDataType::LargeList(member) => are_read(&member.dtype),
        ArrowDataType::Struct(fields) => fields.iter().all(|field| are_read(&field.dtype)),
        _ => false,
    }
}

/// The columns of durations, or of lists of them, by the types that a writer of Arrow put beside parquet's.
pub(super) fn durations(schema: &ArrowSchema) -> Vec<(String, ArrowDataType)> {
    fn is_duration(dtype: &ArrowDataType) -> bool {
        match dtype {
            ArrowDataType::Duration(_) => true,
            ArrowDataType::List(member)
            | ArrowDataType::LargeList(member)
            | ArrowDataType::FixedSizeList(member, _) => is_duration(&member.dtype),
            _ => false,
        }
    }
    let columns = schema.iter().filter(|(_, field)| is_duration(&field.dtype));
    columns
        .map(|(name, field)| (name.to_string(), field.dtype.clone()))
        .collect()
}

/// What a type is called, as polars calls those that it reads.
pub(super) fn name(dtype: &ArrowDataType) -> String {
    match dtype {
        ArrowDataType::LargeList(member) => format!("list[{}]", name(&member.dtype)),
        ArrowDataType::Struct(fields) => format!("struct[{}]", fields.len()),
        ArrowDataType::Utf8View => "str".to_owned(),
        ArrowDataType::BinaryView => "binary".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The cells as text; `None` for a type that is neither text nor whole numbers.
pub(super) fn strings(series: &Series) -> Option<Vec<Option<String>>> {
    let dtype = series.dtype();
    let text = if dtype.is_string() || dtype.is_integer() || dtype.is_null() {
        series.cast(&DataType::String).ok()?
    } else {
        return None;
    };
    let cells = text.str().ok()?;
    Some(cells.iter().map(|cell| cell.map(str::to_owned)).collect())
}

/// As [`strings`], and floats and truth values as Python's `str` writes them. A float of 32 bits is the same number of 64 bits,
/// as `datasets` gives it; one that is not a number is no cell at all: that is how tables of `pandas` lack one.
pub(super) fn as_python_writes(series: &Series) -> Option<Vec<Option<String>>> {
    if let Ok(cells) = series.bool() {
        let text = |cell| if cell { "True" } else { "False" };
        return Some(
            cells
                .iter()
                .map(|cell| cell.map(|cell| text(cell).to_owned()))
                .collect(),
        );
    }
    if series.dtype().is_float() {
        let series = series.cast(&DataType::Float64).ok()?;
        let cells = series.f64().ok()?.iter();
        let numbers = cells.map(|cell| cell.filter(|number| !number.is_nan()));
        return Some(numbers.map(|cell| cell.map(float_text)).collect());
    }
    strings(series)
}
