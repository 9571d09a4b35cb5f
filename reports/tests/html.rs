//! The HTML report of stored runs: what it says, that nothing in a record can act, and the same bytes for the same records.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use image::RgbImage;
use rave_reports::html::{Found, NoPictures, Pictures, most_samples, page};
use rave_results::excerpt::Excerpt;
use rave_results::{Run, Summary};
use serde_json::Value;

mod common;
use common::{Plan, store};

/// Pictures of one colour, with a box.
struct Plain;

impl Pictures for Plain {
    fn find(&mut self, suite: &str, sample: &str) -> Result<Found, String> {
        if suite == "chart" {
            return Err("No pictures of charts here.".into());
        }
        Ok(Found {
            question: format!("What is {sample}?"),
            picture: RgbImage::from_pixel(32, 16, image::Rgb([200, 100, 0])),
            boxes: vec![[0.25, 0.5, 0.75, 1.0]],
        })
    }
}

/// The page of a stored plan.
fn made(plan: &Plan, folder: &Path, pictures: &mut dyn Pictures) -> String {
    let run = store(plan, &folder.join("made-up"));
    let summary = Summary::from_runs(std::slice::from_ref(&run), "standard").unwrap();
    let excerpt = Excerpt::of(&[run], &summary, most_samples(&summary)).unwrap();
    let artifact = page(&summary, Some(&excerpt), pictures).unwrap();
    assert_eq!(artifact.name, "report.html");
    String::from_utf8(artifact.bytes).unwrap()
}

fn ten() -> Plan<'static> {
    Plan {
        samples: 5,
        rows: 5,
        ..Plan::default()
    }
}

/// What the page's script reads.
fn data(page: &str) -> Value {
    let begin = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    serde_json::from_str(page[begin..].split("</script>").next().unwrap()).unwrap()
}

/// The text of the page without markup, style and script.
fn words(page: &str) -> String {
    let main = page.split("<main").nth(1).unwrap().split("<script").next().unwrap();
    let mut out = String::new();
    for part in main.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap();
        if tag.starts_with("svg") || !out.is_empty() && text.trim().is_empty() {
            continue;
        }
        out += text.trim();
        out.push(if tag.starts_with("td") || tag.starts_with("th") || tag.starts_with("bdi") { ' ' } else { '\n' });
    }
    out
}

#[test]
fn ten_samples() {
    let folder = tempfile::tempdir().unwrap();
    let page = made(&ten(), folder.path(), &mut Plain);
    let main = page.split("<h2 id=\"charts\">").next().unwrap();
    insta::assert_snapshot!("summary", words(&format!("{main}<script")));
    insta::assert_snapshot!("samples", serde_json::to_string_pretty(&data(&page)).unwrap());
    let again = tempfile::tempdir().unwrap();
    assert!(made(&ten(), again.path(), &mut Plain) == page, "other bytes of the same records");
}

#[test]
fn one_file_that_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let page = made(&ten(), folder.path(), &mut Plain);
    assert!(page.contains("default-src 'none'; img-src data:"));
    let own = page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "");
    for outside in ["http:", "https:", "url(", "@import", "<link rel=\"stylesheet\"", " src=\"", "onclick"] {
        assert!(!own.contains(outside), "{outside}");
    }
    // One style and one script besides the data; the policy names their hashes.
    assert_eq!(page.matches("<style").count(), 1);
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("'sha256-").count(), 2);
}
