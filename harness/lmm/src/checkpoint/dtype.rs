//! Which compute type a run takes when none is asked for.

use std::fs;

use tch::Kind;

use super::resolve::open_headers;
use crate::Error;

/// What stands for the choice on a command line.
pub const AUTO: &str = "auto";

/// The name of the compute type for some models on a device (`cpu`, `cuda`, `cuda:N`): `bf16` where every checkpoint is stored so
/// and the device multiplies it fast, else `f32`.
///
/// # Errors
/// A model that is not there, or whose files are damaged.
pub fn automatic<'a>(
    models: impl IntoIterator<Item = &'a str>,
    device: &str,
) -> Result<&'static str, Error> {
    if !multiplies_bf16(
        device,
        &fs::read_to_string("/proc/cpuinfo").unwrap_or_default(),
    ) {
        return Ok("f32");
    }
    for model in models {
        let checkpoint = open_headers(model)?;
        // Norms and buffers may be kept in f32; the weights are what is multiplied.
        let mut stored = [0_usize; 2];
        for name in checkpoint.names() {
            if let Some(kind) = checkpoint.kind(name) {
                stored[usize::from(kind == Kind::BFloat16)] += 1;
            }
        }
        if stored[1] <= stored[0] {
            return Ok("f32");
        }
    }
    Ok("bf16")
}

/// Whether a device has instructions for products of bf16. CUDA devices are taken to have them (compute capability 8 or higher; a
/// binding to ask is missing); of a processor `/proc/cpuinfo` says.
fn multiplies_bf16(device: &str, cpuinfo: &str) -> bool {
    // x86-64 with AMX or AVX-512, aarch64.
    const FLAGS: [&str; 3] = ["amx_bf16", "avx512_bf16", "bf16"];
    device != "cpu"
        || cpuinfo.lines().any(|line| {
            let names = line
                .split_once(':')
                .map_or("", |(key, names)| match key.trim() {
                    "flags" | "Features" => names,
                    _ => "",
                });
            names.split_whitespace().any(|name| FLAGS.contains(&name))
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_device_must_have_the_instructions() {
        let with = |flags: &str| {
            format!("processor\t: 0\nflags\t\t: fpu {flags} avx2\nbugs\t: amx_bf16\n")
        };
        assert!(multiplies_bf16("cpu", &with("amx_bf16")));
        assert!(multiplies_bf16("cpu", &with("avx512_bf16")));
        assert!(!multiplies_bf16("cpu", &with("avx512f")));
        assert!(multiplies_bf16("cpu", "Features\t: fp asimd bf16\n"));
        assert!(!multiplies_bf16("cpu", ""));
        assert!(multiplies_bf16("cuda:1", ""));
    }

    #[test]
    fn the_checkpoint_must_be_stored_so() {
        // As on a device that has them: nano is stored in bf16, the fixture in f32.
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/smolvlm_new");
        assert_eq!(automatic(["nano"], "cuda").unwrap(), "bf16");
        assert_eq!(automatic(["nano", fixture], "cuda").unwrap(), "f32");
    }
}
