//! Models and data sets of the hub, through the cache folder that every tool of the hub shares.
//!
//! [`Hub::open`] asks which files a repository has at a revision, [`Repository::fetch`] brings those that are wanted, and
//! [`Repository::complete`] gives the folder they lie in: `<cache>/models--org--name/snapshots/<commit>`, as
//! `huggingface_hub` lays it out. Offline both answer from that folder, and no connection is made. Nothing is printed: an
//! [`Observer`] hears how it goes.
//!
//! The crate `hf-hub` knows the layout of the cache and the names of the routes. Its own blocking download is not used: it
//! checks no hash, appends to a partial file also what a server sends from the start, loses the `Retry-After` of a 429 with
//! the response, has no time limit for a connection that went silent, and reads neither `HF_HUB_CACHE` nor `HF_TOKEN`. Its
//! version 1 brings an asynchronous client and some sixty further crates, and verifies and waits no better. So the transfer
//! (`transfer.rs`) is ours, on the `ureq` that `hf-hub` brings, by the same protocol: a request that is not redirected tells
//! commit, size and hash, a second one brings the bytes.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cache;
mod client;
mod error;
mod reference;
mod settings;
mod transfer;

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use serde::Deserialize;

pub use cache::{Origin, cached};
use client::Client;
pub use error::Error;
pub use reference::{Reference, stays_inside};
pub use settings::Settings;

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A checkpoint.
    Model,
    /// A data set.
    Dataset,
}

impl Kind {
    fn repo_type(self) -> RepoType {
        match self {
            Self::Model => RepoType::Model,
            Self::Dataset => RepoType::Dataset,
        }
    }
}

/// Hears how a download goes. Every method but [`Observer::wait`] does nothing by default.
pub trait Observer {
    /// A file begins: its size in bytes where the hub tells, and how many an earlier try has left.
    fn file(&mut self, _name: &str, _size: Option<u64>, _have: u64) {}
    /// So many bytes of it are there now; fewer than before when it had to begin again.
    fn have(&mut self, _bytes: u64) {}
    /// The file is there and its hash is right.
    fn file_done(&mut self) {}
    /// The hub is to be asked again after this time. By default this thread sleeps.
    fn wait(&mut self, time: Duration, _reason: &str) {
        std::thread::sleep(time);
    }
}

impl Observer for () {}

/// The hub, or offline its cache.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    client: Client,
}

/// What `api/models/<name>/revision/<revision>` says, as far as it is used.
#[derive(Deserialize)]
struct Info {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Hub {
    /// A hub with these settings; no connection is made yet.
    ///
    /// # Errors
    /// A file of certificates that cannot be read.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let client = Client::new(&settings)?;
        Ok(Self { settings, client })
    }

    /// The files of a repository at a revision; offline those that the cache holds of it.
    ///
    /// # Errors
    /// What the hub refuses, each with the remedy; offline [`Error::NotCached`].
    pub fn open(
        &self,
        kind: Kind,
        reference: &Reference,
        observer: &mut dyn Observer,
    ) -> Result<Repository<'_>, Error> {
        let repo = repo(kind, reference);
        let (commit, files) = if self.settings.offline {
            let folder = cached(kind, reference, &self.settings)?;
            let origin = Origin::of(&folder).ok_or_else(|| self.not_cached(reference))?;
            (origin.revision, cache::files(&folder)?)
        } else {
            let url = format!("{}/api/{}", self.settings.endpoint, repo.api_url());
            let info: Info = self.client.json(&url, reference, observer)?;
            let names = info.siblings.into_iter().map(|file| file.rfilename);
            (info.sha, names.collect())
        };
        // Both become parts of paths below.
        if !reference::is_plain_name(&commit) {
            let reason = format!("`{commit}` is no commit");
            return Err(self.client.misunderstood(reference, reason));
        }
        if let Some(odd) = files.iter().find(|name| !reference::is_plain_path(name)) {
            let reason = format!("`{odd}` is no path in a repository");
            return Err(self.client.misunderstood(reference, reason));
        }
        Ok(Repository {
            hub: self,
            cache: Cache::new(self.settings.cache.clone()).repo(repo),
            kind,
            reference: reference.clone(),
            commit,
            files,
        })
    }

    fn not_cached(&self, reference: &Reference) -> Error {
        Error::NotCached {
            what: reference.to_string(),
            folder: self.settings.cache.clone(),
        }
    }
}

