//! One parquet file through polars: its light columns whole, its pictures a slice of a row group at a time.
//!
//! A split's pictures may take gigabytes while its questions take kilobytes, so that the image column is read only where an
//! item is asked for; a chunk of rows is read at once and a few chunks of the whole split are kept, since items are mostly
//! asked for in order.

use super::cells::{self, strings};
use crate::Error;
use polars::io::SerReader;
use polars::io::parquet::metadata::FileMetadataRef;
use polars::prelude::{
    ArrowDataType, ArrowSchema, DataFrame, DataType, ParallelStrategy, ParquetReader, Series,
};
use rave_parquet::{check, check_footer, check_rows, guarded, without_arrow_types};
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of the image column that are read at once, within a row group.
const CHUNK_ROWS: usize = 16;

/// Chunks that are kept, of all files together: the readers of neighbouring items share one, and the next is under way.
const CACHED_CHUNKS: usize = 3;

/// The column of pictures.
const IMAGE: &str = "image";

/// What it must be.
const PICTURES: &str = "binary, or a struct of bytes (binary) and path (text)";

/// A parquet file, its columns known, nothing else read yet.
pub(super) struct Table {
    path: PathBuf,
    layout: &'static str,
    schema: Arc<ArrowSchema>,
    /// Columns of durations, which parquet itself calls whole numbers.
    durations: Vec<(String, ArrowDataType)>,
    metadata: FileMetadataRef,
    /// First row of each row group, and the number of rows at the end.
    groups: Vec<usize>,
    /// The file's number among those of the split.
    number: usize,
    cache: ChunkCache,
}

/// The chunks that were read last, of all files of a split.
#[derive(Clone, Default)]
pub(super) struct ChunkCache(Arc<Mutex<VecDeque<Arc<Chunk>>>>);

/// Some rows of a file's image column.
struct Chunk {
    number: usize,
    first: usize,
    images: Vec<Image>,
}

/// A cell of the image column: the file's bytes, and the path it was published under.
#[derive(Clone, Default)]
pub(super) struct Image {
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) path: Option<String>,
}

