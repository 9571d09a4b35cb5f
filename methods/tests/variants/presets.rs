//! The registry and users' presets: ids, recorded options, and what a user reads when a file is wrong.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::path::PathBuf;

use rave_methods::variants::pai;
use rave_methods::variants::rave::{Form, Heads, Options, Pair};
use rave_methods::{Layers, REGISTRY, Range, preset, variant};
use tch::Kind;

use crate::sequences::{build, geometry};
use crate::told;

/// Options as results and adapters record them. A line that changes makes recorded numbers and trained adapters another
/// variant's: raise its version.
const RECORDED: [(&str, &str); 28] = [
    ("standard", r#"{"method":"standard"}"#),
    (
        "rave",
        r#"{"method":"rave","features":"pre-rope","pair":"pair","rank":8}"#,
    ),
    (
        "rave-post-rope",
        r#"{"method":"rave","features":"post-rope","pair":"pair","rank":8}"#,
    ),
    (
        "rave-gate",
        r#"{"method":"rave","features":"pre-rope","pair":"pair","rank":8,"form":"gate"}"#,
    ),
    (
        "rave-key-only",
        r#"{"method":"rave","features":"pre-rope","pair":"key-only","rank":8}"#,
    ),
    (
        "rave-query-only",
        r#"{"method":"rave","features":"pre-rope","pair":"query-only","rank":8}"#,
    ),
    (
        "rave-scalar",
        r#"{"method":"rave","features":"pre-rope","pair":"scalar","rank":8}"#,
    ),
    (
        "rave-all-keys",
        r#"{"method":"rave","features":"pre-rope","pair":"pair","rank":8,"keys":"all"}"#,
    ),
    (
        "rave-text-queries",
        r#"{"method":"rave","features":"pre-rope","pair":"pair","rank":8,"queries":"text"}"#,
    ),
    (
        "rave-shared",
        r#"{"method":"rave","features":"pre-rope","pair":"pair","rank":8,"shared":true}"#,
    ),
    (
        "rave-half-heads",
        r#"{"method":"rave","features":"pre-rope","pair":"pair","rank":8,"heads":0.5}"#,
    ),
    (
        "rave-rank-2",
        r#"{"method":"rave","features":"pre-rope","pair":"pair","rank":2}"#,
    ),
    (
        "rave-rank-4",
        r#"{"method":"rave","features":"pre-rope","pair":"pair","rank":4}"#,
    ),
    (
        "rave-rank-16",
        r#"{"method":"rave","features":"pre-rope","pair":"pair","rank":16}"#,
    ),
    (
        "rave-rank-32",
        r#"{"method":"rave","features":"pre-rope","pair":"pair","rank":32}"#,
    ),
    (
        "pai",
        r#"{"method":"pai","alpha":0.2,"layers":{"first":2,"last":31,"of":32}}"#,
    ),
    (
        "vaf",
        r#"{"method":"vaf","visual":1.15,"system":0.95,"layers":{"first":9,"last":14,"of":32}}"#,
    ),
    ("scaling-vis", r#"{"method":"scaling-vis","weight":1.5}"#),
    (
        "adapt-vis",
        r#"{"method":"adapt-vis","threshold":0.4,"unsure":0.5,"sure":1.5}"#,
    ),
    (
        "vis-sink",
        r#"{"method":"vis-sink","tau":20.0,"rho":0.5,"mass":0.2,"keep":0.6,"layers":{"first":2,"last":30,"of":32}}"#,
    ),
    (
        "fastv-25",
        r#"{"method":"fastv","ratio":0.25,"full_layers":2,"of":32}"#,
    ),
    (
        "fastv-50",
        r#"{"method":"fastv","ratio":0.5,"full_layers":2,"of":32}"#,
    ),
    (
        "fastv-75",
        r#"{"method":"fastv","ratio":0.75,"full_layers":2,"of":32}"#,
    ),
    ("gated-head", r#"{"method":"gated","per":"head"}"#),
    ("gated-element", r#"{"method":"gated","per":"element"}"#),
    (
        "softmax-off-by-one",
        r#"{"method":"softmax-off-by-one","mass":1.0}"#,
    ),
    (
        "learned-sink",
        r#"{"method":"learned-sink","initial":-5.0}"#,
    ),
    ("dape", r#"{"method":"dape","width":32}"#),
];

/// A file of this name for one test; tests run beside each other, so every test has names of its own.
fn file(name: &str, text: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("presets");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// What a user reads when a preset is refused, without the file's name.
fn refused(name: &str, text: &str) -> String {
    let path = file(name, text);
    let message = told(&preset(&path).unwrap_err());
    let start = format!("preset {}: ", path.display());
    message.strip_prefix(&start).unwrap().to_owned()
}

/// What a user reads when a preset is read but does not fit a model of 4 layers with 3 query heads a key group.
fn misfit(name: &str, text: &str) -> String {
    let variant = preset(&file(name, text)).unwrap();
    let built = variant.build(&build(geometry(6, 2), Kind::Float));
    told(&built.err().unwrap())
}

#[test]
fn the_recorded_options_of_every_variant_stay() {
    let found: Vec<(&str, String)> = REGISTRY
        .iter()
        .map(|variant| (variant.id, variant.options().to_string()))
        .collect();
    let expected = RECORDED.map(|(id, options)| (id, options.to_owned()));
    assert_eq!(found, expected);
    for (number, (id, _)) in RECORDED.iter().enumerate() {
        assert_eq!(variant(id).unwrap(), &REGISTRY[number]);
        assert!(!REGISTRY[number].summary.is_empty());
    }
}

/// What a preset's `method` refers to is found by name, so a name is one type's; and each has a file of that name.
#[test]
fn a_method_has_one_name_and_one_file() {
    let mut types: HashMap<&str, TypeId> = HashMap::new();
    for variant in REGISTRY {
        let method: &dyn Any = variant.method;
        let known = types
            .entry(variant.method.name())
            .or_insert(method.type_id());
        assert_eq!(*known, method.type_id(), "{}", variant.method.name());
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/variants");
    let mut files: Vec<String> = (std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut names: Vec<String> = types.keys().map(|name| name.replace('-', "_")).collect();
    files.sort();
    names.sort();
    assert_eq!(files, names);
}

#[test]
fn unknown_ids_are_refused_with_the_nearest() {
    let message = |id: &str| told(&variant(id).unwrap_err());
    assert_eq!(
        message("rave-keyonly"),
        "unknown variant `rave-keyonly`; did you mean `rave-key-only`? Otherwise choose one that `rave variants` lists"
    );
    assert_eq!(
        message("zzz"),
        "unknown variant `zzz`; choose one that `rave variants` lists"
    );
}

/// The options of each registered variant, written as a preset, are read as the same method; so are those of its identity.
#[test]
fn every_variant_can_be_written_as_a_preset() {
    for variant in REGISTRY {
        let identity = variant.method.identity();
        for (name, method) in [("own", variant.method), ("identity", identity.as_ref())] {
            let text = toml::to_string(&method.options()).unwrap();
            let name = format!("copy-of-{}-{name}", variant.id);
            let read = preset(&file(&format!("{name}.toml"), &text)).unwrap();
            assert_eq!(read.method, method, "{text}");
            assert_eq!(read.id, name);
        }
    }
}

#[test]
fn a_preset_is_read_with_what_it_leaves_out() {
    let text = r#"
        summary = "RAVE in the upper half, rank 4"
        method = "rave"
        rank = 4
        form = "tanh"
        bound = 2
        heads = [0, 2]
        layers = { first = 2, last = 3 }
    "#;
    let read = preset(&file("upper-half.toml", text)).unwrap();
    let options = Options {
        rank: 4,
        form: Form::Tanh,
        bound: 2.0,
        heads: Heads::List(vec![0, 2]),
        layers: Layers::Range(Range {
            first: 2,
            last: 3,
            of: None,
        }),
        ..Options::DEFAULT
    };
    assert_eq!(read.method.downcast_ref(), Some(&options));
    assert_eq!(
        (read.id, read.summary),
        ("upper-half", "RAVE in the upper half, rank 4")
    );
    read.build(&build(geometry(6, 2), Kind::Float)).unwrap();

    let read = preset(&file(
        "Not An Id.toml",
        "id = \"mine-2\"\nmethod = \"pai\"\nlayers = \"all\"",
    ))
    .unwrap();
    let options = pai::Options {
        layers: Layers::All,
        ..pai::Options::DEFAULT
    };
    assert_eq!(
        (read.id, read.method.downcast_ref()),
        ("mine-2", Some(&options))
    );
    assert_eq!(read.summary, "the preset mine-2");

    let read = preset(&file(
        "one-head.toml",
        "method = \"rave\"\nheads = 1\npair = \"scalar\"",
    ))
    .unwrap();
    let options = Options {
        heads: Heads::Share(1.0),
        pair: Pair::Scalar,
        ..Options::DEFAULT
    };
    assert_eq!(read.method.downcast_ref(), Some(&options));
    // A ratio alone counts in the layers of the model at hand.
    let read = preset(&file(
        "own-layers.toml",
        "method = \"fastv\"\nratio = 0.4\nfull_layers = 4",
    ))
    .unwrap();
    read.build(&build(geometry(6, 2), Kind::Float)).unwrap();
}

#[test]
fn a_preset_that_cannot_be_read_says_what_is_allowed() {
    let methods = "choose one of standard, rave, pai, vaf, scaling-vis, adapt-vis, vis-sink, fastv, gated, \
                   softmax-off-by-one, learned-sink, dape";
    assert_eq!(
        refused("unknown-method.toml", "method = \"raev\""),
        format!("unknown method `raev`; did you mean `rave`? Otherwise {methods}")
    );
    assert_eq!(
        refused("far-method.toml", "method = \"transformer\""),
        format!("unknown method `transformer`; {methods}")
    );
    assert_eq!(
        refused("no-method.toml", "rank = 4"),
        format!("`method` is missing; {methods}")
    );
    assert_eq!(
        refused("no-per.toml", "method = \"gated\""),
        "`per` is missing: it is head or element"
    );
    assert_eq!(
        refused("taken.toml", "id = \"rave-gate\"\nmethod = \"rave\""),
        "the id `rave-gate` is a registered variant's; choose another (`id = \"..\"`)"
    );
    assert_eq!(
        refused("rave.toml", "method = \"rave\""),
        "the id `rave` is a registered variant's; choose another (`id = \"..\"`)"
    );
    assert_eq!(
        refused("odd-id.toml", "id = \"My Gate\"\nmethod = \"rave\""),
        "the id `My Gate` is not possible; use lower-case letters, digits and hyphens (`id = \"..\"`)"
    );
    assert_eq!(
        refused("id-number.toml", "id = 3\nmethod = \"rave\""),
        "`id` must be a text, not 3"
    );
    assert_eq!(
        refused("method-number.toml", "method = 3"),
        "`method` must be a text, not 3"
    );
    assert!(refused("no-toml.toml", "method = ").starts_with("TOML parse error at line 1"));
    let missing = told(&preset(&PathBuf::from("/nowhere/mine.toml")).unwrap_err());
    assert_eq!(
        missing,
        "preset /nowhere/mine.toml: No such file or directory (os error 2); give a TOML file with `method` and its options"
    );
}

#[test]
fn an_option_that_does_not_exist_is_refused_with_those_that_do() {
    assert_eq!(
        refused("unknown-axis.toml", "method = \"rave\"\nranks = 4"),
        "unknown field `ranks`, expected one of `features`, `pair`, `rank`, `form`, `bound`, `keys`, `queries`, `heads`, \
         `layers`, `shared`"
    );
    assert_eq!(
        refused("unknown-value.toml", "method = \"rave\"\npair = \"triple\""),
        "unknown variant `triple`, expected one of `pair`, `key-only`, `query-only`, `scalar`"
    );
    let layers = "layers must be \"all\", a list such as [0, 3], or a range such as { first = 9, last = 14, of = 32 }";
    assert_eq!(
        refused("odd-layers.toml", "method = \"vaf\"\nlayers = \"some\""),
        layers
    );
    assert_eq!(
        refused(
            "odd-range.toml",
            "method = \"vaf\"\nlayers = { first = 1, last = 2, off = 3 }"
        ),
        layers
    );
    assert_eq!(
        refused("odd-heads.toml", "method = \"rave\"\nheads = \"some\""),
        "heads must be a share above 0 and at most 1 of the heads of each key group, or a list of their numbers, such as \
         [0, 2]"
    );
    for name in [
        "pai",
        "vaf",
        "scaling-vis",
        "adapt-vis",
        "vis-sink",
        "fastv",
        "gated",
        "softmax-off-by-one",
        "learned-sink",
        "dape",
    ] {
        let message = refused(
            &format!("unknown-{name}.toml"),
            &format!("method = \"{name}\"\nalhpa = 1"),
        );
        assert!(
            message.contains("unknown field `alhpa`, expected"),
            "{name}: {message}"
        );
    }
}

/// A file that asks for something which is not done must not be run as if it were.
#[test]
fn standard_has_no_options() {
    assert_eq!(
        refused("standard-rank.toml", "method = \"standard\"\nrank = 4"),
        "unknown field `rank`, there are no fields"
    );
}

#[test]
fn options_that_do_not_fit_the_model_are_refused_when_built() {
    for (name, text, words) in [
        (
            "rank-0",
            "method = \"rave\"\nrank = 0",
            "rank 0 is not possible; allowed is 1 to 128",
        ),
        (
            "heads-beyond",
            "method = \"rave\"\nheads = [0, 3]",
            "head 3 is not possible; a key group of this model has the heads 0 to 2",
        ),
        (
            "heads-share",
            "method = \"rave\"\nheads = 2",
            "heads = 2 is not possible; allowed is a share above 0 and at most 1",
        ),
        (
            "layers-beyond",
            "method = \"pai\"\nlayers = [4]",
            "layer 4 is not possible; allowed is 0 to 3",
        ),
        (
            "layers-range",
            "method = \"vaf\"\nlayers = { first = 9, last = 14 }",
            "layers 9 to 14 of 4 are not possible; allowed are first <= last < 4",
        ),
        (
            "ratio-1",
            "method = \"fastv\"\nratio = 1",
            "ratio 1 is not possible; allowed is 0 to below 1 (at 1 the image would be gone)",
        ),
        (
            "alpha",
            "method = \"pai\"\nalpha = inf",
            "alpha inf is not possible; allowed is a finite number",
        ),
        (
            "visual",
            "method = \"vaf\"\nvisual = nan",
            "visual = NaN is not possible; allowed is a finite number",
        ),
        (
            "weight",
            "method = \"scaling-vis\"\nweight = inf",
            "weight = inf is not possible; allowed is a finite number",
        ),
        (
            "threshold",
            "method = \"adapt-vis\"\nthreshold = 40",
            "threshold 40 is not possible; allowed is 0 to 1",
        ),
        (
            "sure",
            "method = \"adapt-vis\"\nsure = inf",
            "sure = inf is not possible; allowed is a finite number",
        ),
        (
            "keep",
            "method = \"vis-sink\"\nkeep = 1.2",
            "keep = 1.2 is not possible; allowed is 0 to 1",
        ),
        (
            "tau",
            "method = \"vis-sink\"\ntau = 0",
            "tau = 0 is not possible; allowed is above 0",
        ),
        (
            "dimension",
            "method = \"vis-sink\"\ndimensions = [2533]",
            "dimension 2533 is not possible; allowed is 0 to 95",
        ),
        (
            "mass",
            "method = \"softmax-off-by-one\"\nmass = -1",
            "mass -1 is not possible; allowed is 0 or above",
        ),
        (
            "initial",
            "method = \"learned-sink\"\ninitial = -inf",
            "initial -inf is not possible; allowed is a finite number",
        ),
        (
            "width",
            "method = \"dape\"\nwidth = 0",
            "width 0 is not possible; allowed is 1 or above",
        ),
    ] {
        let id = format!("misfit-{name}");
        assert_eq!(
            misfit(&format!("{id}.toml"), text),
            format!("variant `{id}`: {words}")
        );
    }
}
