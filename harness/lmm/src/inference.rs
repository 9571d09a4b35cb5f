//! Answers: the vision side, the prompt's pass, greedy decoding, shared beginnings of prompts, and probes of the attention.

pub mod attention;
mod finite;
mod forward;
pub(crate) mod generate;
pub(crate) mod generation_config;
pub(crate) mod input;
mod prefill;
pub(crate) mod prefix;
pub(crate) mod vision;
