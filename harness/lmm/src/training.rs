//! What training needs of a model beyond inference: batches of prompts with their answers, logits with a gradient, and
//! writing the trained weights as a checkpoint.
//!
//! Prompts of one batch are padded on the right. Attention is causal, so no token before the padding ever sees it; its own
//! outputs are not read.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::rc::Rc;

use rave_methods::{Attention, Tokens};
use safetensors::tensor::Dtype;
use safetensors::{SafeTensorError, SafeTensors};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::checkpoint::{Checkpoint, SINGLE, floating};
use crate::decoder::Pass;
use crate::families::{Pixels, Seen};
use crate::model::Embedded;
use crate::{Error, Model, Part, Prompt};

/// A prompt with what the model is to answer it with, and perhaps further questions with theirs.
#[derive(Debug, Clone)]
pub struct Example {
    /// The prompt.
    pub prompt: Prompt,
    /// The turns of the assistant, at least one.
    pub turns: Vec<Turn>,
}

/// One answer within a conversation.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The answer's token ids, the end token last.
    pub answer: Vec<i64>,
    /// The ids from there to the next answer: the next question and the cue. Empty after the last answer.
    pub next: Vec<i64>,
}

impl Example {
    /// Token ids of the whole conversation, and which of them are answers.
    fn ids(&self) -> (Vec<i64>, Vec<Option<usize>>) {
        let mut ids = self.prompt.ids.clone();
        let mut turn_of = vec![None; ids.len()];
        for (number, turn) in self.turns.iter().enumerate() {
            ids.extend(&turn.answer);
            turn_of.resize(ids.len(), Some(number));
            ids.extend(&turn.next);
            turn_of.resize(ids.len(), None);
        }
        (ids, turn_of)
    }
}

/// Examples as tensors on a model's device.
#[derive(Debug)]
pub struct Batch {
    /// Token ids `[B, T]`, each conversation without its last token, then padding.
    ids: Tensor,
    /// What they are, and where each prompt ends.
    tokens: Rc<Tokens>,
    /// The pictures of all prompts.
    pub pixels: Pixels,
    /// Where the answers' tokens are predicted: indices into B x T, `[M]`.
    places: Tensor,
    /// The tokens to predict there, `[M]`.
    pub targets: Tensor,
    /// Which example each of the M predictions belongs to; `None` for those of further questions.
    pub owners: Vec<Option<usize>>,
}

impl Model {
    /// Puts examples together for one pass.
    ///
    /// # Errors
    /// When LibTorch refuses an operation.
    pub fn batch(&self, examples: &[Example]) -> Result<Batch, Error> {
        let device = self.network().decoder().options().1;
        let conversations: Vec<_> = examples.iter().map(Example::ids).collect();
        let prompts: Vec<_> = examples.iter().map(|example| &example.prompt).collect();
        let more: Vec<_> = prompts
            .iter()
            .zip(&conversations)
            .map(|(prompt, (ids, _))| &ids[prompt.ids.len()..ids.len() - 1])
            .collect();
        let tokens = self.tokens(&prompts, &more, false);
        let longest = tokens.stored();
        let mut all = vec![0; examples.len() * longest];
        let (mut places, mut targets, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (ids, turn_of)) in conversations.iter().enumerate() {
            let start = row * longest;
            all[start..start + ids.len() - 1].copy_from_slice(&ids[..ids.len() - 1]);
            for (place, turn) in turn_of.iter().enumerate() {
                if let Some(turn) = turn {
                    // A token is predicted at the one before it.
                    places.push((start + place - 1) as i64);
                    targets.push(ids[place]);
                    owners.push((*turn == 0).then_some(row));
                }
            }
        }
        let shape = [examples.len() as i64, longest as i64];
        Ok(Batch {
            ids: Tensor::f_from_slice(&all)?
                .f_view(shape)?
                .f_to_device(device)?,
            tokens: Rc::new(tokens),
            pixels: self.pixels(&prompts)?,
            places: Tensor::f_from_slice(&places)?.f_to_device(device)?,
            targets: Tensor::f_from_slice(&targets)?.f_to_device(device)?,
            owners,
        })
    }

