//! What can go wrong between a repository's name and its files on disk. Every message names the file; what to
//! do about it is its hint.

use std::path::PathBuf;

/// An error of the hub or of its cache.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the name of a repository.
    #[error("`{name}` is no repository of the hub: {reason}")]
    Reference {
        /// What was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Asked for offline, and not in the cache.
    #[error("{what} is not in the hub's cache {}, and nothing is fetched offline", .folder.display())]
    NotCached {
        /// The repository, or a file of it.
        what: String,
        /// The cache.
        folder: PathBuf,
    },
    /// 401 or 403.
    #[error("{repository}: the hub refuses access ({status}{})", told(.message))]
    Refused {
        /// Repository and revision.
        repository: String,
        /// The status.
        status: u16,
        /// What the hub said, or nothing.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// 404.
    #[error("{repository}: the hub has no such {what} (404{})", told(.message))]
    NotFound {
        /// Repository and revision.
        repository: String,
        /// `repository`, `revision`, `file`, or what it may be.
        what: String,
        /// What the hub said, or nothing.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// Any other status, or the same one again and again.
    #[error("{repository}: the hub at {endpoint} answers {status}{}", told(.message))]
    Status {
        /// Repository and revision.
        repository: String,
        /// The hub.
        endpoint: String,
        /// The status.
        status: u16,
        /// What the hub said, or nothing.
        message: String,
        /// What to do.
        hint: String,
    },
    /// No connection, or one that breaks again and again.
    #[error("{repository}: cannot reach the hub at {endpoint}: {reason}")]
    Unreachable {
        /// Repository and revision.
        repository: String,
        /// The hub.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// The hub's answer makes no sense.
    #[error("{repository}: the answer of {endpoint} is not that of a hub: {reason}")]
    Answer {
        /// Repository and revision.
        repository: String,
        /// The hub.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that does not have the hash that the hub gives.
    #[error(
        "{repository}: {file} arrived damaged: its {algorithm} is {found}, and the hub says {expected}; it was not kept"
    )]
    Checksum {
        /// Repository and revision.
        repository: String,
        /// The file.
        file: String,
        /// `SHA-256` or `git hash`.
        algorithm: &'static str,
        /// What the hub says.
        expected: String,
        /// What came.
        found: String,
    },
    /// The cache cannot be read or written.
    #[error("hub cache, {}: {source}", .path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of root certificates that cannot be used.
    #[error("the certificates in {}: {reason}", .path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Reference { .. } => "write org/name or org/name@revision",
            Self::NotCached { .. } => {
                "run once with a network, without --offline and HF_HUB_OFFLINE, or set HF_HUB_CACHE to a cache that has it"
            }
            Self::Refused { hint, .. } | Self::NotFound { hint, .. } => hint,
            Self::Status { hint, .. } => hint,
            Self::Unreachable { .. } => {
                "check the network, HTTPS_PROXY and HF_ENDPOINT, or take what the cache holds with --offline (what has arrived \
                 is kept: the next run goes on from there)"
            }
            Self::Answer { .. } => "check HF_ENDPOINT",
            Self::Checksum { .. } => {
                "run again, and if that ends in the same way, look at the proxy or mirror between"
            }
            Self::Cache { .. } => {
                "check permissions and free space, or set HF_HUB_CACHE to another folder"
            }
            Self::Certificates { .. } => "correct or unset SSL_CERT_FILE (or REQUESTS_CA_BUNDLE)",
        };
        Some(hint.to_owned())
    }

    /// Whether the repository may be there under another name.
    pub fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. } | Self::NotCached { .. } | Self::Refused { status: 401, .. }
        )
    }
}

fn told(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(", {message}")
    }
}
