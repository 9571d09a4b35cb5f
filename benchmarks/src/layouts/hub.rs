//! A suite's data set from the hub: the parquet files of its configuration and split, and no others.

use std::path::{Path, PathBuf};

use rave_hub::{Hub, Kind, Observer, Reference, Repository};

use super::folder;
use crate::Error;
use crate::render::Split;
use crate::suite::Suite;

impl Suite {
    /// Brings the files of the suite's split from the hub into its cache, and gives the folder for [`Suite::open`].
    ///
    /// Without a reference the suite's own repositories are tried under each name, at their newest commit.
    ///
    /// # Errors
    /// What the hub refuses; a repository without that configuration or split, or with some of its files alone.
    pub fn fetch(
        &self,
        hub: &Hub,
        reference: Option<&Reference>,
        observer: &mut dyn Observer,
    ) -> Result<PathBuf, Error> {
        let repository = self.repository(hub, reference, observer)?;
        let root = Path::new(&repository.reference().to_string()).to_owned();
        let parquet = repository
            .files()
            .iter()
            .filter(|name| folder::is_parquet(Path::new(name)));
        let paths = parquet.map(|name| root.join(name)).collect();
        for path in folder::split_files(self, &root, paths)? {
            if let Some(name) = path.strip_prefix(&root).ok().and_then(Path::to_str) {
                repository.fetch(name, observer)?;
            }
        }
        Ok(repository.complete()?)
    }

    /// As [`Suite::fetch`], of the split that models are trained on, for [`Suite::open_training`].
    ///
    /// # Errors
    /// As [`Suite::fetch`].
    pub fn fetch_training(
        &self,
        hub: &Hub,
        reference: Option<&Reference>,
        observer: &mut dyn Observer,
    ) -> Result<PathBuf, Error> {
        self.of_split(Split::Train.name())
            .fetch(hub, reference, observer)
    }

    fn repository<'a>(
        &self,
        hub: &'a Hub,
        reference: Option<&Reference>,
        observer: &mut dyn Observer,
    ) -> Result<Repository<'a>, Error> {
        if let Some(reference) = reference {
            return Ok(hub.open(Kind::Dataset, reference, observer)?);
        }
        let mut first = None;
        for name in &self.repositories {
            match hub.open(Kind::Dataset, &name.parse()?, observer) {
                Ok(repository) => return Ok(repository),
                // The next name may be the one it has by now; if none is, the preferred one is told of.
                Err(error) if error.is_absent() => first = first.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(match first {
            Some(error) => Error::HubData {
                suite: self.id.clone(),
                names: self.repositories.join(" or "),
                source: Box::new(error),
            },
            None => Error::Suite {
                file: self.file_name(),
                reason: "it has no repository to fetch".into(),
            },
        })
    }
}
