//! Requests: what is asked, what is waited for, and what each refusal means.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::{Error, Observer, Reference, Settings, reference};

/// Times one request is made that the hub answers with "later".
const ATTEMPTS: u32 = 6;
/// Times one is made that nobody answers.
const ATTEMPTS_UNANSWERED: u32 = 3;
/// The first wait where the hub names none; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait that is obeyed: the windows in which the hub counts requests are of five minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A connection on which nothing arrives for so long is given up, and the file resumed on another.
const SILENCE: Duration = Duration::from_secs(30);
/// Redirects within the hub (a repository that was renamed) that are followed.
const REDIRECTS: usize = 5;

const AGENT: &str = concat!("rave-bench/", env!("CARGO_PKG_VERSION"));

/// The hub over HTTP.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
}

/// What the hub tells of a file before it sends it.
#[derive(Debug)]
pub(crate) struct FileMetadata {
    /// The name of its blob: its SHA-256, or for a small file its git hash.
    pub(crate) etag: String,
    /// Its size in bytes.
    pub(crate) size: Option<u64>,
}

/// One request.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) url: &'a str,
    /// `bytes=A-B`.
    pub(crate) range: Option<&'a str>,
    /// Whether to go where the hub points.
    pub(crate) follow: bool,
    /// What is asked for, for messages.
    pub(crate) reference: &'a Reference,
    /// The file of it.
    pub(crate) file: Option<&'a str>,
}

/// How one try of a request ended that was not refused for good.
enum Tried {
    Answered(Response<Body>),
    Later(Later),
}

/// A request that brought no answer, or one to be made again.
struct Later {
    reason: String,
    /// What to tell when this was the last time.
    error: Error,
    /// The wait that the hub names.
    wait: Option<Duration>,
    /// Times that such a request is made.
    attempts: u32,
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &settings.certificates {
            tls = tls.root_certs(certificates(path)?);
        }
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            // A status is an answer here: its headers say how long to wait, and what is missing.
            .http_status_as_error(false)
            .max_redirects_will_error(false)
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
            .user_agent(AGENT)
            // Ranges and hashes are of the file as it is stored.
            .accept_encoding("identity")
            .timeout_connect(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            endpoint: settings.endpoint.clone(),
            token: settings.token.clone(),
        })
    }

    /// A JSON document of the hub.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        url: &str,
        reference: &Reference,
        observer: &mut dyn Observer,
    ) -> Result<T, Error> {
        let ask = Ask {
            url,
            range: None,
            follow: true,
            reference,
            file: None,
        };
        self.send(ask, observer)?
            .body_mut()
            .read_json()
            .map_err(|error| self.misunderstood(reference, error.to_string()))
    }

    /// Size and hash of a file. The request is not redirected to where the bytes are: only the hub's own answer has them.
    pub(crate) fn metadata(
        &self,
        url: &str,
        reference: &Reference,
        file: &str,
        observer: &mut dyn Observer,
    ) -> Result<FileMetadata, Error> {
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS {
            let ask = Ask {
                url: &url,
                range: Some("bytes=0-0"),
                follow: false,
                reference,
                file: Some(file),
            };
            let answer = self.send(ask, observer)?;
            let headers = answer.headers();
            // To another name of the repository, not to the bytes.
            if answer.status().is_redirection()
                && let Some(next) = text(headers, "location").and_then(|place| within(&url, place))
            {
                url = next;
                continue;
            }
            let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
            let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
            let Some(etag) = etag.filter(|etag| reference::is_plain_name(etag)) else {
                let reason = format!("it gives no hash (ETag) for {file}");
                return Err(self.misunderstood(reference, reason));
            };
            let total = |range: &str| range.rsplit('/').next()?.parse().ok();
            let size = text(headers, "x-linked-size")
                .and_then(|size| size.parse().ok())
                .or_else(|| total(text(headers, "content-range")?))
                // A server that knows no ranges is about to send the whole file.
                .or_else(|| {
                    let whole = answer.status().as_u16() == 200;
                    whole.then(|| text(headers, "content-length")?.parse().ok())?
                });
            return Ok(FileMetadata { etag, size });
        }
        let reason = format!("it redirects {file} again and again");
        Err(self.misunderstood(reference, reason))
    }

    /// Makes a request until it is answered or refused for good.
    pub(crate) fn send(
        &self,
        ask: Ask,
        observer: &mut dyn Observer,
    ) -> Result<Response<Body>, Error> {
        let mut backoff = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let later = match self.once(ask)? {
                Tried::Answered(answer) => return Ok(answer),
                Tried::Later(later) => later,
            };
            let wait = later.wait.unwrap_or(backoff);
            if attempt >= later.attempts || wait > LONGEST_WAIT {
                return Err(later.error);
            }
            observer.wait(wait, &later.reason);
            backoff *= 2;
            attempt += 1;
        }
    }

    fn once(&self, ask: Ask) -> Result<Tried, Error> {
        let mut request = self.agent.get(ask.url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(range) = ask.range {
            request = request.header("range", range);
        }
        if !ask.follow {
            request = request.config().max_redirects(0).build();
        }
        let answer = match request.call() {
            Ok(answer) => answer,
            Err(error) => {
                return Ok(Tried::Later(Later {
                    reason: error.to_string(),
                    error: self.unreachable(ask.reference, error.to_string()),
                    wait: None,
                    attempts: ATTEMPTS_UNANSWERED,
                }));
            }
        };
        let status = answer.status().as_u16();
        match status {
            // 416: the range begins where the file ends; who asked for it knows what that means.
            200..=399 | 416 => Ok(Tried::Answered(answer)),
            408 | 429 | 500..=599 => {
                let wait = retry_after(answer.headers());
                let seconds = wait.map_or_else(String::new, |wait| {
                    format!(" and asks to wait {} s", wait.as_secs())
                });
                Ok(Tried::Later(Later {
                    reason: format!("the hub answers {status}{seconds}"),
                    error: Error::Status {
                        repository: ask.reference.to_string(),
                        endpoint: self.endpoint.clone(),
                        status,
                        message: message_of(answer.headers()),
                        hint: match (status, wait) {
                            (429, _) if self.token.is_none() => format!(
                                "too many requests{seconds}: try again later, or set HF_TOKEN, as known users may ask more often"
                            ),
                            (429, _) => format!("too many requests{seconds}: try again later"),
                            _ => "try again later".to_owned(),
                        },
                    },
                    wait,
                    attempts: ATTEMPTS,
                }))
            }
            _ => Err(self.refusal(ask, status, answer.headers())),
        }
    }

    /// What a 4xx means.
    fn refusal(&self, ask: Ask, status: u16, headers: &HeaderMap) -> Error {
        let repository = ask.reference.to_string();
        let message = message_of(headers);
        let code = text(headers, "x-error-code").unwrap_or_default();
        match status {
            401 | 403 => Error::Refused {
                repository,
                status,
                message,
                hint: match (status, &self.token) {
                    (401, None) => {
                        "check the name, which it may not have; for a private or gated repository set HF_TOKEN to a token that may read it (or run `hf auth login`)"
                    }
                    (401, Some(_)) => {
                        "the token (HF_TOKEN, or the file of `hf auth login`) is not valid, or the repository does not exist: make a new token and check the name"
                    }
                    _ => {
                        "accept the repository's terms on its page with the account of your token (HF_TOKEN), or ask its owner for access"
                    }
                },
            },
            404 => {
                let (what, hint) = match (code, ask.file) {
                    ("RepoNotFound", _) => (
                        "repository".to_owned(),
                        "check the name; a private one needs HF_TOKEN",
                    ),
                    ("RevisionNotFound", _) => (
                        "revision".to_owned(),
                        "give a branch, tag or commit that it has after @",
                    ),
                    (_, Some(file)) => (format!("file {file}"), "choose another revision with @"),
                    _ => (
                        "repository or revision".to_owned(),
                        "check the name, and the branch, tag or commit after @; a private one needs HF_TOKEN",
                    ),
                };
                Error::NotFound {
                    repository,
                    what,
                    message,
                    hint,
                }
            }
            _ => Error::Status {
                repository,
                endpoint: self.endpoint.clone(),
                status,
                message,
                hint: "check HF_ENDPOINT and HTTPS_PROXY".to_owned(),
            },
        }
    }

    pub(crate) fn unreachable(&self, reference: &Reference, reason: String) -> Error {
        Error::Unreachable {
            repository: reference.to_string(),
            endpoint: self.endpoint.clone(),
            reason,
        }
    }

    pub(crate) fn misunderstood(&self, reference: &Reference, reason: String) -> Error {
        Error::Answer {
            repository: reference.to_string(),
            endpoint: self.endpoint.clone(),
            reason,
        }
    }
}