/// The name of a repository at a revision, for the layout of the cache and the routes.
fn repo(kind: Kind, reference: &Reference) -> Repo {
    Repo::with_revision(
        reference.repository.clone(),
        kind.repo_type(),
        reference.revision().to_owned(),
    )
}

/// The files of one repository at one commit.
#[derive(Debug)]
pub struct Repository<'a> {
    hub: &'a Hub,
    cache: CacheRepo,
    kind: Kind,
    reference: Reference,
    commit: String,
    files: Vec<String>,
}

impl Repository<'_> {
    /// Which repository and revision was asked for.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Paths of its files.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The folder of this commit in the cache. Holds what was fetched of it, now or before.
    pub fn folder(&self) -> PathBuf {
        self.cache.pointer_path(&self.commit)
    }

    /// Brings a file into [`Repository::folder`], unless it is there.
    ///
    /// # Errors
    /// What the hub refuses; a file that arrives damaged; a disk that is full; offline a file that is not there.
    pub fn fetch(&self, file: &str, observer: &mut dyn Observer) -> Result<PathBuf, Error> {
        let path = self.folder().join(file);
        if path.exists() {
            return Ok(path);
        }
        self.require_network(file)?;
        let repo = self.pinned();
        let url = self.url(file);
        let metadata = self
            .hub
            .client
            .metadata(&url, &self.reference, file, observer)?;
        let locks = self.hub.settings.cache.join(".locks");
        let blob = self.cache.blob_path(&metadata.etag);
        let download = transfer::Download {
            client: &self.hub.client,
            reference: &self.reference,
            file,
            url: &url,
            metadata: &metadata,
            blob: &blob,
            lock: locks
                .join(repo.folder_name())
                .join(format!("{}.lock", metadata.etag)),
        };
        download.run(observer)?;
        cache::point(&path, &blob)?;
        Ok(path)
    }

    /// The first `length` bytes of a file, all of a shorter one: of the file in [`Repository::folder`] where it is there, else asked
    /// for and not kept.
    ///
    /// # Errors
    /// As [`Repository::fetch`].
    pub fn beginning(
        &self,
        file: &str,
        length: u64,
        observer: &mut dyn Observer,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let path = self.folder().join(file);
        if path.exists() {
            let read = File::open(&path).and_then(|file| file.take(length).read_to_end(&mut bytes));
            return match read {
                Ok(_) => Ok(bytes),
                Err(source) => Err(Error::Cache { path, source }),
            };
        }
        self.require_network(file)?;
        let (url, range) = (self.url(file), format!("bytes=0-{}", length.max(1) - 1));
        let ask = client::Ask {
            url: &url,
            range: Some(&range),
            follow: true,
            reference: &self.reference,
            file: Some(file),
        };
        let client = &self.hub.client;
        let answer = client.send(ask, observer)?;
        // A server that knows no ranges begins to send the whole file.
        let read = answer
            .into_body()
            .into_reader()
            .take(length)
            .read_to_end(&mut bytes);
        match read {
            Ok(_) => Ok(bytes),
            Err(error) => Err(client.unreachable(&self.reference, error.to_string())),
        }
    }

    /// The repository at this commit.
    fn pinned(&self) -> Repo {
        let pinned = Reference {
            repository: self.reference.repository.clone(),
            revision: Some(self.commit.clone()),
        };
        repo(self.kind, &pinned)
    }

    fn url(&self, file: &str) -> String {
        let repo = self.pinned();
        format!(
            "{}/{}/resolve/{}/{}",
            self.hub.settings.endpoint,
            repo.url(),
            repo.url_revision(),
            client::escaped(file)
        )
    }

    /// An error where no file can be asked for.
    fn require_network(&self, file: &str) -> Result<(), Error> {
        if self.hub.settings.offline {
            return Err(Error::NotCached {
                what: format!("{file} of {}", self.reference),
                folder: self.hub.settings.cache.clone(),
            });
        }
        Ok(())
    }

    /// Notes that the revision stands for this commit, so that it is found offline, and gives the folder. To be called when
    /// all that is wanted was fetched: a fetch that stopped halfway leaves the commit that was complete before.
    ///
    /// # Errors
    /// A cache that cannot be written.
    pub fn complete(self) -> Result<PathBuf, Error> {
        let folder = self.folder();
        if !self.hub.settings.offline && self.reference.revision() != self.commit {
            self.cache
                .create_ref(&self.commit)
                .map_err(|source| Error::Cache {
                    path: folder.clone(),
                    source,
                })?;
        }
        Ok(folder)
    }
}
