//! The paper's claims and the table of variants by suites, as text, a page and LaTeX.

use rave_results::Summary;
use rave_results::paper::{Finding, PaperTable, Scale};
use rave_results::summary::{Difference, Estimate};

use super::evidence::{evidence, grouped};
use super::grid::{Grid, NOTHING};
use super::numbers::{percent, points, star};
use super::provenance::{origin, provenance};
use super::summary::seeds;
use super::terminal::TerminalStyle;
use super::{latex, markdown, terminal};

/// Everything for a terminal or a text file.
pub(crate) fn text(table: &PaperTable, style: TerminalStyle) -> String {
    let mut out = format!("{}\n", table.claims.paper);
    out += &wrapped(&table.claims.statement, "", style.width);
    for note in &table.notes {
        out += &wrapped(&format!("! {note}"), "  ", style.width);
    }
    for (number, claim) in (1..).zip(&table.claims.claims) {
        out += &format!("\n{number}. {}: {}\n", claim.id, claim.claim);
        for finding in of_claim(table, &claim.id) {
            let told = evidence(finding).join("\n");
            out += &format!(
                "   {}{}\n",
                finding.verdict.name().to_uppercase(),
                on(finding)
            );
            for line in told.lines() {
                out += &wrapped(&format!("   - {line}"), "     ", style.width);
            }
        }
        out += &wrapped(&format!("   paper: {}", claim.source), "     ", style.width);
        out += &wrapped(&format!("   rule: {}", claim.rule), "     ", style.width);
    }
    for grid in grids(table) {
        out.push('\n');
        terminal::draw(&mut out, &grid, style);
    }
    out.push('\n');
    for line in origins(table) {
        out += &wrapped(&line, "  ", style.width);
    }
    out
}

/// The same as a page.
pub(crate) fn page(table: &PaperTable) -> String {
    let escape = markdown::escape;
    let mut out = format!(
        "# The paper's claims\n\n{}\n\n{}\n",
        escape(&table.claims.paper),
        escape(&table.claims.statement)
    );
    for note in &table.notes {
        out += &format!("\n> **Note**: {}\n", escape(note));
    }
    for grid in [verdicts(table)].into_iter().chain(grids(table)) {
        markdown::draw(&mut out, &grid);
    }
    out += &format!(
        "\n## The rules\n\nVersion {} of results/claims.toml, fixed {}:\n\n",
        table.claims.version, table.claims.fixed
    );
    for (number, claim) in (1..).zip(&table.claims.claims) {
        out += &format!(
            "{number}. **{}**: {}. Paper: {}. Rule: {}.\n",
            escape(&claim.id),
            escape(&claim.claim),
            escape(&claim.source),
            escape(&claim.rule)
        );
    }
    out += "\n## Where the numbers come from\n\n";
    for line in origins(table) {
        out += &format!("- {}\n", escape(&line));
    }
    out
}

/// The tables to be taken into a document.
pub(crate) fn tex(table: &PaperTable) -> String {
    let first = [
        table.claims.paper.clone(),
        table.claims.statement.trim().to_owned(),
    ];
    let mut out = latex::comments(first.iter().chain(&table.notes).chain(&origins(table)));
    out.extend(grids(table).iter().map(latex::plain));
    let mut claims = verdicts(table);
    claims.legend.clone_from(&table.claims.statement);
    out + &latex::plain(&claims)
}

fn of_claim<'a>(table: &'a PaperTable, id: &'a str) -> impl Iterator<Item = &'a Finding> {
    table
        .findings
        .iter()
        .filter(move |finding| finding.claim == id)
}

/// ` on nano`, where there is a model.
fn on(finding: &Finding) -> String {
    match finding.subject.as_str() {
        "" => String::new(),
        subject => format!(" on {subject}"),
    }
}

/// A line a claim and model: the verdict and what it rests on.
fn verdicts(table: &PaperTable) -> Grid {
    let row = |finding: &Finding| {
        let number = table
            .claims
            .claims
            .iter()
            .position(|claim| claim.id == finding.claim);
        let claim = number.map(|at| &table.claims.claims[at].claim);
        vec![
            number.map_or(NOTHING.into(), |at| (at + 1).to_string()),
            claim.cloned().unwrap_or_default(),
            if finding.subject.is_empty() {
                NOTHING.into()
            } else {
                finding.subject.clone()
            },
            finding.verdict.name().to_owned(),
            evidence(finding).join("; "),
        ]
    };
    let header = ["claim", "in words", "on", "verdict", "evidence"];
    Grid {
        title: "The claims and their verdicts".into(),
        legend: "points: percentage points, with 95 % intervals over images and training seeds, which alone decide nothing; the rules are below".into(),
        header: header.map(str::to_owned).to_vec(),
        rows: table.findings.iter().map(row).collect(),
        names: 5,
    }
}

