//! The client against a hub on loopback: what arrives, what is asked for, and what every refusal says.
#![allow(clippy::unwrap_used)]

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rave_hub::{Error, Hub, Kind, Observer, Origin, Reference, Settings, cached};
use server::{COMMIT, Fault, Server, git_hash, sha256};
use tempfile::TempDir;

const MODEL: &str = "models/org/name";
const WEIGHTS: &str = "model.safetensors";

/// Hears everything and sleeps never.
#[derive(Default)]
struct Ear {
    waits: Vec<(Duration, String)>,
    files: Vec<(String, Option<u64>, u64)>,
    most: u64,
    done: usize,
}

impl Observer for Ear {
    fn file(&mut self, name: &str, size: Option<u64>, have: u64) {
        self.files.push((name.to_owned(), size, have));
    }

    fn have(&mut self, bytes: u64) {
        self.most = self.most.max(bytes);
    }

    fn file_done(&mut self) {
        self.done += 1;
    }

    fn wait(&mut self, time: Duration, reason: &str) {
        self.waits.push((time, reason.to_owned()));
    }
}

/// Bytes that no short cut would give: longer than what is read at once, no two parts alike.
fn weights() -> Vec<u8> {
    let mut state = 1_u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..3_000_000).map(step).collect()
}

struct Case {
    server: Server,
    cache: TempDir,
    ear: Ear,
}

impl Case {
    fn new() -> Self {
        let server = Server::start();
        server.put(MODEL, "config.json", b"{}");
        server.put(MODEL, WEIGHTS, &weights());
        Self {
            server,
            cache: tempfile::tempdir().unwrap(),
            ear: Ear::default(),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            endpoint: self.server.endpoint(),
            cache: self.cache.path().to_owned(),
            token: None,
            offline: false,
            certificates: None,
        }
    }

    /// The folder with these files of `org/name`.
    fn fetch(&mut self, name: &str, files: &[&str], settings: Settings) -> Result<PathBuf, Error> {
        let hub = Hub::new(settings).unwrap();
        let reference: Reference = name.parse().unwrap();
        let repository = hub.open(Kind::Model, &reference, &mut self.ear)?;
        for file in files {
            repository.fetch(file, &mut self.ear)?;
        }
        repository.complete()
    }

    fn all(&mut self) -> Result<PathBuf, Error> {
        self.fetch("org/name", &["config.json", WEIGHTS], self.settings())
    }

    fn refusal(&mut self, name: &str) -> String {
        let settings = self.settings();
        told(&self.fetch(name, &[WEIGHTS], settings).unwrap_err())
    }

