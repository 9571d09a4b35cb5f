//! Checkpoints, model families, the attention slot's decoder side, and greedy generation.
//!
//! A [`Model`] is a checkpoint folder in the Hugging Face layout, opened by the family that its `config.json` names. Its
//! [`Processor`] turns pictures and a question into a [`Prompt`] on any thread; the model itself belongs to one thread
//! (a LibTorch tensor is `Send`, not `Sync`). The decoder's attention is not part of the model: every call is given the
//! variant to use, so one loaded checkpoint serves all variants of a comparison.
//!
//! Shapes use the axes of [`rave_methods`]: `B` batch, `H` query heads, `G` key-value heads, `T` new tokens, `S` all tokens,
//! `V` visual tokens, `D` head dimension, `C` model width; here also `N` tiles (crops of a picture that the vision tower sees).

mod checkpoint;
mod error;
mod families;
mod inference;
mod model;
mod nn;
mod processor;
mod train;

pub use checkpoint::resolve::{checkpoint_folder, resolve};
pub use checkpoint::small_files::{geometry, preflight};
pub use checkpoint::tensors::{TensorFile, read_tensors, write_tensors};
pub use checkpoint::{
    Checkpoint, Hashes, Rehashed, adapter, built_in, check, dtype, grid, hub, import, size,
};
pub use error::Error;
pub use families::classes::{ConfigKey, KeyUse, config_keys};
pub use families::{FAMILIES, Family, Pixels, TowerOutput};
pub use grid::Grid;
pub use inference::attention;
pub use inference::generate::{Generation, GenerationOptions, Timings};
pub use inference::generation_config::{Followed, GenerationConfig, GenerationKey, GenerationKeys};
pub use inference::prefix::Prefix;
pub use inference::vision::{ImageEmbeds, TowerRun};
pub use model::{Built, LoadOptions, Model, ModelInfo, kind};
pub use nn::decoder::Probe;
pub use nn::libtorch;
pub use nn::part::Part;
pub use nn::stage::Stage;
pub use processor::picture::{MAX_PIXELS, decode};
pub use processor::prompt::{PictureLayout, Processor, Prompt, TokenRegion, rotary_positions};
pub use processor::resample::{Filter, resize};
pub use train::batch::{Batch, Example, Turn};
