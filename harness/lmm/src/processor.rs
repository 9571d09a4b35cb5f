//! From pictures and a question to a prompt: decoding and resampling, chat template, tokenizer, image processor's config.

mod chat;
pub(crate) mod image_config;
pub(crate) mod picture;
pub(crate) mod prompt;
pub(crate) mod resample;
pub(crate) mod text;
