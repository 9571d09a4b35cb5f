//! Build script shared by every crate whose binaries or tests link `LibTorch` (`build = "../rpath.rs"` in its
//! `Cargo.toml`, beside a direct dependency on `torch-sys`).
//!
//! `torch-sys` finds `LibTorch` at build time but leaves no trace of it in the programs, which then start only with
//! `LD_LIBRARY_PATH` set. This script writes the folder into each program's run path, so `target/release/rave`, unit
//! tests and integration tests find it by themselves. Cargo hands `DEP_TCH_LIBTORCH_LIB` to the *direct* dependants of
//! `torch-sys` alone (its `links = "tch"` key), hence one script, listed by each crate, and not one crate for all.
//!
//! It also compiles the folder in as `env!("RAVE_LIBTORCH_LIB")`, for `rave doctor` and for loading the CUDA library,
//! which no symbol of ours refers to and which the linker therefore drops; and the compiler's version as
//! `env!("RAVE_RUSTC")`, for the run records.

use std::env;
use std::process::Command;

fn main() {
    // Cargo runs this again whenever torch-sys's own script ran again. Without any such line it would also run, and
    // rebuild the crate, on every edit of any file in the crate.
    println!("cargo::rerun-if-env-changed=LIBTORCH");

    let Ok(folder) = env::var("DEP_TCH_LIBTORCH_LIB") else {
        println!(
            "cargo::error=torch-sys did not say where LibTorch is: `torch-sys.workspace = true` must stand in this \
             crate's [dependencies]; if it does, run `./just setup`"
        );
        return;
    };
    println!("cargo::rustc-env=RAVE_LIBTORCH_LIB={folder}");
    println!(
        "cargo::rustc-env=RAVE_RUSTC={}",
        rustc().unwrap_or_default()
    );
    match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        // Windows has no run path: LibTorch's folder must be on PATH there.
        Ok("windows") => {}
        _ => println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}"),
    }
}

/// The compiler's version line (`rustc 1.88.0 (6b00bc388 2025-06-23)`), as cargo names the compiler to build scripts.
fn rustc() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?)
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.lines().next()?.to_owned())
}