/// For each model the variants by suites and by seed; then the sizes of all models.
fn grids(table: &PaperTable) -> Vec<Grid> {
    let mut grids = Vec::new();
    if let Some(summary) = &table.summary {
        for model in &summary.models {
            if !summary.has_records(&model.name) {
                continue;
            }
            grids.push(by_suite(summary, &model.name));
            let averages = seeds(summary, &model.name).map(|mut grid| {
                if summary.suites.len() > 1 {
                    grid.rows.retain(|row| row[1] == "average");
                }
                grid
            });
            grids.extend(averages);
        }
    }
    grids.extend(scale(&table.scale));
    grids
}

/// Variants as rows, suites and their mean as columns, as in papers; with the difference to the baseline.
fn by_suite(summary: &Summary, model: &str) -> Grid {
    let text = |score: Option<Estimate>, difference: Option<Difference>, failed: usize| {
        let Some(score) = score else {
            return if failed > 0 {
                format!("no score ({failed} failed)")
            } else {
                NOTHING.into()
            };
        };
        let mut text = percent(score.value);
        if let Some(difference) = difference {
            text += &format!(" ({}{})", points(&difference), star(&difference));
        }
        text
    };
    let average = summary.suites.len() > 1;
    let mut header = vec!["variant".to_owned()];
    header.extend(summary.suites.iter().map(|suite| suite.id.clone()));
    header.extend(average.then(|| "average".to_owned()));
    let trained = summary
        .models
        .iter()
        .find(|known| known.name == model)
        .map(|known| known.adapters.as_slice())
        .unwrap_or_default();
    let rows = summary.variants.iter().filter_map(|variant| {
        let mean = summary.macro_cell(model, &variant.id)?;
        let untrained = variant.trainable && !trained.contains(&variant.id);
        let mut row = vec![if untrained {
            format!("{} (untrained)", variant.id)
        } else {
            variant.id.clone()
        }];
        for suite in &summary.suites {
            let cell = summary.cell(model, &suite.id, &variant.id);
            row.push(cell.map_or(NOTHING.into(), |cell| {
                text(cell.score, cell.difference, cell.failed)
            }));
        }
        row.extend(average.then(|| text(mean.score, mean.difference, 0)));
        Some(row)
    });
    Grid {
        title: format!("{model}: variants by suites"),
        legend: format!(
            "percent; in brackets the difference to {} in percentage points with its 95 % interval; * decided: Holm-corrected p below \
             0.05 and an interval without 0",
            summary.baseline
        ),
        rows: rows.collect(),
        header,
        names: 1,
    }
}

/// Parameters and pictures seen in training, a line for each number; `None` without a model.
fn scale(scales: &[Scale]) -> Option<Grid> {
    let mut rows = Vec::new();
    for scale in scales {
        let mut row = |what: String, number: String| {
            rows.push(vec![scale.model.clone(), what, number]);
        };
        row("parameters".into(), grouped(scale.parameters));
        for (variant, added) in &scale.added {
            let share = *added as f64 / scale.parameters.max(1) as f64;
            let number = format!("{} ({:.2} %)", grouped(*added), share * 100.0);
            row(format!("parameters that {variant} adds"), number);
        }
        for stage in scale.training.unwrap_or_default() {
            let what = format!("pictures in training: {}", stage.what);
            row(what, grouped(stage.pictures()));
        }
        if scale.training.is_none() {
            let unknown = "not recorded for these weights";
            row("pictures in training".into(), unknown.into());
        }
    }
    let header = ["model", "what", "how many"];
    (!rows.is_empty()).then(|| Grid {
        title: "Scale".into(),
        legend: "in brackets the share of the model's parameters".into(),
        header: header.map(str::to_owned).to_vec(),
        rows,
        names: 2,
    })
}

fn origins(table: &PaperTable) -> Vec<String> {
    let claims = format!(
        "claims: results/claims.toml version {}, fixed {}",
        table.claims.version, table.claims.fixed
    );
    table
        .summary
        .iter()
        .flat_map(provenance)
        .chain(table.further_runs.iter().map(origin))
        .chain([claims])
        .collect()
}

/// Text in lines of at most `width` characters, all but the first after `indent`.
fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    let lead: String = text
        .chars()
        .take_while(|character| *character == ' ')
        .collect();
    let mut line = lead;
    let mut begun = false;
    for word in text.split_whitespace() {
        if begun && line.chars().count() + 1 + word.chars().count() > width {
            out += &line;
            out.push('\n');
            indent.clone_into(&mut line);
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line += word;
        begun = true;
    }
    out + &line + "\n"
}