    fn blobs(&self) -> Vec<String> {
        let blobs = self.cache.path().join("models--org--name/blobs");
        let entries = fs::read_dir(blobs).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// The message and the hint in one text.
fn told(error: &Error) -> String {
    format!("{error}; {}", error.hint().unwrap())
}

fn assert_parts(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(!message.contains('\n'), "more than one line: {message}");
}

#[test]
fn a_download_is_laid_out_as_other_tools_expect_it() {
    let mut case = Case::new();
    let folder = case.all().unwrap();
    let root = case.cache.path().join("models--org--name");
    assert_eq!(folder, root.join("snapshots").join(COMMIT));
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    let mut hashes = vec![git_hash(b"{}"), sha256(&weights())];
    hashes.sort();
    assert_eq!(case.blobs(), hashes);
    let target = fs::read_link(folder.join("config.json")).unwrap();
    assert_eq!(target, Path::new("../../blobs").join(git_hash(b"{}")));
    let origin = Origin::of(&folder).unwrap();
    assert_eq!(
        (origin.repository.as_str(), origin.revision.as_str()),
        ("org/name", COMMIT)
    );
    let size = weights().len() as u64;
    assert_eq!(case.ear.files[1], (WEIGHTS.to_owned(), Some(size), 0));
    assert_eq!((case.ear.most, case.ear.done), (size, 2));
    assert!(case.ear.waits.is_empty());
}

#[test]
fn a_second_run_takes_every_file_from_the_cache() {
    let mut case = Case::new();
    let first = case.all().unwrap();
    let asked = case.server.asked("/resolve/").len();
    assert_eq!(case.all().unwrap(), first);
    assert_eq!(case.server.asked("/resolve/").len(), asked);
}

#[test]
fn a_revision_is_pinned() {
    let mut case = Case::new();
    let folder = case
        .fetch("org/name@v1", &["config.json"], case.settings())
        .unwrap();
    assert!(folder.ends_with(COMMIT));
    assert_eq!(
        case.server.asked("/api/")[0].path,
        "/api/models/org/name/revision/v1"
    );
    // The files are those of the commit that the answer named, though the tag be moved meanwhile.
    let resolve = format!("/org/name/resolve/{COMMIT}/config.json");
    assert!(
        case.server
            .asked("/resolve/")
            .iter()
            .all(|request| request.path == resolve)
    );
    let refs = case.cache.path().join("models--org--name/refs");
    assert_eq!(fs::read_to_string(refs.join("v1")).unwrap(), COMMIT);
    assert!(!refs.join("main").exists());
}

#[test]
fn offline_makes_no_connection_and_finds_what_was_fetched() {
    let mut case = Case::new();
    let offline = Settings {
        offline: true,
        ..case.settings()
    };
    let error = case
        .fetch("org/name", &[WEIGHTS], offline.clone())
        .unwrap_err();
    assert_parts(
        &told(&error),
        &[
            "org/name is not in the hub's cache",
            "--offline",
            "HF_HUB_CACHE",
        ],
    );
    assert_eq!(case.server.state().connections, 0);
    let folder = case.all().unwrap();
    let before = case.server.state().connections;
    for name in ["org/name", &format!("org/name@{COMMIT}")] {
        assert_eq!(
            case.fetch(name, &["config.json", WEIGHTS], offline.clone())
                .unwrap(),
            folder
        );
        let reference: Reference = name.parse().unwrap();
        assert_eq!(cached(Kind::Model, &reference, &offline).unwrap(), folder);
    }
    let error = case
        .fetch("org/name", &["other.json"], offline.clone())
        .unwrap_err();
    assert_parts(&told(&error), &["other.json of org/name", "--offline"]);
    let error = case.fetch("org/name@v2", &[], offline).unwrap_err();
    assert_parts(&told(&error), &["org/name@v2 is not in the hub's cache"]);
    assert_eq!(case.server.state().connections, before);
}

#[test]
fn a_renamed_repository_is_followed() {
    let mut case = Case::new();
    case.server.moved("models/old/name", MODEL);
    let folder = case
        .fetch("old/name", &["config.json", WEIGHTS], case.settings())
        .unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), weights());
}

#[test]
fn a_dropped_connection_goes_on_where_it_broke() {
    let mut case = Case::new();
    case.server.fault("/cdn/", Fault::Cut(1_234_567), 1);
    case.server.fault("/cdn/", Fault::Cut(1_000_000), 1);
    let folder = case.all().unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    let ranges: Vec<_> = case
        .server
        .asked("/cdn/")
        .into_iter()
        .map(|request| request.range)
        .collect();
    let from = |byte: u64| Some(format!("bytes={byte}-"));
    assert_eq!(ranges, [None, from(1_234_567), from(2_234_567)]);
    assert_eq!(case.ear.waits.len(), 2);
    assert_parts(&case.ear.waits[0].1, &[WEIGHTS]);
}

#[test]
fn a_later_run_goes_on_with_what_an_earlier_one_left() {
    let mut case = Case::new();
    // Each connection brings something, so only those without anything count against it.
    case.server.fault("/cdn/", Fault::Cut(1_500_000), 1);
    case.server.fault("/cdn/", Fault::Cut(0), 4);
    let message = case.refusal("org/name");
    assert_parts(
        &message,
        &[
            "org/name",
            "cannot reach the hub",
            &case.server.endpoint(),
            "goes on from there",
        ],
    );
    assert!(!case.cache.path().join("models--org--name/refs").exists());
    let folder = case.all().unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    let last = case.server.asked("/cdn/").pop().unwrap();
    assert_eq!(last.range.as_deref(), Some("bytes=1500000-"));
    let size = weights().len() as u64;
    assert!(
        case.ear
            .files
            .contains(&(WEIGHTS.to_owned(), Some(size), 1_500_000))
    );
}