impl Table {
    /// Opens a file and reads its footer; `number` is its place in the split, whose files share the `cache`.
    pub(super) fn open(
        path: &Path,
        layout: &'static str,
        number: usize,
        cache: &ChunkCache,
    ) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut reader = ParquetReader::new(file);
        let damaged = |reason| Error::Parquet {
            path: path.to_owned(),
            reason,
        };
        check_footer(path).map_err(damaged)?;
        let (schema, durations, metadata) = guarded(|| {
            let metadata = without_arrow_types(reader.get_metadata()?);
            // A schema of Arrow that polars does not know (of list views, say) tells nothing more than parquet's own.
            let durations = guarded(|| Ok(cells::durations(&*reader.schema()?)));
            let durations = durations.unwrap_or_default();
            let mut plain = ParquetReader::new(std::io::Cursor::new([]));
            plain.set_metadata(Arc::clone(&metadata));
            Ok((plain.schema()?, durations, metadata))
        })
        .map_err(damaged)?;
        check(path, &metadata).map_err(damaged)?;
        let mut groups = vec![0];
        for group in &metadata.row_groups {
            groups.push(groups.last().copied().unwrap_or(0) + group.num_rows());
        }
        Ok(Self {
            path: path.to_owned(),
            layout,
            schema,
            durations,
            metadata,
            groups,
            number,
            cache: cache.clone(),
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Rows of the file.
    pub(super) fn rows(&self) -> usize {
        self.groups.last().copied().unwrap_or(0)
    }

    /// Whether the file has that column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.schema.contains(column)
    }

    /// Refuses a file without that column.
    pub(super) fn require(&self, column: &str) -> Result<(), Error> {
        if self.has(column) {
            return Ok(());
        }
        Err(Error::MissingColumn {
            path: self.path.clone(),
            column: column.to_owned(),
            layout: self.layout,
            found: self
                .schema
                .iter_names()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// Refuses a file without an image column, or with one that can hold no pictures.
    pub(super) fn require_image(&self) -> Result<(), Error> {
        self.require(IMAGE)?;
        let image = self.schema.get(IMAGE).map(|field| &field.dtype);
        let holds_pictures = match image {
            // A file that keeps paths alone may have a column of nulls for its bytes, which parquet calls numbers: each item
            // says so.
            Some(ArrowDataType::Struct(fields)) => fields.iter().any(|field| {
                let is_bytes = matches!(
                    field.dtype,
                    ArrowDataType::BinaryView | ArrowDataType::Null | ArrowDataType::Int32
                );
                field.name == "bytes" && is_bytes
            }),
            Some(ArrowDataType::BinaryView) => true,
            _ => false,
        };
        if holds_pictures && image.is_some_and(cells::are_read) {
            return Ok(());
        }
        let found = image.map(cells::name).unwrap_or_default();
        Err(self.wrong_type(IMAGE, found, PICTURES))
    }

    /// A column of text; whole numbers are written out, nulls are `None`.
    pub(super) fn text(&self, column: &str) -> Result<Vec<Option<String>>, Error> {
        const EXPECTED: &str = "text or whole numbers";
        self.require(column)?;
        let series = self.column(column, EXPECTED)?;
        strings(&series)
            .ok_or_else(|| self.wrong_type(column, series.dtype().to_string(), EXPECTED))
    }

    /// A column of lists of text; a plain text counts as a list of one, nulls are `None`. Numbers and truth values are written
    /// as Python's `str` does, since that is what the official scripts score.
    pub(super) fn texts(&self, column: &str) -> Result<Vec<Option<Vec<String>>>, Error> {
        const EXPECTED: &str = "text, numbers, or lists of them";
        self.require(column)?;
        let series = self.column(column, EXPECTED)?;
        let wrong = || self.wrong_type(column, series.dtype().to_string(), EXPECTED);
        let Ok(lists) = series.list() else {
            let texts = cells::as_python_writes(&series).ok_or_else(wrong)?;
            return Ok(texts
                .into_iter()
                .map(|text| text.map(|text| vec![text]))
                .collect());
        };
        let mut rows = Vec::with_capacity(lists.len());
        for row in 0..lists.len() {
            rows.push(match lists.get_as_series(row) {
                // A null inside a list is no answer at all.
                Some(list) => Some(
                    cells::as_python_writes(&list)
                        .ok_or_else(wrong)?
                        .into_iter()
                        .flatten()
                        .collect(),
                ),
                None => None,
            });
        }
        Ok(rows)
    }

    /// The picture of a row of the `image` column.
    ///
    /// No lock is held while reading: the reader works on a thread pool, and a thread that waits for it may be given
    /// another item's work, which would then wait for the lock of its own thread.
    pub(super) fn image(&self, row: usize) -> Result<Image, Error> {
        let group = self
            .groups
            .partition_point(|&first| first <= row)
            .saturating_sub(1);
        let Some(&[start, end]) = self.groups.get(group..group + 2) else {
            return Err(Error::Index {
                index: row,
                len: self.rows(),
            });
        };
        let first = row - (row - start) % CHUNK_ROWS;
        let is_wanted = |chunk: &&Arc<Chunk>| (chunk.number, chunk.first) == (self.number, first);
        let find = |chunks: &VecDeque<Arc<Chunk>>| chunks.iter().find(is_wanted).cloned();
        let cached = find(&self.cache.0.lock().unwrap_or_else(PoisonError::into_inner));
        let chunk = if let Some(chunk) = cached {
            chunk
        } else {
            let images = self.read_images(first, CHUNK_ROWS.min(end - first))?;
            let chunk = Arc::new(Chunk {
                number: self.number,
                first,
                images,
            });
            let mut chunks = self.cache.0.lock().unwrap_or_else(PoisonError::into_inner);
            if find(&chunks).is_none() {
                if chunks.len() == CACHED_CHUNKS {
                    chunks.pop_front();
                }
                chunks.push_back(Arc::clone(&chunk));
            }
            chunk
        };
        chunk
            .images
            .get(row - first)
            .cloned()
            .ok_or_else(|| Error::Parquet {
                path: self.path.clone(),
                reason: format!("row {row} of the footer's {} is missing", self.rows()),
            })
    }

    fn read_images(&self, first: usize, rows: usize) -> Result<Vec<Image>, Error> {
        let series = only(&self.read(IMAGE, Some((first, rows)))?, &self.path)?;
        let wrong = || self.wrong_type(IMAGE, series.dtype().to_string(), PICTURES);
        let (bytes, path) = match series.dtype() {
            DataType::Struct(_) => {
                let fields = series.struct_().map_err(|_| wrong())?;
                (
                    fields.field_by_name("bytes").map_err(|_| wrong())?,
                    fields.field_by_name("path").ok(),
                )
            }
            // Some copies keep the bytes alone.
            DataType::Binary => (series.clone(), None),
            _ => return Err(wrong()),
        };
        // A file that keeps paths alone has a column of nulls, whatever its type.
        let bytes = if bytes.null_count() == bytes.len() {
            None
        } else {
            Some(bytes)
        };
        let bytes = bytes
            .as_ref()
            .map(|bytes| bytes.binary().map_err(|_| wrong()))
            .transpose()?;
        let path = path.as_ref().and_then(|path| path.str().ok());
        Ok((0..series.len())
            .map(|row| Image {
                bytes: bytes.and_then(|bytes| bytes.get(row)).map(<[u8]>::to_vec),
                path: path.and_then(|path| path.get(row)).map(str::to_owned),
            })
            .collect())
    }

    /// Reads a column; `expected` is what a refusal says of its type.
    fn column(&self, column: &str, expected: &'static str) -> Result<Series, Error> {
        let mut durations = self.durations.iter();
        let other = durations.find(|(name, _)| name == column);
        let stored = self.schema.get(column).map(|field| &field.dtype);
        let stored = stored.filter(|dtype| !cells::are_read(dtype));
        if let Some(other) = other.map(|(_, dtype)| dtype).or(stored) {
            return Err(self.wrong_type(column, cells::name(other), expected));
        }
        let frame = self.read(column, None)?;
        check_rows(&frame, self.rows()).map_err(|reason| Error::Parquet {
            path: self.path.clone(),
            reason,
        })?;
        only(&frame, &self.path)
    }

    fn read(&self, column: &str, slice: Option<(usize, usize)>) -> Result<DataFrame, Error> {
        let file = File::open(&self.path).map_err(|source| Error::Read {
            path: self.path.clone(),
            source,
        })?;
        guarded(|| {
            let mut reader = ParquetReader::new(file);
            reader.set_metadata(Arc::clone(&self.metadata));
            reader
                .with_columns(Some(vec![column.to_owned()]))
                .with_slice(slice)
                .read_parallel(ParallelStrategy::None)
                .finish()
        })
        .map_err(|reason| Error::Parquet {
            path: self.path.clone(),
            reason,
        })
    }

    fn wrong_type(&self, column: &str, found: String, expected: &'static str) -> Error {
        Error::ColumnType {
            path: self.path.clone(),
            column: column.to_owned(),
            found,
            expected,
        }
    }
}

fn only(frame: &DataFrame, path: &Path) -> Result<Series, Error> {
    let column = frame
        .columns()
        .first()
        .map(|column| column.as_materialized_series().clone());
    column.ok_or_else(|| Error::Parquet {
        path: path.to_owned(),
        reason: "a column is missing".to_owned(),
    })
}
