//! What people read first, held as text: the help of every command, and the commonest errors. After a change that was meant,
//! `UPDATE_EXPECT=1 ./just test --test binary snapshots` writes the files anew, and their diff is reviewed.

use expect_test::expect_file;

use super::*;

/// The commands that `rave --help` lists, itself as the empty one.
fn commands(help: &str) -> Vec<String> {
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let named = listed.filter_map(|line| line.split_whitespace().next());
    let known = named.filter(|name| *name != "help").map(str::to_owned);
    std::iter::once(String::new()).chain(known).collect()
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    let top = stdout(&rave(&["--help"]));
    let commands = commands(&top);
    assert!(commands.len() > 15, "{commands:?}");
    for command in &commands {
        let arguments = [command.as_str(), "--help"];
        let help = rave(&arguments[usize::from(command.is_empty())..]);
        assert_eq!(help.status.code(), Some(0), "{command}");
        let name = if command.is_empty() { "rave" } else { command };
        expect_file![format!("snapshots/help-{name}.txt")].assert_eq(&stdout(&help));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/binary/snapshots");
    let files = fs::read_dir(folder).unwrap().filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("help-")
    });
    assert_eq!(files.count(), commands.len(), "a file of no command");
}

#[test]
fn the_commonest_errors_are_as_reviewed() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("picture.txt"), "no picture").unwrap();
    fs::create_dir(here.join("empty")).unwrap();
    let lines = [
        "evl --model nano",
        "eval --suite embedded-ocr",
        "eval --model nosuch --suite embedded-ocr",
        "eval --model empty --suite embedded-ocr",
        "eval --model org/name --suite docvqa --offline",
        "eval --model nano --variant raev --suite embedded-ocr",
        "eval --model nano --variant mine.toml --suite embedded-ocr",
        "eval --model nano --suite chartq",
        "eval --model nano --suite docvqa --data nowhere",
        "eval --model nano --suite docvqa --data empty",
        "eval --model nano --suite embedded-ocr --dtype f8",
        "eval --model nano --suite embedded-ocr --limit 0",
        "eval --model nano --suite embedded-ocr --shard 3/2",
        "eval --model nano --suite embedded-ocr --device gpu",
        "generate --model nano --image nowhere.png --prompt ?",
        "generate --model nano --image picture.txt --prompt ?",
        "train --model nano --suite chart --steps 5 --freeze backbone --out out",
        "report nowhere",
        "compare nowhere",
        "score --suite chartqa --predictions nowhere.jsonl",
        "merge nowhere --out out",
        "latency --image-tokens 0 --out out",
    ];
    let mut said = String::new();
    for line in lines {
        let output = program()
            .args(line.split(' '))
            .current_dir(here)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let code = output.status.code().unwrap();
        assert_eq!(stdout(&output), "", "{line}");
        said += &format!("$ rave {line}\n{}exit {code}\n\n", stderr(&output));
    }
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/no-hub");
    expect_file!["snapshots/errors.txt"].assert_eq(&said.replace(cache, "CACHE"));
}
