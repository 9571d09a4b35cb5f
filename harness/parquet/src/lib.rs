//! What must hold of a parquet file before polars reads it, and what its panics become.
//!
//! polars believes the numbers in a file. It asks for as much memory as a damaged one names, and an allocation that fails ends the
//! program: no caller can catch that. So the counts in the footer and in the header of every page are held against the size of
//! the file first, and every field against the type that it ought to have, so that both read the same. What is left are panics,
//! which [`guarded`] makes into errors.
//!
//! Source of the headers: `parquet.thrift` of apache/parquet-format, and Thrift's compact protocol.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod header;
mod thrift;

use std::fs::File;
use std::io::{BufReader, Read as _, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use polars::io::parquet::metadata::{FileMetadata, FileMetadataRef};
use polars::prelude::{DataFrame, PolarsResult};

/// Most values of a column a byte of the file: runs of one value are short in a file.
const VALUES_A_BYTE: u64 = 64;

/// A page may grow so many times over when it is decompressed, or to [`PLAIN_PAGE`].
const GROWTH: u64 = 64;

/// Bytes of a page that may have been compressed in any way.
const PLAIN_PAGE: u64 = 64 << 20;

/// Runs a reader of polars'; why it failed, otherwise.
///
/// # Errors
/// Its error in words, or that it panicked, as it does where a page contradicts the footer.
pub fn guarded<T>(read: impl FnOnce() -> PolarsResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(lies()),
    }
}

/// Holds the counts in the footer of the file at `path` against its length: before polars reads it at all.
///
/// # Errors
/// In words: a file without a footer, or with one that counts more than it holds or names a wrong type; a file that cannot be read.
pub fn check_footer(path: &Path) -> Result<(), String> {
    let bytes = footer(path).map_err(|error| error.to_string())?;
    if header::is_footer(&bytes) {
        Ok(())
    } else {
        Err("its footer is damaged".to_owned())
    }
}

/// The bytes before the footer's length and the four letters that every file ends with.
fn footer(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut end = [0; 8];
    let before = size
        .checked_sub(8)
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    file.seek(SeekFrom::Start(before))?;
    file.read_exact(&mut end)?;
    let length = u32::from_le_bytes([end[0], end[1], end[2], end[3]]);
    let start = before
        .checked_sub(u64::from(length))
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Holds the counts in a footer, and in the pages that it names, against the size of the file.
///
/// # Errors
/// In words: a count or size that no file of this size can have; a page outside the file or without a header; a file that cannot
/// be read.
pub fn check(path: &Path, metadata: &FileMetadataRef) -> Result<(), String> {
    // The numbers are not yet known to be sound, and polars' own arithmetic with them panics.
    catch_unwind(AssertUnwindSafe(|| walk(path, metadata))).unwrap_or_else(|_| Err(lies()))
}

/// The footer without the Arrow types that a writer puts beside parquet's own (`ARROW:schema`).
///
/// They tell polars to build a dictionary, a list of a fixed size, or a text of another offset width, for which it needs features
/// that this program is built without. Parquet's own types are the same values as plain texts and lists.
#[must_use]
pub fn without_arrow_types(metadata: &FileMetadata) -> FileMetadataRef {
    let mut plain = metadata.clone();
    plain.key_value_metadata = None;
    Arc::new(plain)
}

/// Whether every column of a table that was read has so many rows: polars goes by what each says of itself.
///
/// # Errors
/// In words: a column has more or fewer.
pub fn check_rows(frame: &DataFrame, rows: usize) -> Result<(), String> {
    if frame.columns().iter().all(|column| column.len() == rows) {
        Ok(())
    } else {
        Err(lies())
    }
}

fn lies() -> String {
    "its contents contradict its footer".to_owned()
}

fn walk(path: &Path, metadata: &FileMetadataRef) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let most = size.saturating_mul(VALUES_A_BYTE);
    let bounded = |count: u64| {
        if count <= most {
            Ok(count)
        } else {
            Err(lies())
        }
    };
    let mut reader = BufReader::with_capacity(1 << 12, file);
    let mut rows = 0_u64;
    for group in &metadata.row_groups {
        rows = bounded(rows.saturating_add(group.num_rows() as u64))?;
        for column in group.parquet_columns() {
            // A negative number is a huge one here.
            let values = bounded(column.num_values() as u64)?;
            let range = column.byte_range();
            if range.end > size {
                return Err(lies());
            }
            let (mut at, mut seen) = (range.start, 0);
            while at < range.end && seen < values {
                let start = SeekFrom::Start(at);
                reader.seek(start).map_err(|error| error.to_string())?;
                let page = header::read(&mut reader, most).ok_or_else(lies)?;
                let limit = PLAIN_PAGE.max(page.compressed.saturating_mul(GROWTH));
                if page.uncompressed > limit {
                    return Err(lies());
                }
                at = at
                    .saturating_add(page.length)
                    .saturating_add(page.compressed);
                seen += page.values;
            }
            if at > range.end {
                return Err(lies());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use polars::prelude::{NamedFrom, ParquetReader, ParquetWriter, SerReader, Series};

    use super::*;

    fn open(path: &Path) -> Result<DataFrame, String> {
        check_footer(path)?;
        let mut reader = ParquetReader::new(File::open(path).unwrap());
        let metadata = guarded(|| Ok(Arc::clone(reader.get_metadata()?)))?;
        check(path, &metadata)?;
        guarded(|| reader.finish())
    }

    #[test]
    fn a_table_is_read_and_with_any_byte_changed_read_or_refused() {
        let rows = 3000;
        let texts: Vec<String> = (0..rows).map(|row| format!("{}", row % 7)).collect();
        let same = vec![1_i64; rows];
        let columns = vec![
            Series::new("a".into(), texts).into(),
            Series::new("b".into(), same).into(),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let mut frame = DataFrame::new(rows, columns).unwrap();
        ParquetWriter::new(File::create(&path).unwrap())
            .finish(&mut frame)
            .unwrap();
        assert!(open(&path).unwrap().equals(&frame));
        let whole = std::fs::read(&path).unwrap();
        // The type of a field, its number, the sign of a value and all at once.
        for mask in [0x01, 0x08, 0x10, 0x7f] {
            let mut refused = 0;
            for place in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[place] ^= mask;
                std::fs::write(&path, damaged).unwrap();
                refused += usize::from(open(&path).is_err());
            }
            assert!(refused > whole.len() / 8, "{refused} of {}", whole.len());
        }
    }
}
