//! A split of pictures is read without holding it: what is held against the file's size, in a process of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use polars::prelude::{
    Column, IntoSeries as _, NamedFrom as _, ParquetCompression, ParquetWriter, Series,
    StructChunked,
};
use rand::{RngCore as _, SeedableRng as _};
use rave_benchmarks::{Picture, suite};
use rave_engine::latency::memory::ENVIRONMENT;

const PICTURES: usize = 320;
const SIZE: usize = 256 << 10;

/// A split in the columns of `DocVQA`: noise for pictures, all in one row group or so many in each, over so many files.
fn write(folder: &Path, group: usize, files: usize, compression: ParquetCompression) -> usize {
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
            .with_compression(compression)
            .with_row_group_size(Some(group))
            .finish(&mut frame)
            .unwrap();
        bytes += fs::metadata(&path).unwrap().len() as usize;
    }
    bytes
}

/// The bytes of this process that no file stands behind. Files are mapped while they are read, and the kernel takes those pages
/// back when it needs them: they are not held.
fn held() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.unwrap().trim_end_matches("kB").trim();
    kib.parse::<usize>().unwrap() << 10
}

/// The folder that [`reader`] reads.
const FOLDER: &str = "RAVE_TEST_SPLIT";

/// Reads every picture of a split, and prints how many bytes they had and how many more were held at the most, after any of
/// them: no test by itself, but run by the one below in a process that has done nothing else.
#[test]
fn reader() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let before = held();
    let dataset = suite("docvqa").unwrap().open(Some(Path::new(&folder)));
    let dataset = dataset.unwrap();
    let (mut read, mut most) = (0, 0);
    for index in 0..dataset.len() {
        let Picture::Encoded { bytes, .. } = dataset.item(index).unwrap().picture else {
            panic!("item {index} is no file");
        };
        read += bytes.len();
        most = most.max(held().saturating_sub(before));
    }
    println!("read {read} {most}");
}

#[test]
fn a_split_is_read_within_a_part_of_its_size() {
    let folder = tempfile::tempdir().unwrap();
    for (name, group, files, compression) in [
        ("row groups", 100, 1, ParquetCompression::Snappy),
        ("one row group", PICTURES, 1, ParquetCompression::Snappy),
        ("files", 100, 8, ParquetCompression::Uncompressed),
    ] {
        let data = folder.path().join(name);
        let size = write(&data, group, files, compression);
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "reader", "--nocapture"])
            .env(FOLDER, &data)
            .envs(ENVIRONMENT)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("read "));
        let (read, most) = line.unwrap().split_once(' ').unwrap();
        assert_eq!(read.parse(), Ok(PICTURES * SIZE), "{name}");
        let most: usize = most.parse().unwrap();
        println!("{name}: {} MiB of {} MiB", most >> 20, size >> 20);
        assert!(most < size / 3, "{name}: {most} of {size}");
    }
}