    /// What the vision tower makes of pictures, with a gradient.
    ///
    /// # Errors
    /// When LibTorch refuses an operation.
    pub fn look(&self, pixels: &Pixels) -> Result<Seen, Error> {
        self.network().look(pixels, None)
    }

    /// Logits `[M, vocabulary]` in f32 of a batch's answers, given what the tower made of its pictures, with a gradient.
    ///
    /// # Errors
    /// When LibTorch refuses an operation.
    pub fn answer_logits(
        &self,
        attention: &dyn Attention,
        batch: &Batch,
        seen: &Seen,
    ) -> Result<Tensor, Error> {
        let decoder = self.network().decoder();
        let visual = self.network().connect(seen)?;
        let Embedded { embeddings, deep } = self.embed(&batch.ids, &batch.tokens, Some(&visual))?;
        let pass = Pass::new(attention, Some(Rc::clone(&batch.tokens)), &deep);
        let hidden = decoder.forward(&embeddings, None, pass)?; // [B, T, C]
        let hidden = hidden.f_flatten(0, 1)?.f_index_select(0, &batch.places)?; // [M, C]
        Ok(decoder.logits(&hidden)?.f_to_kind(Kind::Float)?)
    }

    /// Floating-point operations of the matrix products of one training step on a batch: two a weight and position in every
    /// pass, for the decoder's attention as if no score were masked. Padding counts: it is computed. Passes of the vision tower,
    /// and of the connector and decoder: 0 when it is not run, 1 forwards, 2 with the gradient of its activations, 3 with its
    /// weights'.
    pub fn step_operations(&self, batch: &Batch, vision_passes: f64, decoder_passes: f64) -> f64 {
        let [conversations, positions] = [batch.ids.size()[0], batch.ids.size()[1]];
        let tokens = (conversations * positions) as f64;
        let patches = batch.pixels.patches(self.network().patch_size()) as f64;
        let visual = batch
            .tokens
            .visual()
            .iter()
            .filter(|&&visual| visual)
            .count() as f64;
        let answers = batch.targets.size()[0] as f64;
        // A model without a head of its own answers with its embedding.
        let has_head = self
            .parameters()
            .iter()
            .any(|(name, _)| self.part(name) == Some(Part::Head));
        let mut operations = 0.0;
        for (name, tensor) in self.parameters() {
            let uses = match self.part(name) {
                Some(Part::Vision) => patches * vision_passes,
                Some(Part::Connector) => visual * decoder_passes,
                Some(Part::Decoder) => tokens * decoder_passes,
                Some(Part::Head) => answers * decoder_passes,
                Some(Part::Embedding) if !has_head => answers * decoder_passes,
                Some(Part::Embedding | Part::VisionTable) | None => 0.0,
            };
            // What has one axis is added or scales.
            if tensor.dim() > 1 {
                operations += 2.0 * tensor.numel() as f64 * uses;
            }
        }
        let geometry = self.network().decoder().geometry();
        let wide = (geometry.heads * geometry.head_width) as f64;
        operations
            + 4.0 * decoder_passes * tokens * positions as f64 * wide * geometry.layers as f64
    }

    /// Copies the vision tower of another checkpoint of the same sizes into this model.
    ///
    /// # Errors
    /// A checkpoint that cannot be read; a tensor of the tower that it lacks or has in another shape.
    pub fn take_vision(&self, folder: &Path) -> Result<(), Error> {
        let other = Checkpoint::open(folder)?;
        let (kind, device) = self.network().decoder().options();
        let tower = self
            .parameters()
            .iter()
            .filter(|(name, _)| self.is_vision(name));
        for (name, tensor) in tower {
            let shape = tensor.size();
            let values = other.tensor(name, &shape, device, kind)?;
            tch::no_grad(|| tensor.shallow_clone().f_copy_(&values))?;
        }
        Ok(())
    }

    /// Side of a patch of [`Self::look`], in pixels.
    pub fn patch_size(&self) -> usize {
        self.network().patch_size() as usize
    }

    /// Whether the parameter of this name belongs to the vision tower.
    pub fn is_vision(&self, parameter: &str) -> bool {
        self.part(parameter).is_some_and(Part::is_vision)
    }

