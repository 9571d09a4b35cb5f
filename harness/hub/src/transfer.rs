//! One file from the hub into the cache: resumed, checked, and only then named.
//!
//! Bytes arrive in `blobs/<hash>.incomplete` under a lock, as with `huggingface_hub`, so that each goes on with what the other
//! began. A connection that breaks is made again from the byte it broke at, as long as each brings something. What
//! is whole is hashed as a file (so that what an earlier run left is in it) and renamed when the hash is the hub's.

use std::fmt::LowerHex;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs4::FileExt;
use sha1::Sha1;
use sha2::digest::Output;
use sha2::{Digest, Sha256};

use crate::client::{Ask, Client, FileMetadata, text};
use crate::{Error, Observer, Reference};

/// Connections in a row that may bring nothing.
const FRUITLESS: u32 = 4;
/// The wait before a broken connection is made again.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// What is to be brought where.
pub(crate) struct Download<'a> {
    pub(crate) client: &'a Client,
    pub(crate) reference: &'a Reference,
    pub(crate) file: &'a str,
    pub(crate) url: &'a str,
    pub(crate) metadata: &'a FileMetadata,
    pub(crate) blob: &'a Path,
    pub(crate) lock: PathBuf,
}

/// Why a connection gave no more bytes.
enum Broken {
    /// It may be made again.
    Connection(String),
    Fatal(Error),
}

impl Download<'_> {
    pub(crate) fn run(&self, observer: &mut dyn Observer) -> Result<(), Error> {
        for folder in [self.blob, &self.lock].into_iter().filter_map(Path::parent) {
            fs::create_dir_all(folder).map_err(|source| at(folder, source))?;
        }
        let lock = File::create(&self.lock).map_err(|source| at(&self.lock, source))?;
        // Held until this returns. Another process that fetches the same file has brought it by then.
        FileExt::lock(&lock).map_err(|source| at(&self.lock, source))?;
        if self.blob.exists() {
            return Ok(());
        }
        let mut path = self.blob.as_os_str().to_owned();
        path.push(".incomplete");
        let path = PathBuf::from(path);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| at(&path, source))?;
        let mut left = file.metadata().map_err(|source| at(&path, source))?.len();
        if self.metadata.size.is_some_and(|size| left > size) {
            left = 0;
        }
        observer.file(self.file, self.metadata.size, left);
        self.receive(&mut file, &path, left, observer)?;
        if let Err(error) = self.check(&mut file, &path) {
            // What an earlier run left may be what is wrong: once more from the start.
            if left > 0 {
                self.receive(&mut file, &path, 0, observer)?;
            }
            if left == 0 || self.check(&mut file, &path).is_err() {
                fs::remove_file(&path).map_err(|source| at(&path, source))?;
                return Err(error);
            }
        }
        file.sync_all().map_err(|source| at(&path, source))?;
        fs::rename(&path, self.blob).map_err(|source| at(self.blob, source))?;
        observer.file_done();
        Ok(())
    }

    /// Writes the file from byte `have` to its end, over as many connections as it takes.
    fn receive(
        &self,
        file: &mut File,
        path: &Path,
        mut have: u64,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let mut fruitless = 0;
        while self.metadata.size != Some(have) || have == 0 {
            let before = have;
            let reason = match self.connection(file, path, &mut have, observer) {
                Ok(()) if self.metadata.size.is_none_or(|size| size == have) => break,
                Ok(()) => "the connection ended before the file did".to_owned(),
                Err(Broken::Connection(reason)) => reason,
                Err(Broken::Fatal(error)) => return Err(error),
            };
            fruitless = if have > before { 0 } else { fruitless + 1 };
            if fruitless == FRUITLESS {
                return Err(self.client.unreachable(self.reference, reason));
            }
            observer.wait(PAUSE, &format!("{}: {reason}", self.file));
        }
        file.set_len(have).map_err(|source| at(path, source))
    }

    /// Writes what one connection brings, from byte `have` on.
    fn connection(
        &self,
        file: &mut File,
        path: &Path,
        have: &mut u64,
        observer: &mut dyn Observer,
    ) -> Result<(), Broken> {
        let failed = |source| Broken::Fatal(at(path, source));
        let range = (*have > 0).then(|| format!("bytes={have}-"));
        let ask = Ask {
            url: self.url,
            range: range.as_deref(),
            follow: true,
            reference: self.reference,
            file: Some(self.file),
        };
        let answer = self.client.send(ask, observer).map_err(Broken::Fatal)?;
        let begins = text(answer.headers(), "content-range").and_then(|range| {
            range
                .strip_prefix("bytes ")?
                .split('-')
                .next()?
                .parse()
                .ok()
        });
        match answer.status().as_u16() {
            206 if begins == Some(*have) => {}
            // The whole file, whatever was asked for.
            200 => *have = 0,
            status => {
                *have = 0;
                observer.have(0);
                return Err(Broken::Connection(format!(
                    "the answer to a request from a byte on is {status}"
                )));
            }
        }
        file.seek(SeekFrom::Start(*have)).map_err(failed)?;
        let mut body = answer.into_body().into_reader();
        let mut buffer = vec![0; CHUNK];
        loop {
            observer.have(*have);
            let read = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Broken::Connection(error.to_string())),
            };
            file.write_all(&buffer[..read]).map_err(failed)?;
            *have += read as u64;
        }
    }

    /// Holds the file against the hash that names it: a SHA-256 for what lies in large-file storage, a git hash for the rest.
    /// A name of another form is no hash, and says nothing.
    fn check(&self, file: &mut File, path: &Path) -> Result<(), Error> {
        let expected = &self.metadata.etag;
        let is_hash = expected.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (algorithm, found) = match expected.len() {
            64 if is_hash => ("SHA-256", digest(Sha256::new(), file)),
            40 if is_hash => {
                let size = file.metadata().map_err(|source| at(path, source))?.len();
                (
                    "git hash",
                    digest(Sha1::new().chain_update(format!("blob {size}\0")), file),
                )
            }
            _ => return Ok(()),
        };
        let found = found.map_err(|source| at(path, source))?;
        if found.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(Error::Checksum {
            repository: self.reference.to_string(),
            file: self.file.to_owned(),
            algorithm,
            expected: expected.clone(),
            found,
        })
    }
}

/// The hash of a file from its start, in hexadecimal.
fn digest<D: Digest + Write>(mut hasher: D, file: &mut File) -> io::Result<String>
where
    Output<D>: LowerHex,
{
    file.seek(SeekFrom::Start(0))?;
    io::copy(file, &mut hasher)?;
    Ok(format!("{:x}", hasher.finalize()))
}

fn at(path: &Path, source: io::Error) -> Error {
    Error::Cache {
        path: path.to_owned(),
        source,
    }
}
