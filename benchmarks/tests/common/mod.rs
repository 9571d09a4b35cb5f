//! Parquet files in the published layouts, for tests.

#![allow(dead_code, reason = "every test file uses a part")]

use polars::prelude::{
    Column, DataFrame, IntoSeries, NamedFrom, ParquetWriter, Series, StructChunked,
};
use rave_benchmarks::{Dataset, Item, Picture};
use std::fs::File;
use std::path::{Path, PathBuf};

/// `{bytes, path}` for each row; the bytes are the row's number, so that a mix-up shows.
pub fn images(rows: usize) -> Column {
    let bytes: Vec<Vec<u8>> = (0..rows)
        .map(|row| format!("picture {row}").into_bytes())
        .collect();
    let paths: Vec<String> = (0..rows).map(|row| format!("{row}.png")).collect();
    image_column(
        &Series::new("bytes".into(), bytes),
        &Series::new("path".into(), paths),
    )
}

pub fn image_column(bytes: &Series, path: &Series) -> Column {
    let fields = [bytes.clone(), path.clone()];
    StructChunked::from_series("image".into(), bytes.len(), fields.iter())
        .unwrap()
        .into_series()
        .into()
}

pub fn texts(name: &str, cells: &[&str]) -> Column {
    Series::new(name.into(), cells).into()
}

pub fn lists(name: &str, cells: &[&[&str]]) -> Column {
    let inner: Vec<Series> = cells
        .iter()
        .map(|list| Series::new("item".into(), *list))
        .collect();
    Series::new(name.into(), inner).into()
}

/// Writes a file with row groups of three rows.
pub fn write(folder: &Path, name: &str, columns: Vec<Column>) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(name);
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(File::create(&path).unwrap())
        .with_row_group_size(Some(3))
        .finish(&mut frame)
        .unwrap();
    path
}

pub fn items(dataset: &Dataset) -> Vec<Item> {
    (0..dataset.len())
        .map(|index| dataset.item(index).unwrap())
        .collect()
}

pub fn bytes(item: &Item) -> String {
    match &item.picture {
        Picture::Encoded { bytes, .. } => String::from_utf8(bytes.clone()).unwrap(),
        Picture::Rendered(_) => panic!("{} is drawn", item.id),
    }
}