#[test]
fn a_server_that_knows_no_ranges_sends_the_file_anew() {
    let mut case = Case::new();
    case.server.fault("/cdn/", Fault::Cut(1_500_000), 1);
    case.server.fault("/cdn/", Fault::NoRange, 1);
    let folder = case.all().unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), weights());
}

#[test]
fn a_damaged_file_is_refused_and_not_kept() {
    let mut case = Case::new();
    case.server.fault("/cdn/", Fault::Damage, 1);
    let message = case.refusal("org/name");
    assert_parts(
        &message,
        &[WEIGHTS, "SHA-256", &sha256(&weights()), "run again"],
    );
    assert!(case.blobs().is_empty(), "{:?}", case.blobs());
    // A small file by its git hash. The first request is for the hash alone.
    case.server.fault("/config.json", Fault::NoRange, 1);
    case.server.fault("/config.json", Fault::Damage, 1);
    let error = told(&case.all().unwrap_err());
    assert_parts(&error, &["config.json", "git hash", &git_hash(b"{}")]);
    assert!(case.all().is_ok());
}

#[test]
fn what_an_earlier_run_left_damaged_is_fetched_from_the_start() {
    let mut case = Case::new();
    let blobs = case.cache.path().join("models--org--name/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let incomplete = blobs.join(format!("{}.incomplete", sha256(&weights())));
    for left in [vec![7; 1000], vec![7; 3_000_000], vec![7; 4_000_000]] {
        fs::write(&incomplete, left).unwrap();
        let folder = case.all().unwrap();
        assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), weights());
        fs::remove_dir_all(folder).unwrap();
        fs::remove_file(blobs.join(sha256(&weights()))).unwrap();
    }
}

#[test]
fn too_many_requests_are_waited_for_and_not_for_ever() {
    let retry = |seconds: &str| vec![("Retry-After", seconds.to_owned())];
    let mut case = Case::new();
    case.server
        .fault("/api/", Fault::Status(429, retry("7")), 1);
    case.server
        .fault("/resolve/", Fault::Status(429, retry("3")), 1);
    case.server.fault("/cdn/", Fault::Status(503, vec![]), 2);
    case.all().unwrap();
    let waits: Vec<u64> = case
        .ear
        .waits
        .iter()
        .map(|(time, _)| time.as_secs())
        .collect();
    assert_eq!(waits, [7, 3, 1, 2]);
    assert_parts(&case.ear.waits[0].1, &["429", "7 s"]);

    let mut case = Case::new();
    case.server
        .fault("/api/", Fault::Status(429, retry("2")), 100);
    let message = case.refusal("org/name");
    assert_parts(
        &message,
        &["429", "too many requests", "asks to wait 2 s", "HF_TOKEN"],
    );
    assert_eq!(
        (case.ear.waits.len(), case.server.asked("/api/").len()),
        (5, 6)
    );

    // Nobody sits through an hour.
    let mut case = Case::new();
    case.server
        .fault("/api/", Fault::Status(429, retry("3600")), 1);
    assert_parts(
        &case.refusal("org/name"),
        &["429", "asks to wait 3600 s", "try again later"],
    );
    assert!(case.ear.waits.is_empty());
}

#[test]
fn every_refusal_is_one_line_with_its_remedy() {
    let status = |status, headers| Fault::Status(status, headers);
    let mut case = Case::new();
    case.server.fault("/api/", status(401, vec![]), 1);
    assert_parts(
        &case.refusal("org/name"),
        &["org/name", "401", "HF_TOKEN", "hf auth login"],
    );
    case.server.fault(
        "/resolve/",
        status(
            403,
            vec![(
                "X-Error-Message",
                "Access to model org/name is restricted".into(),
            )],
        ),
        1,
    );
    assert_parts(
        &case.refusal("org/name"),
        &["403, Access to model", "accept the repository's terms"],
    );
    assert_parts(
        &case.refusal("org/nothing"),
        &["org/nothing", "no such repository", "404", "check the name"],
    );
    assert_parts(
        &case.refusal("org/name@v9"),
        &["org/name@v9", "no such revision", "after @"],
    );
    case.server.fault("/api/", status(404, vec![]), 1);
    assert_parts(
        &case.refusal("org/name"),
        &["no such repository or revision", "HF_TOKEN"],
    );
    let settings = case.settings();
    let error = case
        .fetch("org/name", &["nothing.json"], settings)
        .unwrap_err();
    assert_parts(&told(&error), &["file nothing.json", "404"]);
    case.server.put("models/org/odd", "../../escape", b"");
    assert_parts(&case.refusal("org/odd"), &["../../escape", "HF_ENDPOINT"]);
}

