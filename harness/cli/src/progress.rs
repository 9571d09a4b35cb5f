//! Progress bars of a run: one a cell (suite and variant), with rate and time left; silent where stderr is no terminal.

use std::collections::HashMap;
use std::path::Path;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rave_benchmarks::Suite;
use rave_engine::Observer;
use rave_lmm::ModelInfo;
use rave_methods::Variant;
use rave_results::SampleRecord;
use rave_results::store::LogContents;

/// The bars of the suite that runs now.
pub struct Bars {
    all: MultiProgress,
    loading: Option<ProgressBar>,
    cells: HashMap<String, ProgressBar>,
}

impl Bars {
    /// No bars yet.
    pub fn new() -> Self {
        Self {
            all: MultiProgress::new(),
            loading: None,
            cells: HashMap::new(),
        }
    }
}

/// What a log that a run goes on with has lost, if anything: nothing stays lost, as those samples are asked again.
fn format_losses(log: &LogContents) -> String {
    let mut text = String::new();
    if log.truncated_bytes > 0 {
        text += &format!(
            "samples.log: its end was cut off in mid-write; {} bytes dropped, the sample is asked again\n",
            log.truncated_bytes
        );
    }
    if !log.damaged_lines.is_empty() {
        let numbers: Vec<String> = log.damaged_lines.iter().map(ToString::to_string).collect();
        text += &format!(
            "samples.log: {} damaged (line {}); the samples are asked again\n",
            numbers.len(),
            numbers.join(", ")
        );
    }
    text
}

impl Observer for Bars {
    fn nothing_to_resume(&mut self, folder: &Path) {
        eprintln!("resume: no run in {} yet, it begins now", folder.display());
    }

    fn resumed(&mut self, log: &LogContents) {
        // The spinner of a model that is being loaded may be on the screen.
        self.all.suspend(|| {
            eprint!("{}", format_losses(log));
            eprintln!("resume: {} samples are recorded already", log.samples.len());
        });
    }

    fn ended_before(&mut self) {
        eprintln!("resume: the run has finished already, nothing is asked");
    }

    fn loading(&mut self, model: &str) {
        let bar = self
            .all
            .add(ProgressBar::new_spinner().with_message(format!("loading {model}")));
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        self.loading = Some(bar);
    }

    fn loaded(&mut self, model: &ModelInfo) {
        if let Some(bar) = self.loading.take() {
            bar.finish_with_message(format!("{}: {} parameters", model.name, model.parameters));
        }
        for note in &model.notes {
            eprintln!("note: {}: {note}", model.name);
        }
    }

    fn suite(
        &mut self,
        model: &str,
        suite: &Suite,
        variants: &[&'static Variant],
        samples: usize,
        done: &[usize],
    ) {
        let style = ProgressStyle::with_template(
            "{prefix:<46} {bar:24} {pos}/{len}  {per_sec}  {eta} left  {msg}",
        )
        .expect("the template is a constant that the test below renders");
        for (variant, &done) in variants.iter().zip(done) {
            let bar = ProgressBar::new(samples as u64)
                .with_style(style.clone())
                .with_prefix(format!("{model}: {} {}", suite.id, variant.id));
            let bar = self.all.add(bar.with_position(done as u64));
            bar.reset_eta();
            self.cells.insert(variant.id.to_owned(), bar);
        }
    }

    fn sample(&mut self, record: &SampleRecord) {
        if let Some(bar) = self.cells.get(&record.variant) {
            bar.inc(1);
            if let Some(error) = &record.error {
                bar.set_message(format!("failed: {error}"));
            }
        }
    }

    fn suite_done(&mut self) {
        for (_, bar) in self.cells.drain() {
            bar.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_lost_nothing_is_told_in_no_words() {
        let mut log = LogContents::default();
        assert_eq!(format_losses(&log), "");
        log.truncated_bytes = 7;
        log.damaged_lines = vec![3, 9];
        let losses = format_losses(&log);
        assert!(losses.contains("7 bytes dropped"), "{losses}");
        assert!(losses.contains("2 damaged (line 3, 9)"), "{losses}");
    }

    #[test]
    fn a_cell_counts_its_samples() {
        let mut bars = Bars::new();
        let suite = &rave_benchmarks::suites()[0];
        let variant = &rave_methods::REGISTRY[0];
        bars.suite("nano", suite, &[variant], 3, &[1]);
        bars.sample(&SampleRecord {
            variant: variant.id.into(),
            error: Some("image: cut".into()),
            ..SampleRecord::default()
        });
        let bar = bars.cells[variant.id].clone();
        assert_eq!((bar.position(), bar.length()), (2, Some(3)));
        assert_eq!(bar.message(), "failed: image: cut");
        bars.suite_done();
        assert!(bar.is_finished());
    }
}
