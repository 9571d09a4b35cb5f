//! The program `rave`: hands its command line to `rave-torch`, which stands beside it and is linked with LibTorch.
//!
//! Loading LibTorch takes a tenth of a second, which a question for the version need not wait for.
//!
//! # Threads
//! The OpenMP library under LibTorch reads when it is loaded how its threads wait for each other, and is loaded before `main`: so this
//! program says it, in the environment of the other. By default such a thread spins for milliseconds; on a machine with other work
//! it then takes the processor from the very thread that it waits for, and an evaluation becomes many times slower. A short spin
//! costs nothing there and spares a lone program the calls of the system that a thread without spin would make. The number of threads
//! is what this process may use (affinity and cgroup quota), not what the machine has. A variable that is set already stays.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode};
use std::thread;

/// Turns that a waiting thread of GNU's library spins before it sleeps, about a tenth of a millisecond; 300,000 without it.
const SPINS: &str = "10000";
/// Milliseconds after which one of LLVM's library sleeps; 200 without it.
const BLOCKTIME: &str = "1";

fn main() -> ExitCode {
    let mut given = env::args_os().skip(1);
    let is_version = |word: OsString| word == "--version" || word == "-V";
    if given.next().is_some_and(is_version) && given.next().is_none() {
        // A reader that went away has nothing to be told.
        let _ = writeln!(io::stdout(), "rave {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let own = match env::current_exe().and_then(|own| own.canonicalize()) {
        Ok(own) => own,
        Err(error) => return refused("this program's own place", &error),
    };
    let program = own.with_file_name(format!("rave-torch{}", env::consts::EXE_SUFFIX));
    let mut arguments = env::args_os();
    let name = arguments.next();
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .envs(threads(|name| env::var_os(name)));
    #[cfg(unix)]
    let error = {
        use std::os::unix::process::CommandExt as _;
        command.arg0(name.unwrap_or_else(|| "rave".into()));
        command.exec()
    };
    #[cfg(not(unix))]
    let error = match command.status() {
        Ok(status) => return ExitCode::from(status.code().map_or(2, |code| code as u8)),
        Err(error) => error,
    };
    refused(&program.display().to_string(), &error)
}

fn refused(what: &str, error: &io::Error) -> ExitCode {
    eprintln!("error: {what}: {error}");
    eprintln!(
        "hint: keep the programs rave and rave-torch in one folder; `./just build` makes both"
    );
    ExitCode::from(2)
}

/// What the environment lacks for threads that wait as they should.
fn threads(given: impl Fn(&str) -> Option<OsString>) -> Vec<(&'static str, String)> {
    let mut missing = Vec::new();
    if given("OMP_WAIT_POLICY").is_none() {
        missing.push(("GOMP_SPINCOUNT", SPINS.to_owned()));
        missing.push(("KMP_BLOCKTIME", BLOCKTIME.to_owned()));
    }
    if let Ok(threads) = thread::available_parallelism() {
        missing.push(("OMP_NUM_THREADS", threads.to_string()));
    }
    missing.retain(|(name, _)| given(name).is_none());
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_has_set_stays() {
        let names = |set: &'static [&str]| {
            let given = |name: &str| set.contains(&name).then(OsString::new);
            let names = threads(given).into_iter().map(|(name, _)| name);
            names.collect::<Vec<_>>()
        };
        assert_eq!(
            names(&[]),
            ["GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS"]
        );
        assert_eq!(names(&["OMP_WAIT_POLICY"]), ["OMP_NUM_THREADS"]);
        assert_eq!(
            names(&["GOMP_SPINCOUNT", "OMP_NUM_THREADS"]),
            ["KMP_BLOCKTIME"]
        );
    }
}
