//! Structs in Thrift's compact protocol, read by the types that their fields ought to have.
//!
//! Thrift writes the type of every field beside its number. polars reads a field that it knows by its number alone and one that
//! it does not know by its type. Where the two agree, it reads what is read here; a field that it knows under another type is
//! refused, since its bytes would mean one thing here and another there.

use std::io::{BufRead, Read as _};

/// How a field is read.
pub(crate) enum Kind {
    Bool,
    Byte,
    /// Of 16, 32 or 64 bits, which are all written alike.
    Int(Meaning),
    Binary,
    List(&'static Kind),
    Struct(&'static [(i16, Kind)]),
    /// By the type beside it: a field that polars does not know.
    Skipped,
}

/// What a number counts.
#[derive(Clone, Copy)]
pub(crate) enum Meaning {
    /// Nothing that is looked at here.
    Any,
    /// Something of which there is neither a negative number nor one over the reader's most.
    Bounded,
    Uncompressed,
    Compressed,
    /// Bounded, and the values of a page.
    Values,
}

/// What the header of a page says, in bytes and values.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Of the header itself.
    pub(crate) length: u64,
    /// Of the page in the file.
    pub(crate) compressed: u64,
    /// Of the page in memory.
    pub(crate) uncompressed: u64,
    /// Values of a data page; 0 of a dictionary.
    pub(crate) values: u64,
}

/// Structs and lists within each other: of a footer the row groups, their columns, a column's metadata, statistics of its sizes.
const DEEPEST: usize = 16;

/// Reads a struct at a reader's place. `None` for what is none, for a field of a wrong type, for a list with more than `most`
/// members, and for a number that is out of its bounds.
pub(crate) fn read(
    reader: &mut impl BufRead,
    most: u64,
    fields: &'static [(i16, Kind)],
) -> Option<Page> {
    let mut walk = Walk {
        reader,
        most,
        page: Page::default(),
    };
    walk.structure(fields, 0)?;
    Some(walk.page)
}

struct Walk<'a, R> {
    reader: &'a mut R,
    most: u64,
    page: Page,
}

impl<R: BufRead> Walk<'_, R> {
    fn structure(&mut self, fields: &[(i16, Kind)], depth: usize) -> Option<()> {
        if depth == DEEPEST {
            return None;
        }
        let mut id = 0_i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            // The number of the field: so many more than the last, or written out.
            id = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).ok()?,
                more => id.checked_add(i16::from(more))?,
            };
            let known = fields.iter().find(|(field, _)| *field == id);
            match (known.map_or(&Kind::Skipped, |(_, kind)| kind), head & 15) {
                // A flag is in its own type.
                (Kind::Bool | Kind::Skipped, 1 | 2) => {}
                (kind, written) => self.value(kind, written, depth)?,
            }
        }
    }

    /// Reads a value of a kind, which is of type `written` in the file. Flags in a list are refused: parquet has none, and polars
    /// does not skip them as Thrift writes them.
    fn value(&mut self, kind: &Kind, written: u8, depth: usize) -> Option<()> {
        match (kind, written) {
            (Kind::Byte | Kind::Skipped, 3) => drop(self.byte()?),
            (Kind::Int(meaning), 4..=6) => {
                let number = self.zigzag()?;
                self.number(*meaning, number)?;
            }
            (Kind::Skipped, 4..=6) => drop(self.varint()?),
            (Kind::Skipped, 7) => self.skip(8)?,
            (Kind::Binary | Kind::Skipped, 8) => {
                let length = self.varint()?;
                self.skip(length)?;
            }
            (Kind::List(member), 9) => self.list(member, depth)?,
            (Kind::Skipped, 9) => self.list(kind, depth)?,
            (Kind::Struct(fields), 12) => self.structure(fields, depth + 1)?,
            (Kind::Skipped, 12) => self.structure(&[], depth + 1)?,
            // Neither a header nor a footer has sets or maps.
            _ => return None,
        }
        Some(())
    }

    fn list(&mut self, member: &Kind, depth: usize) -> Option<()> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            few => u64::from(few),
        };
        if count > self.most || depth == DEEPEST {
            return None;
        }
        for _ in 0..count {
            self.value(member, head & 15, depth + 1)?;
        }
        Some(())
    }

    fn number(&mut self, meaning: Meaning, number: i64) -> Option<()> {
        if matches!(meaning, Meaning::Any) {
            return Some(());
        }
        let number = u64::try_from(number).ok()?;
        match meaning {
            Meaning::Uncompressed => self.page.uncompressed = number,
            Meaning::Compressed => self.page.compressed = number,
            Meaning::Values if number <= self.most => self.page.values = number,
            Meaning::Bounded if number <= self.most => {}
            _ => return None,
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte).ok()?;
        self.page.length += 1;
        Some(byte[0])
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn skip(&mut self, length: u64) -> Option<()> {
        let mut skipped = self.reader.by_ref().take(length);
        let read = std::io::copy(&mut skipped, &mut std::io::sink()).ok()?;
        self.page.length += length;
        (read == length).then_some(())
    }
}
