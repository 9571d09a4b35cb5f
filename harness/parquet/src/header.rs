//! The header of a page, and the footer of a file: the fields of `parquet.thrift` that polars reads by their numbers.

use std::io::BufRead;

use crate::thrift::Kind::{Binary, Bool, Byte, Int, List, Struct};
use crate::thrift::Meaning::{Any, Bounded, Compressed, Uncompressed, Values};
use crate::thrift::{self, Kind, Page};

type Fields = &'static [(i16, Kind)];

/// Reads the header of a page at a reader's place; `None` for what is none, and for one with a count that is negative or over
/// `most`.
pub(crate) fn read(reader: &mut impl BufRead, most: u64) -> Option<Page> {
    thrift::read(reader, most, PAGE)
}

/// Whether the bytes are a footer with the fields' own types, whose lists have all the members that they count.
pub(crate) fn is_footer(mut bytes: &[u8]) -> bool {
    let most = bytes.len() as u64;
    thrift::read(&mut bytes, most, FILE).is_some()
}

/// `PageHeader`; its checksum may be any number.
const PAGE: Fields = &[
    (1, Int(Any)),
    (2, Int(Uncompressed)),
    (3, Int(Compressed)),
    (4, Int(Any)),
    (5, Struct(DATA_PAGE)),
    (6, Struct(&[])),
    (7, Struct(DICTIONARY_PAGE)),
    (8, Struct(DATA_PAGE_V2)),
];

/// `DataPageHeader`.
const DATA_PAGE: Fields = &[
    (1, Int(Values)),
    (2, Int(Bounded)),
    (3, Int(Bounded)),
    (4, Int(Bounded)),
    (5, Struct(STATISTICS)),
];

/// `DictionaryPageHeader`.
const DICTIONARY_PAGE: Fields = &[(1, Int(Bounded)), (2, Int(Bounded)), (3, Bool)];

/// `DataPageHeaderV2`.
const DATA_PAGE_V2: Fields = &[
    (1, Int(Values)),
    (2, Int(Bounded)),
    (3, Int(Bounded)),
    (4, Int(Bounded)),
    (5, Int(Bounded)),
    (6, Int(Bounded)),
    (7, Bool),
    (8, Struct(STATISTICS)),
];

/// `Statistics`.
const STATISTICS: Fields = &[
    (1, Binary),
    (2, Binary),
    (3, Int(Any)),
    (4, Int(Any)),
    (5, Binary),
    (6, Binary),
    (7, Bool),
    (8, Bool),
];

/// `FileMetaData`, the footer.
const FILE: Fields = &[
    (1, Int(Any)),
    (2, List(&Struct(SCHEMA_ELEMENT))),
    (3, Int(Any)),
    (4, List(&Struct(ROW_GROUP))),
    (5, List(&Struct(KEY_VALUE))),
    (6, Binary),
    (7, List(&Struct(COLUMN_ORDER))),
];

/// `SchemaElement`.
const SCHEMA_ELEMENT: Fields = &[
    (1, Int(Any)),
    (2, Int(Any)),
    (3, Int(Any)),
    (4, Binary),
    (5, Int(Any)),
    (6, Int(Any)),
    (7, Int(Any)),
    (8, Int(Any)),
    (9, Int(Any)),
    (10, Struct(LOGICAL_TYPE)),
];

/// The union `LogicalType`.
const LOGICAL_TYPE: Fields = &[
    (1, Struct(&[])),
    (2, Struct(&[])),
    (3, Struct(&[])),
    (4, Struct(&[])),
    // A decimal.
    (5, Struct(&[(1, Int(Any)), (2, Int(Any))])),
    (6, Struct(&[])),
    (7, Struct(TIME)),
    (8, Struct(TIME)),
    // An integer.
    (10, Struct(&[(1, Byte), (2, Bool)])),
    (11, Struct(&[])),
    (12, Struct(&[])),
    (13, Struct(&[])),
    (14, Struct(&[])),
    (15, Struct(&[])),
];

/// `TimeType` and `TimestampType`.
const TIME: Fields = &[(1, Bool), (2, Struct(TIME_UNIT))];

/// The union `TimeUnit`.
const TIME_UNIT: Fields = &[(1, Struct(&[])), (2, Struct(&[])), (3, Struct(&[]))];

/// `RowGroup`.
const ROW_GROUP: Fields = &[
    (1, List(&Struct(COLUMN_CHUNK))),
    (2, Int(Any)),
    (3, Int(Any)),
    (4, List(&Struct(SORTING_COLUMN))),
    (5, Int(Any)),
    (6, Int(Any)),
    (7, Int(Any)),
];

/// `ColumnChunk`.
const COLUMN_CHUNK: Fields = &[
    (1, Binary),
    (2, Int(Any)),
    (3, Struct(COLUMN)),
    (4, Int(Any)),
    (5, Int(Any)),
    (6, Int(Any)),
    (7, Int(Any)),
];

/// `ColumnMetaData`.
const COLUMN: Fields = &[
    (1, Int(Any)),
    (2, List(&Int(Any))),
    (3, List(&Binary)),
    (4, Int(Any)),
    (5, Int(Any)),
    (6, Int(Any)),
    (7, Int(Any)),
    (9, Int(Any)),
    (10, Int(Any)),
    (11, Int(Any)),
    (12, Struct(STATISTICS)),
    (14, Int(Any)),
    (15, Int(Any)),
];

/// `SortingColumn`.
const SORTING_COLUMN: Fields = &[(1, Int(Any)), (2, Bool), (3, Bool)];

/// `KeyValue`.
const KEY_VALUE: Fields = &[(1, Binary), (2, Binary)];

/// The union `ColumnOrder`.
const COLUMN_ORDER: Fields = &[(1, Struct(&[])), (2, Struct(&[]))];