    /// Writes the model as a checkpoint folder in the layout it was opened from: its parameters in the element types they are
    /// stored in there, those in `trained` from here, tensors that it does not use (layers of a tower beyond those whose features
    /// are taken) as they are there, and copies of its config, tokenizer and processor files. With
    /// `apart` the vision tower is a file of its own, so that checkpoints that share a tower share the file's bytes. `note` goes
    /// into `rave.json`, where records find it.
    ///
    /// # Errors
    /// A file that cannot be copied or written, naming it.
    pub fn save(
        &self,
        folder: &Path,
        trained: &[(String, Tensor)],
        apart: bool,
        note: &Value,
    ) -> Result<(), Error> {
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        std::fs::create_dir_all(folder).map_err(write(folder))?;
        let origin = Checkpoint::open(&self.info().folder)?;
        for name in origin.companions() {
            let target = folder.join(&name);
            let parent = target.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent).map_err(write(parent))?;
            let mut source = std::fs::File::open(origin.path(&name)).map_err(write(&target))?;
            rave_files::replace(&target, |file| std::io::copy(&mut source, file).map(drop))
                .map_err(write(&target))?;
        }
        let trained: HashMap<_, _> = trained
            .iter()
            .map(|(name, tensor)| (name, tensor))
            .collect();
        let mut files: BTreeMap<&str, Vec<(String, Tensor)>> = BTreeMap::new();
        for (name, tensor) in self.parameters() {
            let file = match (apart, self.is_vision(name)) {
                (false, _) => SINGLE,
                (true, true) => "model-00001-of-00002.safetensors",
                (true, false) => REST_APART,
            };
            let tensor = trained.get(name).copied().unwrap_or(tensor);
            let stored = tensor.f_to_kind(origin.kind(name).unwrap_or(Kind::Float))?;
            files.entry(file).or_default().push((name.clone(), stored));
        }
        for name in origin.names().filter(|name| self.part(name).is_none()) {
            if let Some(tensor) = origin.stored(name)? {
                let file = if apart { REST_APART } else { SINGLE };
                files
                    .entry(file)
                    .or_default()
                    .push((name.to_owned(), tensor));
            }
        }
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        for (file, tensors) in &files {
            write_tensors(&folder.join(file), tensors, &metadata)?;
        }
        if apart {
            let places = files.iter().flat_map(|(file, tensors)| {
                tensors
                    .iter()
                    .map(move |(name, _)| (name.clone(), json!(file)))
            });
            let places: BTreeMap<_, _> = places.collect();
            let size =
                |(_, tensor): &(String, Tensor)| tensor.numel() * tensor.kind().elt_size_in_bytes();
            let total: usize = files.values().flatten().map(size).sum();
            let index = json!({ "metadata": { "total_size": total }, "weight_map": places });
            let path = folder.join("model.safetensors.index.json");
            rave_files::replace(&path, |file| writeln!(file, "{index:#}")).map_err(write(&path))?;
        }
        let path = folder.join(crate::built_in::MARKER);
        rave_files::replace(&path, |file| writeln!(file, "{note:#}")).map_err(write(&path))
    }
}

/// Those that are not the vision tower's, where that has a file of its own.
const REST_APART: &str = "model-00002-of-00002.safetensors";

/// Writes tensors to a safetensors file in their own element types (f32, f16 or bf16), as a
/// whole or not at all ([`rave_files::replace`]).
///
/// # Errors
/// When the file cannot be written, naming it.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let mut values = tensors
        .iter()
        .map(|(name, tensor)| {
            let (tensor, dtype) = match tensor.kind() {
                Kind::BFloat16 => (tensor.shallow_clone(), Dtype::BF16),
                Kind::Half => (tensor.shallow_clone(), Dtype::F16),
                _ => (tensor.f_to_kind(Kind::Float)?, Dtype::F32),
            };
            let tensor = tensor
                .f_detach()?
                .f_to_device(Device::Cpu)?
                .f_contiguous()?;
            let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
            tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
            let shape: Vec<usize> = tensor.size().iter().map(|&size| size as usize).collect();
            Ok((name, shape, dtype, bytes))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let failed = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    // Largest elements first, then by name, as the library does.
    values.sort_by(|(a, _, first, _), (b, _, second, _)| second.cmp(first).then(a.cmp(b)));
    let header = header(&values, metadata);
    rave_files::replace(path, |file| {
        let mut file = BufWriter::new(file);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for (.., bytes) in &values {
            file.write_all(bytes)?;
        }
        file.flush()
    })
    .map_err(failed)
}

/// The name, shape, type and bytes of a tensor.
type Stored<'a> = (&'a String, Vec<usize>, Dtype, Vec<u8>);

