//! Where a run ran: processor, memory, system, library versions.
//!
//! Read from `/proc` on Linux; elsewhere what the standard library knows, and "unknown" for the rest.

use std::fs;
use std::thread;

use serde::{Deserialize, Serialize};

/// The machine of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's own name.
    pub cpu: String,
    /// Cores that the process may use.
    pub cores: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Operating system and architecture.
    pub os: String,
    /// The accelerator, if one was used.
    pub gpu: Option<String>,
}

impl Machine {
    /// This machine; the accelerator is for the caller to fill in, who knows which device is used.
    pub fn detect() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo")
            .ok()
            .and_then(|text| field(&text, "model name"));
        let memory = fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| field(&text, "MemTotal"))
            .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok())
            .map_or(0, |kibibytes| kibibytes * 1024);
        let distribution = fs::read_to_string("/etc/os-release").ok().and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
            Some(line.trim_matches('"').to_string())
        });
        Self {
            cpu: cpu.unwrap_or_else(|| "unknown".into()),
            cores: thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory,
            os: format!(
                "{} ({})",
                distribution.unwrap_or_else(|| std::env::consts::OS.into()),
                std::env::consts::ARCH
            ),
            gpu: None,
        }
    }
}

/// Versions of the libraries that do the arithmetic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libraries {
    /// `LibTorch`.
    pub libtorch: Option<String>,
    /// The `tch` crate.
    pub tch: Option<String>,
    /// The compiler.
    pub rustc: Option<String>,
}

/// The value of the first `name : value` line.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "model\t\t: 85\nmodel name\t: A CPU @ 2 GHz\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A CPU @ 2 GHz"));
        assert_eq!(field(text, "absent"), None);
    }

    #[test]
    fn this_machine_has_cores() {
        let machine = Machine::detect();
        assert!(machine.cores >= 1);
        assert!(!machine.os.is_empty());
    }
}
