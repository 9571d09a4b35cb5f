//! How a command that failed says so: the message, what to do about it on a line of its own, and the exit code.

use std::error::Error as StdError;

use rave_benchmarks::render::RenderError;
use rave_hints::Refusal;

use crate::is_closed_pipe;

/// What each library says that is to be done about an error of its own.
const HINTS: [fn(&(dyn StdError + 'static)) -> Option<String>; 9] = [
    |cause| cause.downcast_ref::<Refusal>()?.hint(),
    |cause| cause.downcast_ref::<rave_engine::Error>()?.hint(),
    |cause| cause.downcast_ref::<rave_results::Error>()?.hint(),
    |cause| cause.downcast_ref::<rave_reports::Error>()?.hint(),
    |cause| cause.downcast_ref::<rave_benchmarks::Error>()?.hint(),
    |cause| cause.downcast_ref::<RenderError>()?.hint(),
    |cause| cause.downcast_ref::<rave_lmm::Error>()?.hint(),
    |cause| cause.downcast_ref::<rave_methods::Error>()?.hint(),
    |cause| cause.downcast_ref::<rave_hub::Error>()?.hint(),
];

/// Prints an error with its causes and chooses the exit code.
pub fn tell(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(is_closed_pipe)
    }) {
        return 0;
    }
    eprintln!("error: {}", message(error));
    if let Some(hint) = hint(error) {
        eprintln!("hint: {hint}");
    }
    exit_code(error)
}

/// 2 for a fault of ours, 1 for bad input.
fn exit_code(error: &anyhow::Error) -> u8 {
    let is_ours = |cause: &(dyn StdError + 'static)| {
        cause.is::<tch::TchError>()
            || cause
                .downcast_ref::<rave_engine::Error>()
                .is_some_and(rave_engine::Error::is_fault)
    };
    if error.chain().any(is_ours) { 2 } else { 1 }
}

/// What to do: of the outermost cause that knows.
fn hint(error: &anyhow::Error) -> Option<String> {
    // A context is no link of the chain by its own type.
    let own = error.downcast_ref::<Refusal>().and_then(Refusal::hint);
    let mut causes = error.chain();
    own.or_else(|| causes.find_map(|cause| HINTS.iter().find_map(|hint| hint(cause))))
}

/// An error with those causes that it does not already quote.
fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            if !text.is_empty() {
                text += ": ";
            }
            text += &cause;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use rave_hints::refusal;

    use super::*;

    #[test]
    fn a_fault_of_ours_exits_2_and_bad_input_1() {
        let fault = rave_engine::Error::Fault("a thread is gone");
        assert_eq!(exit_code(&fault.into()), 2);
        let request = rave_engine::Error::Request {
            message: "--limit 0".into(),
            hint: None,
        };
        assert_eq!(exit_code(&request.into()), 1);
    }

    #[test]
    fn every_library_is_asked_for_its_hint() {
        let name = "org/name/more".parse::<rave_hub::Reference>();
        let hub = || rave_hub::Error::NotCached {
            what: "org/name".into(),
            folder: "cache".into(),
        };
        let errors: [anyhow::Error; 7] = [
            rave_methods::variant("raev").expect_err("unknown").into(),
            rave_benchmarks::suite("docvq").expect_err("unknown").into(),
            RenderError::PatchSize(5).into(),
            name.expect_err("no reference").into(),
            rave_lmm::Error::from(hub()).into(),
            rave_benchmarks::Error::from(hub()).into(),
            rave_engine::Error::from(RenderError::PatchSize(5)).into(),
        ];
        for error in errors {
            let hint = hint(&error).expect("a hint");
            assert!(!message(&error).contains(&hint), "{error:?}: {hint}");
        }
    }

    #[test]
    fn the_hint_stands_apart_from_the_message_however_deep_it_is() {
        let results = || rave_results::Error::NoRuns;
        for error in [
            anyhow::Error::from(results()),
            rave_engine::Error::from(results()).into(),
            rave_reports::Error::from(results()).into(),
            anyhow::Error::from(results()).context("rave report"),
        ] {
            assert!(message(&error).ends_with("no run given"), "{error:?}");
            assert_eq!(
                hint(&error).as_deref(),
                Some("name at least one run folder")
            );
        }
        let cause = std::io::Error::other("no such file");
        let own = Err::<(), _>(cause).context(refusal("cannot read a.png", "check the path"));
        let own = own.expect_err("it is an error");
        assert_eq!(message(&own), "cannot read a.png: no such file");
        assert_eq!(hint(&own).as_deref(), Some("check the path"));
    }
}
