//! Tables as lists of columns: a record's fields are named once, and are written and read by that list.
//!
//! A new column is a field of the record and its name in the list ([`fields!`](crate::store::columns::fields)), with `or` and a value
//! where older tables lack it, or `was` and the name that they have for it.

use std::sync::Arc;

use polars::prelude::*;

use super::table::Table;
use crate::Error;
use crate::schema::Failure;

/// What a column can hold.
pub(crate) trait Value: Sized {
    /// The column of these values.
    fn column<'a>(name: &str, values: impl Iterator<Item = &'a Self>) -> Column
    where
        Self: 'a;

    /// The values of these rows.
    fn values(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<Self>, Error>;
}

/// Reads the column of this name: of each row, by its number, the value for the record at the same place.
type Read<R> = fn(&Table, &str, &[usize], &mut [R]) -> Result<(), Error>;

/// A field of a record, and the column of the same name.
pub(crate) struct FieldColumn<R> {
    pub name: &'static str,
    pub write: fn(&str, &[R]) -> Column,
    pub read: Read<R>,
    /// What the column was called in older tables, where that was another name.
    pub older: Option<&'static str>,
    /// Fills the field of a record whose table lacks the column; `None` where a table must have it.
    pub absent: Option<fn(&mut R)>,
}

impl<R> FieldColumn<R> {
    /// What the column is called in a table.
    fn name_in(&self, table: &Table) -> &'static str {
        let older = self.older.filter(|older| table.has(older));
        older.filter(|_| !table.has(self.name)).unwrap_or(self.name)
    }
}

/// The columns of a table in their order.
pub(crate) type Fields<R> = &'static [FieldColumn<R>];

/// `fields![Record: a, b or 0.0, c was d]`: the columns `a`, `b` and `c`, of which older tables may lack `b` and call `c` `d`.
macro_rules! fields {
    (@absent $name:ident) => { None };
    (@absent $name:ident $absent:expr) => { Some(|record| record.$name = $absent) };
    (@older) => { None };
    (@older $older:ident) => { Some(stringify!($older)) };
    ($record:ty: $($name:ident $(was $older:ident)? $(or $absent:expr)?),* $(,)?) => {
        &[$($crate::store::columns::FieldColumn::<$record> {
            name: stringify!($name),
            write: |name, records| {
                let values = records.iter().map(|record| &record.$name);
                $crate::store::columns::Value::column(name, values)
            },
            read: |table, name, rows, records| {
                let values = $crate::store::columns::Value::values(table, name, rows)?;
                for (record, value) in records.iter_mut().zip(values) {
                    record.$name = value;
                }
                Ok(())
            },
            older: $crate::store::columns::fields!(@older $($older)?),
            absent: $crate::store::columns::fields!(@absent $name $($absent)?),
        }),*]
    };
}
pub(crate) use fields;

/// The table of some records.
pub(crate) fn frame<R>(fields: &[FieldColumn<R>], records: &[R]) -> PolarsResult<DataFrame> {
    let columns = fields
        .iter()
        .map(|field| (field.write)(field.name, records));
    DataFrame::new(records.len(), columns.collect())
}

/// The records of these rows; fields that are not asked for are as in `R::default()`.
pub(crate) fn read<'a, R: Clone + Default + 'static>(
    fields: impl IntoIterator<Item = &'a FieldColumn<R>>,
    table: &Table,
    rows: &[usize],
) -> Result<Vec<R>, Error> {
    let mut records = vec![R::default(); rows.len()];
    for field in fields {
        let name = field.name_in(table);
        match field.absent {
            Some(absent) if !table.has(name) => records.iter_mut().for_each(absent),
            _ => (field.read)(table, name, rows, &mut records)?,
        }
    }
    Ok(records)
}

/// All records of a table.
pub(crate) fn read_all<R: Clone + Default + 'static>(
    fields: Fields<R>,
    table: &Table,
) -> Result<Vec<R>, Error> {
    let rows: Vec<usize> = (0..table.rows()).collect();
    read(fields, table, &rows)
}

