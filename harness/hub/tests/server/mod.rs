//! A hub on loopback: the routes that clients use, and faults on demand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The commit of every repository here.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong with a request.
#[derive(Clone)]
pub enum Fault {
    /// This status with these headers, and no body.
    Status(u16, Vec<(&'static str, String)>),
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// Other bytes than the hub's hash is of.
    Damage,
    /// The whole file, whatever range is asked for.
    NoRange,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

#[derive(Default)]
pub struct State {
    /// Connections that were made.
    pub connections: usize,
    pub requests: Vec<Request>,
    /// Repository with its kind (`models/org/name`) -> file -> bytes.
    files: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Old name -> new name, both with the kind.
    moved: BTreeMap<String, String>,
    /// What a path must contain, the fault, and how often it is met.
    faults: Vec<(String, Fault, usize)>,
}

pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.lock().unwrap().connections += 1;
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Puts a file into a repository: `models/org/name` or `datasets/org/name`.
    pub fn put(&self, repository: &str, file: &str, bytes: &[u8]) {
        let mut state = self.state();
        let files = state.files.entry(repository.to_owned()).or_default();
        files.insert(file.to_owned(), bytes.to_vec());
    }

    pub fn moved(&self, old: &str, new: &str) {
        self.state().moved.insert(old.to_owned(), new.to_owned());
    }

    /// The next `times` requests whose path contains `path` meet a fault.
    pub fn fault(&self, path: &str, fault: Fault, times: usize) {
        self.state().faults.push((path.to_owned(), fault, times));
    }

    /// Requests whose path contains this.
    pub fn asked(&self, path: &str) -> Vec<Request> {
        let state = self.state();
        let requests = state.requests.iter();
        requests
            .filter(|own| own.path.contains(path))
            .cloned()
            .collect()
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut request = Request {
            path,
            range: None,
            authorization: None,
        };
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
                break;
            }
            let Some((name, value)) = header.split_once(':') else {
                continue;
            };
            match name.to_lowercase().as_str() {
                "range" => request.range = Some(value.trim().to_owned()),
                "authorization" => request.authorization = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        if !answer(stream, &request, state) {
            return;
        }
    }
}

/// Whether the connection stays open.
fn answer(mut stream: &TcpStream, request: &Request, state: &Mutex<State>) -> bool {
    let mut state = state.lock().unwrap();
    state.requests.push(request.clone());
    let mut met = None;
    for (path, fault, times) in &mut state.faults {
        if *times > 0 && request.path.contains(path.as_str()) {
            *times -= 1;
            met = Some(fault.clone());
            break;
        }
    }
    if let Some(Fault::Status(status, headers)) = &met {
        return send(stream, *status, headers, &[], None);
    }
    let (status, headers, mut body) = route(&state, request);
    drop(state);
    if matches!(met, Some(Fault::Damage)) && !body.is_empty() {
        body[0] ^= 1;
    }
    let ranged = matches!(status, 200) && !matches!(met, Some(Fault::NoRange));
    let (status, headers, body) = match (&request.range, ranged) {
        (Some(range), true) => part(range, headers, &body),
        _ => (status, headers, body),
    };
    let cut = match met {
        Some(Fault::Cut(bytes)) => Some(bytes),
        _ => None,
    };
    let open = send(stream, status, &headers, &body, cut);
    let _ = stream.flush();
    open
}

type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

fn part(range: &str, mut headers: Vec<(&'static str, String)>, body: &[u8]) -> Answer {
    let (start, end) = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .unwrap();
    let start: usize = start.parse().unwrap();
    let end = end
        .parse()
        .map_or(body.len(), |end: usize| (end + 1).min(body.len()));
    if start >= body.len() {
        return (416, headers, Vec::new());
    }
    headers.push((
        "Content-Range",
        format!("bytes {start}-{}/{}", end - 1, body.len()),
    ));
    (206, headers, body[start..end].to_vec())
}

fn route(state: &State, request: &Request) -> Answer {
    let path = request
        .path
        .trim_start_matches('/')
        .split('?')
        .next()
        .unwrap();
    let missing = |code: &str| (404, vec![("X-Error-Code", code.to_owned())], Vec::new());
    if let Some(hash) = path.strip_prefix("cdn/") {
        let mut all = state.files.values().flat_map(BTreeMap::values);
        let body = all.find(|bytes| sha256(bytes) == hash);
        return body.map_or_else(
            || missing("EntryNotFound"),
            |bytes| (200, vec![], bytes.clone()),
        );
    }
    if let Some(rest) = path.strip_prefix("api/") {
        let (repository, revision) = rest.split_once("/revision/").unwrap();
        if let Some(new) = state.moved.get(repository) {
            let place = format!("/api/{new}/revision/{revision}");
            return (307, vec![("Location", place)], Vec::new());
        }
        let Some(files) = state.files.get(repository) else {
            return missing("RepoNotFound");
        };
        if !["main", "v1", COMMIT].contains(&revision) {
            return missing("RevisionNotFound");
        }
        let siblings: Vec<_> = files
            .keys()
            .map(|name| json!({ "rfilename": name }))
            .collect();
        let body = json!({ "id": repository, "sha": COMMIT, "siblings": siblings });
        return (200, vec![], body.to_string().into_bytes());
    }
    let (repository, rest) = path.split_once("/resolve/").unwrap();
    let repository = if repository.starts_with("datasets/") {
        repository.to_owned()
    } else {
        format!("models/{repository}")
    };
    if let Some(new) = state.moved.get(&repository) {
        let new = new.trim_start_matches("models/");
        return (
            307,
            vec![("Location", format!("/{new}/resolve/{rest}"))],
            Vec::new(),
        );
    }
    let (_, file) = rest.split_once('/').unwrap();
    let Some(bytes) = state
        .files
        .get(&repository)
        .and_then(|files| files.get(file))
    else {
        return missing("EntryNotFound");
    };
    let commit = ("X-Repo-Commit", COMMIT.to_owned());
    if file.ends_with(".safetensors") || file.ends_with(".parquet") {
        let hash = sha256(bytes);
        let headers = vec![
            commit,
            ("X-Linked-Etag", format!("\"{hash}\"")),
            ("X-Linked-Size", bytes.len().to_string()),
            ("Location", format!("/cdn/{hash}")),
        ];
        return (302, headers, Vec::new());
    }
    let etag = format!("\"{}\"", git_hash(bytes));
    (200, vec![commit, ("ETag", etag)], bytes.clone())
}

fn send(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
    cut: Option<usize>,
) -> bool {
    let own = stream.local_addr().unwrap();
    let mut head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        // Where the bytes are is a whole address, as on the real hub; another name of a repository is a path.
        if *name == "Location" && value.starts_with("/cdn/") {
            head += &format!("{name}: http://{own}{value}\r\n");
        } else {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head += "\r\n";
    let sent = &body[..cut.unwrap_or(body.len()).min(body.len())];
    let done = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(sent));
    if cut.is_some() {
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    done.is_ok() && cut.is_none()
}

pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// The hash by which git names a file.
pub fn git_hash(bytes: &[u8]) -> String {
    let header = format!("blob {}\0", bytes.len());
    let hasher = Sha1::new().chain_update(header).chain_update(bytes);
    format!("{:x}", hasher.finalize())
}
