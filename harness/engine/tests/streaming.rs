//! A split of pictures is read without holding it: peak memory against the file's size, alone in a process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::Path;

use polars::prelude::{
    Column, IntoSeries as _, NamedFrom as _, ParquetCompression, ParquetWriter, Series,
    StructChunked,
};
use rand::{RngCore as _, SeedableRng as _};
use rave_benchmarks::{Picture, suite};
use rave_engine::latency::memory::peak_of;

const PICTURES: usize = 320;
const SIZE: usize = 256 << 10;

/// A split in the columns of `DocVQA`: noise for pictures, all in one row group or so many in each, over so many files.
fn write(folder: &Path, group: usize, files: usize) -> usize {
    fs::create_dir_all(folder).unwrap();
    let mut noise = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut bytes = 0;
    for file in 0..files {
        let rows = PICTURES / files;
        let pictures: Vec<Vec<u8>> = (0..rows)
            .map(|_| {
                let mut picture = vec![0; SIZE];
                noise.fill_bytes(&mut picture);
                picture
            })
            .collect();
        let fields = [Series::new("bytes".into(), pictures)];
        let image = StructChunked::from_series("image".into(), rows, fields.iter()).unwrap();
        let ids: Vec<String> = (0..rows)
            .map(|row| format!("{}", file * rows + row))
            .collect();
        let columns: Vec<Column> = vec![
            Series::new("questionId".into(), ids).into(),
            Series::new("question".into(), vec!["What?"; rows]).into(),
            Series::new("answers".into(), vec!["this"; rows]).into(),
            image.into_series().into(),
        ];
        let mut frame = polars::prelude::DataFrame::new(rows, columns).unwrap();
        let path = folder.join(format!("validation-{file:05}-of-{files:05}.parquet"));
        ParquetWriter::new(File::create(&path).unwrap())
            .with_compression(ParquetCompression::Uncompressed)
            .with_row_group_size(Some(group))
            .finish(&mut frame)
            .unwrap();
        bytes += fs::metadata(&path).unwrap().len() as usize;
    }
    bytes
}

#[test]
fn a_split_is_read_within_a_part_of_its_size() {
    let folder = tempfile::tempdir().unwrap();
    for (name, group, files) in [("groups", 100, 1), ("one", PICTURES, 1), ("files", 40, 8)] {
        let data = folder.path().join(name);
        let size = write(&data, group, files);
        let (read, peak) = peak_of(|| {
            let dataset = suite("docvqa").unwrap().open(Some(&data)).unwrap();
            (0..dataset.len())
                .map(|index| match dataset.item(index).unwrap().picture {
                    Picture::Encoded { bytes, .. } => bytes.len(),
                    Picture::Rendered(_) => 0,
                })
                .sum::<usize>()
        });
        assert_eq!(read, PICTURES * SIZE);
        let peak = peak.unwrap() as usize;
        println!(
            "{name}: {:.1} MiB read of {:.1} MiB within {:.1} MiB",
            read as f64 / 1_048_576.0,
            size as f64 / 1_048_576.0,
            peak as f64 / 1_048_576.0
        );
        assert!(peak < size / 2, "{name}: {peak} of {size}");
    }
}