impl Value for String {
    fn column<'a>(name: &str, values: impl Iterator<Item = &'a Self>) -> Column {
        StringChunked::from_iter_values(name.into(), values.map(String::as_str)).into_column()
    }

    fn values(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<Self>, Error> {
        let texts = table.texts(name)?;
        Ok(rows.iter().map(|&row| texts[row].to_owned()).collect())
    }
}

/// Text that many rows share, one after the other.
impl Value for Arc<str> {
    fn column<'a>(name: &str, values: impl Iterator<Item = &'a Self>) -> Column {
        StringChunked::from_iter_values(name.into(), values.map(AsRef::as_ref)).into_column()
    }

    fn values(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<Self>, Error> {
        let texts = table.texts(name)?;
        let mut last: Self = "".into();
        let shared = rows.iter().map(|&row| {
            if *last != *texts[row] {
                last = texts[row].into();
            }
            Self::clone(&last)
        });
        Ok(shared.collect())
    }
}

impl Value for Option<String> {
    fn column<'a>(name: &str, values: impl Iterator<Item = &'a Self>) -> Column {
        StringChunked::from_iter_options(name.into(), values.map(Option::as_deref)).into_column()
    }

    fn values(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<Self>, Error> {
        let texts = table.maybe_texts(name)?;
        let owned = rows.iter().map(|&row| texts[row].map(str::to_owned));
        Ok(owned.collect())
    }
}

impl Value for Option<Failure> {
    fn column<'a>(name: &str, values: impl Iterator<Item = &'a Self>) -> Column {
        let texts = values.map(|value| value.as_ref().map(ToString::to_string));
        StringChunked::from_iter_options(name.into(), texts).into_column()
    }

    fn values(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<Self>, Error> {
        let texts = table.maybe_texts(name)?;
        Ok(rows
            .iter()
            .map(|&row| texts[row].map(Failure::from))
            .collect())
    }
}

impl Value for Vec<String> {
    fn column<'a>(name: &str, values: impl Iterator<Item = &'a Self>) -> Column {
        let values: Vec<&Self> = values.collect();
        let mut lists = ListStringChunkedBuilder::new(name.into(), values.len(), values.len());
        for list in values {
            lists.append_values_iter(list.iter().map(String::as_str));
        }
        lists.finish().into_column()
    }

    fn values(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<Self>, Error> {
        let invalid = |error: PolarsError| table.invalid(name, &error.to_string());
        let lists = table.column(name)?.list().map_err(invalid)?;
        let read = |&row: &usize| {
            let series = lists
                .get_as_series(row)
                .ok_or_else(|| table.invalid(name, "a value is missing"))?;
            let texts = series.str().map_err(invalid)?;
            let texts = texts.iter();
            Ok(texts
                .map(|value| value.unwrap_or_default().to_owned())
                .collect())
        };
        rows.iter().map(read).collect()
    }
}

/// A column of numbers, and one that lacks some; `missing` is what a value is where there is none.
macro_rules! numbers {
    ($number:ident, $array:ident, $missing:expr) => {
        impl Value for Option<$number> {
            fn column<'a>(name: &str, values: impl Iterator<Item = &'a Self>) -> Column {
                $array::from_iter_options(name.into(), values.copied()).into_column()
            }

            fn values(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<Self>, Error> {
                let column = table.column(name)?.$number();
                let column = column.map_err(|error| table.invalid(name, &error.to_string()))?;
                let values: Vec<Self> = column.iter().collect();
                Ok(rows.iter().map(|&row| values[row]).collect())
            }
        }

        impl Value for $number {
            fn column<'a>(name: &str, values: impl Iterator<Item = &'a Self>) -> Column {
                $array::from_iter_values(name.into(), values.copied()).into_column()
            }

            fn values(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<Self>, Error> {
                let missing: fn(&Table, &str) -> Result<Self, Error> = $missing;
                Option::<Self>::values(table, name, rows)?
                    .into_iter()
                    .map(|value| value.map_or_else(|| missing(table, name), Ok))
                    .collect()
            }
        }
    };
}

numbers!(f64, Float64Chunked, |_, _| Ok(f64::NAN));
numbers!(u32, UInt32Chunked, lacks);
numbers!(u64, UInt64Chunked, lacks);

fn lacks<T>(table: &Table, name: &str) -> Result<T, Error> {
    Err(table.invalid(name, "a value is missing"))
}
