//! The header of a page, and the footer of a file: structs in Thrift's compact protocol.

use std::io::{BufRead, Read as _};

/// What a header says, in bytes and values.
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

/// Reads the header at a reader's place; `None` for what is none, and for one with a count that is negative or over `most`.
pub(crate) fn read(reader: &mut impl BufRead, most: u64) -> Option<Page> {
    let mut header = Header {
        reader,
        most,
        page: Page::default(),
    };
    header.structure(0, None)?;
    Some(header.page)
}

/// Whether a footer's lists have no more members than it has bytes, each of which takes one at least.
pub(crate) fn is_footer(mut bytes: &[u8]) -> bool {
    let most = bytes.len() as u64;
    let mut footer = Header {
        reader: &mut bytes,
        most,
        page: Page::default(),
    };
    footer.structure(0, Some(0)).is_some()
}

struct Header<'a, R> {
    reader: &'a mut R,
    most: u64,
    page: Page,
}

impl<R: BufRead> Header<'_, R> {
    /// Reads a struct, which is the field `within` of the header where it is not the header.
    fn structure(&mut self, depth: usize, within: Option<i64>) -> Option<()> {
        if depth == DEEPEST {
            return None;
        }
        let mut id = 0;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            // The number of the field: so many more than the last, or written out.
            id = match head >> 4 {
                0 => self.zigzag()?,
                more => id + i64::from(more),
            };
            match head & 15 {
                // A flag is in its own type.
                1 | 2 => {}
                5 if within != Some(0) => {
                    let number = self.zigzag()?;
                    self.number(within, id, number)?;
                }
                kind => self.value(kind, depth, within.or(Some(id)))?,
            }
        }
    }

    /// Reads a value of a type, without looking at it; of the members of lists, counts alone.
    fn value(&mut self, kind: u8, depth: usize, within: Option<i64>) -> Option<()> {
        match kind {
            1..=3 => drop(self.byte()?),
            4..=6 => drop(self.zigzag()?),
            7 => self.skip(8)?,
            8 => {
                let length = self.varint()?;
                self.skip(length)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    few => u64::from(few),
                };
                if count > self.most || depth == DEEPEST {
                    return None;
                }
                for _ in 0..count {
                    self.value(head & 15, depth + 1, within)?;
                }
            }
            12 => self.structure(depth + 1, within)?,
            // Neither a header nor a footer has a map.
            _ => return None,
        }
        Some(())
    }

    /// Takes a number of 32 bits: the field `id` of the header, or of a struct in its field `within`.
    fn number(&mut self, within: Option<i64>, id: i64, number: i64) -> Option<()> {
        // The checksum may be any number.
        if (within, id) == (None, 4) {
            return Some(());
        }
        let number = u64::try_from(number).ok()?;
        match (within, id) {
            (None, 2) => self.page.uncompressed = number,
            (None, 3) => self.page.compressed = number,
            // Of a data page, of either version.
            (Some(5 | 8), 1) => self.page.values = number,
            _ => {}
        }
        (within.is_none() || number <= self.most).then_some(())
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
