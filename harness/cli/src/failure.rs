//! How a command that failed says so: the message, what to do about it on a line of its own, and the exit code.

use std::error::Error as StdError;
use std::process::ExitCode;

use crate::is_closed_pipe;

/// An error of the command line itself, with what to do about it apart.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    message: String,
    hint: String,
}

/// An error, or the context of one, with what to do about it.
pub fn refusal(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal {
        message: message.into(),
        hint: hint.into(),
    }
}

/// Prints an error with its causes and chooses the exit code.
pub fn tell(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(is_closed_pipe)
    }) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {}", message(error));
    if let Some(hint) = hint(error) {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(exit_code(error))
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
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return Some(refusal.hint.clone());
    }
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<rave_engine::Error>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<rave_results::Error>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<rave_reports::Error>() {
            return error.hint();
        }
        cause.downcast_ref::<rave_lmm::Error>()?.hint()
    })
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