/// A header as text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What the hub says of a refusal in words.
fn message_of(headers: &HeaderMap) -> String {
    text(headers, "x-error-message")
        .unwrap_or_default()
        .to_owned()
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, "retry-after")?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(date.duration_since(Timestamp::now()).unsigned_abs()).filter(|_| date > Timestamp::now())
}

/// Where a redirect leads that stays on the host of `url`, as a whole address.
fn within(url: &str, location: &str) -> Option<String> {
    if !location.starts_with('/') || location.starts_with("//") {
        return None;
    }
    let uri: Uri = url.parse().ok()?;
    Some(format!(
        "{}://{}{location}",
        uri.scheme_str()?,
        uri.authority()?
    ))
}

/// A path as it stands in an address: what is no letter, digit or one of `-._~/` as `%XX`.
pub(crate) fn escaped(path: &str) -> String {
    path.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// The root certificates in a PEM file.
fn certificates(path: &Path) -> Result<RootCerts, Error> {
    let refused = |reason: String| Error::Certificates {
        path: path.to_owned(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    let mut roots = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(root) = item.map_err(|error| refused(error.to_string()))? {
            roots.push(root);
        }
    }
    if roots.is_empty() {
        return Err(refused("there are none".to_owned()));
    }
    Ok(RootCerts::from(roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", value.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        let later = Timestamp::now() + jiff::SignedDuration::from_secs(100);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&later)
            .unwrap();
        let seconds = wait(&date).unwrap().as_secs();
        assert!((90..=100).contains(&seconds), "{seconds}");
    }

    #[test]
    fn redirects_within_the_hub_and_to_elsewhere() {
        assert_eq!(
            within("http://h:1/a/b", "/c?d").as_deref(),
            Some("http://h:1/c?d")
        );
        assert_eq!(within("http://h:1/a/b", "https://cdn/c"), None);
        assert_eq!(within("http://h:1/a/b", "//cdn/c"), None);
    }

    #[test]
    fn a_path_is_escaped_for_an_address() {
        assert_eq!(escaped("a b/ü#.json"), "a%20b/%C3%BC%23.json");
    }
}