#[test]
fn a_ref_leads_to_a_snapshot_and_nowhere_else() {
    let mut case = Case::new();
    let folder = case
        .fetch("org/name", &["config.json"], case.settings())
        .unwrap();
    let reference = "org/name".parse().unwrap();
    let settings = case.settings();
    assert_eq!(cached(Kind::Model, &reference, &settings).unwrap(), folder);
    let refs = folder.ancestors().nth(2).unwrap().join("refs/main");
    fs::write(&refs, "../../..").unwrap();
    let error = cached(Kind::Model, &reference, &settings).unwrap_err();
    assert_parts(&told(&error), &["org/name"]);
}

#[test]
fn a_token_goes_to_the_hub_and_is_told_to_nobody() {
    let mut case = Case::new();
    let settings = Settings {
        token: Some("hf_secret".into()),
        ..case.settings()
    };
    case.fetch("org/name", &["config.json"], settings.clone())
        .unwrap();
    let requests = case.server.state().requests.clone();
    assert!(
        requests
            .iter()
            .all(|request| request.authorization.as_deref() == Some("Bearer hf_secret"))
    );
    case.server.fault("/api/", Fault::Status(401, vec![]), 1);
    let error = case.fetch("org/name", &[], settings).unwrap_err();
    assert_parts(&told(&error), &["401", "not valid"]);
    assert!(!format!("{error} {error:?}").contains("hf_secret"));
}

#[test]
fn no_hub_at_all_is_said_with_its_address() {
    let mut case = Case::new();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let settings = Settings {
        endpoint: format!("http://{free}"),
        ..case.settings()
    };
    let error = case.fetch("org/name", &[], settings).unwrap_err();
    assert_parts(
        &told(&error),
        &["cannot reach the hub", &free.to_string(), "--offline"],
    );
}

#[test]
fn the_beginning_of_a_file_is_had_without_the_rest() {
    let mut case = Case::new();
    let beginning = |case: &mut Case, file: &str, length: u64, offline: bool| {
        let settings = Settings {
            offline,
            ..case.settings()
        };
        let hub = Hub::new(settings).unwrap();
        let reference: Reference = "org/name".parse().unwrap();
        let repository = hub.open(Kind::Model, &reference, &mut case.ear)?;
        repository.beginning(file, length, &mut case.ear)
    };
    assert_eq!(
        beginning(&mut case, WEIGHTS, 10, false).unwrap(),
        weights()[..10]
    );
    assert_eq!(
        beginning(&mut case, "config.json", 10, false).unwrap(),
        b"{}"
    );
    let ranges: Vec<_> = case
        .server
        .asked("/cdn/")
        .into_iter()
        .map(|own| own.range)
        .collect();
    assert_eq!(ranges, [Some("bytes=0-9".to_owned())]);
    // A server that sends all of it whatever is asked for.
    case.server.fault("/cdn/", Fault::NoRange, 1);
    assert_eq!(
        beginning(&mut case, WEIGHTS, 7, false).unwrap(),
        weights()[..7]
    );
    let message = beginning(&mut case, "nothing", 7, false)
        .unwrap_err()
        .to_string();
    assert!(message.contains("no such file nothing"), "{message}");
    // Nothing was kept; what was fetched is read from there.
    assert!(beginning(&mut case, WEIGHTS, 7, true).is_err());
    let settings = case.settings();
    case.fetch("org/name", &[WEIGHTS], settings).unwrap();
    let connections = case.server.state().connections;
    assert_eq!(
        beginning(&mut case, WEIGHTS, 5, true).unwrap(),
        weights()[..5]
    );
    assert_eq!(case.server.state().connections, connections);
}
