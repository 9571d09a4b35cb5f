//! The shape of `run.json` and of one sample's record.
//!
//! Every type is plain data with public fields: the engine fills them, the reporters read them. A change of
//! meaning raises [`SCHEMA_VERSION`]; a new optional field with a default does not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod attention;
mod configuration;
mod failure;
mod hash;
mod machine;
mod model;
mod sample;
mod shard;
mod work;

pub use attention::{AttentionRecord, HeadRecord};
pub use configuration::{Aggregate, Configuration, SuiteConfiguration, VariantConfiguration};
pub use failure::{Failure, FailureKind};
pub(crate) use hash::canonical_hash;
pub use hash::sha256_hex;
pub use machine::{Libraries, Machine};
pub use model::{AdapterRecord, GenerationRecord, ModelRecord};
pub use sample::{Counts, SampleRecord};
pub use shard::{MergedShard, SelectionRecord, Shard};
pub use work::WorkRecord;

/// The version of `run.json` and `samples.parquet` that this library writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// `run.json`: everything about a run but its samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The run's id, also the name of its folder.
    pub run: String,
    /// When it began.
    pub created: Timestamp,
    /// The arguments it was started with, the program's name first.
    pub command_line: Vec<String>,
    /// What was asked for.
    pub configuration: Configuration,
    /// [`Configuration::hash`].
    pub config_hash: String,
    /// The code that ran.
    pub code: CodeVersion,
    /// The checkpoints, one a name in [`Configuration::models`].
    pub models: Vec<ModelRecord>,
    /// The data of each suite.
    pub data: BTreeMap<String, DataRecord>,
    /// Where it ran.
    pub machine: Machine,
    /// Versions of what does the arithmetic.
    pub libraries: Libraries,
    /// When it ended; `None` while it runs and after an interruption.
    pub finished: Option<Timestamp>,
    /// How many samples have a score and how many have none.
    pub counts: Counts,
    /// How the time was spent; `None` while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<WorkRecord>,
    /// The shards that it was joined of, in order; none of a run that was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_from: Vec<MergedShard>,
}

impl RunRecord {
    /// A record of a run that begins now on this machine; hash and time are filled in, nothing is counted yet.
    pub fn new(
        run: impl Into<String>,
        command_line: Vec<String>,
        configuration: Configuration,
        code: CodeVersion,
        libraries: Libraries,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            run: run.into(),
            // Whole milliseconds: what is finer than that means nothing here and makes the file harder to read.
            created: whole_milliseconds(Timestamp::now()),
            command_line,
            config_hash: configuration.hash(),
            configuration,
            code,
            models: Vec::new(),
            data: BTreeMap::new(),
            machine: Machine::detect(),
            libraries,
            finished: None,
            counts: Counts::default(),
            work: None,
            merged_from: Vec::new(),
        }
    }

    /// Samples that the run is to record: the rows of its suites under each variant of each model. `None` where the
    /// data of a suite is not recorded.
    pub fn due(&self) -> Option<u64> {
        let asked = &self.configuration;
        let rows: Option<Vec<usize>> = asked
            .suites
            .iter()
            .map(|suite| Some(self.data.get(&suite.id)?.rows_used))
            .collect();
        let fields: usize = asked.models.iter().map(|name| self.seeds_of(name)).sum();
        Some((rows?.into_iter().sum::<usize>() * asked.variants.len() * fields) as u64)
    }

    /// Under how many seeds the run takes the samples of a model.
    pub fn seeds_of(&self, model: &str) -> usize {
        self.model(model)
            .map_or(1, |model| model.seeds.len().max(1))
    }

    /// The model of this name.
    pub fn model(&self, name: &str) -> Option<&ModelRecord> {
        self.models.iter().find(|model| model.name == name)
    }
}

/// Drops what is finer than a millisecond.
pub(crate) fn whole_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// The data behind one suite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// A hash that changes with any item of the data.
    pub fingerprint: String,
    /// Hub repository, folder, or `embedded`.
    pub source: String,
    /// The hub's repository that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The commit of that repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// SHA-256 of each file that was read, by its path in the repository or folder, in hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Rows that the run took; of a shard its own.
    pub rows_used: usize,
    /// Rows that there are.
    pub rows_total: usize,
    /// What all shards take together; `None` of a run that is no shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionRecord>,
}

/// The code that ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CodeVersion {
    /// The crate's version.
    pub version: String,
    /// The git commit, where it is known.
    pub commit: Option<String>,
}