/// The header of a safetensors file: what the library writes, but with the metadata in the order of its keys, so that equal contents
/// are equal bytes. The library has it in that of a hash map.
fn header(values: &[Stored], metadata: &BTreeMap<String, String>) -> String {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), json!(metadata));
    let mut start = 0;
    for (name, shape, dtype, bytes) in values {
        let end = start + bytes.len();
        let place = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        header.insert((*name).clone(), place);
        start = end;
    }
    let mut text = Value::Object(header).to_string();
    // The tensors begin at a multiple of eight bytes.
    let length = text.len().next_multiple_of(8);
    text.extend(std::iter::repeat_n(' ', length - text.len()));
    text
}

/// What a safetensors file holds.
#[derive(Debug)]
pub struct TensorFile {
    /// The tensors by name.
    pub tensors: HashMap<String, Tensor>,
    /// What the file says of itself.
    pub metadata: BTreeMap<String, String>,
}

/// Reads all tensors of a safetensors file, and its metadata.
///
/// # Errors
/// When the file cannot be read or is damaged, naming it.
pub fn read_tensors(path: &Path) -> Result<TensorFile, Error> {
    let bytes = Error::read(path)?;
    let damaged = |error: SafeTensorError| {
        Error::malformed(
            path,
            format!("not a valid safetensors file ({error}); fetch or make it again"),
        )
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let tensors = file
        .iter()
        .map(|(name, view)| {
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            let Some(kind) = floating(view.dtype()) else {
                let reason = format!(
                    "`{name}` is {:?}, not a floating-point type; F32, F16 and BF16 can be loaded",
                    view.dtype()
                );
                return Err(Error::malformed(path, reason));
            };
            Ok((
                name.to_owned(),
                Tensor::f_from_data_size(view.data(), &shape, kind)?,
            ))
        })
        .collect::<Result<_, _>>()?;
    Ok(TensorFile {
        tensors,
        metadata: header
            .metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use safetensors::tensor::TensorView;

    use super::*;

    #[test]
    fn a_file_is_what_the_library_writes_with_its_metadata_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let tensors = [
            ("b.half", Tensor::from_slice(&[1.5_f32]).to_kind(Kind::Half)),
            (
                "b.float",
                Tensor::from_slice2(&[[1.0_f32, 2.0], [3.0, 4.0]]),
            ),
            (
                "a.brain",
                Tensor::from_slice(&[2.0_f32; 3]).to_kind(Kind::BFloat16),
            ),
            ("a.float", Tensor::from_slice(&[0.0_f32; 0])),
        ]
        .map(|(name, tensor)| (name.to_owned(), tensor));
        let write = |keys: &[&str]| {
            let metadata = keys
                .iter()
                .map(|key| ((*key).to_owned(), format!("of {key}")));
            write_tensors(&path, &tensors, &metadata.collect()).unwrap();
            std::fs::read(&path).unwrap()
        };
        let own = write(&["format"]);
        let file = SafeTensors::deserialize(&own).unwrap();
        let views = file.iter().map(|(name, view)| {
            let view = TensorView::new(view.dtype(), view.shape().to_vec(), view.data());
            (name.to_owned(), view.unwrap())
        });
        let metadata = HashMap::from([("format".to_owned(), "of format".to_owned())]);
        assert!(safetensors::serialize(views, Some(metadata)).unwrap() == own);
        let many = write(&["variant", "base", "version", "options"]);
        let start = br#"{"__metadata__":{"base":"of base","options":"of options","variant":"of variant","version":"of version"},"#;
        assert!(many[8..].starts_with(start));
        assert_eq!(read_tensors(&path).unwrap().metadata.len(), 4);
    }
}
