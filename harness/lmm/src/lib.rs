//! Checkpoints, model families, the attention slot's decoder side, and greedy generation.
//!
//! A [`Model`] is a checkpoint folder in the Hugging Face layout, opened by the family that its `config.json` names. Its
//! [`Processor`] turns pictures and a question into a [`Prompt`] on any thread; the model itself belongs to one thread
//! (a LibTorch tensor is `Send`, not `Sync`). The decoder's attention is not part of the model: every call is given the
//! variant to use, so one loaded checkpoint serves all variants of a comparison.
//!
//! Shapes use the axes of [`rave_methods`]: `B` batch, `H` query heads, `G` key-value heads, `T` new tokens, `S` all tokens,
//! `V` visual tokens, `D` head width, `C` model width; here also `N` tiles (crops of a picture that the vision tower sees).

pub mod adapter;
pub mod attention;
pub mod built_in;
mod cache;
mod chat;
pub mod check;
mod checkpoint;
mod classes;
mod decoder;
pub mod dtype;
mod encoder;
mod error;
mod families;
mod features;
mod finite;
mod generation;
mod gguf;
pub mod grid;
pub mod hub;
mod image_config;
pub mod import;
mod layers;
pub mod libtorch;
mod matvec;
mod model;
mod part;
mod picture;
mod pointwise;
mod prefill;
mod prefix;
mod prompt;
mod resample;
mod small_files;
mod text;
mod tower;
mod training;

pub use checkpoint::{Checkpoint, Hashes};
pub use classes::{ConfigKey, KeyUse, config_keys};
pub use decoder::Probe;
pub use error::Error;
pub use families::{FAMILIES, Family, Pixels, Seen};
pub use finite::Stage;
pub use generation::{
    Followed, Generation, GenerationConfig, GenerationKey, GenerationKeys, GenerationOptions,
    Timings,
};
pub use grid::Grid;
pub use model::{
    Built, Features, LoadOptions, Model, ModelInfo, Patches, checkpoint_folder, geometry, kind,
    resolve,
};
pub use part::Part;
pub use picture::{MAX_PIXELS, decode};
pub use prefix::Prefix;
pub use prompt::{PictureLayout, Place, Processor, Prompt, rotary_positions};
pub use resample::{Filter, resize};
pub use small_files::preflight;
pub use training::{Batch, Example, TensorFile, Turn, read_tensors, write_tensors};
