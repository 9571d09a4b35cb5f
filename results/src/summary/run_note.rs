//! What a report tells of a run.

use super::RunNote;
use crate::Run;
use crate::latency::LatencyRun;
use crate::schema::{CodeVersion, Counts, Machine, RunRecord};

impl RunNote {
    /// Of a run of `rave eval`.
    pub(crate) fn of(run: &Run) -> Self {
        let (record, configuration) = (&run.record, &run.record.configuration);
        Self {
            run: record.run.clone(),
            config_hash: record.config_hash.clone(),
            created: record.created.to_string(),
            code: code(&record.code),
            machine: machines(record),
            precision: format!("{} on {}", configuration.dtype, configuration.device),
            interrupted: run.interrupted,
            truncated_bytes: run.truncated_bytes,
            damaged_lines: run.damaged_lines.len(),
            counts: record.counts,
        }
    }

    /// Of a run of `rave latency`, which has no samples to count.
    pub(crate) fn of_latency(run: &LatencyRun) -> Self {
        let (record, configuration) = (&run.record, &run.record.configuration);
        Self {
            run: record.run.clone(),
            config_hash: record.config_hash.clone(),
            created: record.created.to_string(),
            code: code(&record.code),
            machine: machine(&record.machine),
            precision: format!("{} on {}", configuration.dtype, configuration.device),
            interrupted: record.finished.is_none(),
            truncated_bytes: 0,
            damaged_lines: 0,
            counts: Counts::default(),
        }
    }
}

fn code(code: &CodeVersion) -> String {
    let commit = code.commit.as_deref();
    let commit = commit.map_or(String::new(), |commit| format!(" ({commit})"));
    format!("{}{commit}", code.version)
}

/// The machine of a run; of a run joined of shards, each machine once.
fn machines(record: &RunRecord) -> String {
    let mut names = vec![machine(&record.machine)];
    for part in &record.merged_from {
        let name = machine(&part.machine);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join("; ")
}

fn machine(machine: &Machine) -> String {
    let gpu = machine.gpu.as_deref();
    let gpu = gpu.map_or(String::new(), |gpu| format!(", {gpu}"));
    format!("{}, {} cores{gpu}", machine.cpu, machine.cores)
}
