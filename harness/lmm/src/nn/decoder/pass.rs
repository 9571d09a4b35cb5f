//! What one pass of the decoder is given besides the embeddings, and who looks on.

use std::rc::Rc;
use std::time::Instant;

use rave_methods::{Attention, Step, Tokens};
use tch::Tensor;

use crate::Error;
use crate::nn::stage::Stage;

/// What one pass of the decoder sees besides the embeddings.
pub(crate) struct Pass<'a, 'p> {
    /// The attention variant.
    pub attention: &'a dyn Attention,
    /// The tokens of a first pass, or of one after a prefix that all layers have stored; `None` for one more text token in every sequence, after what the cache holds.
    pub tokens: Option<Rc<Tokens>>,
    /// What is added to the output of the first layers, one after the other, `[B, T, C]` each.
    pub deepstack: &'a [Tensor],
    /// The tokens whose hidden states are asked for, M indices into B x T; `None` for all. The last layer does nothing for others but
    /// their keys and values.
    pub wanted: Option<&'a Tensor>,
    /// Is shown every layer's inputs and stored keys.
    pub probe: Option<&'a mut Probe<'p>>,
    /// Is shown the hidden states of every stage.
    pub watch: Option<&'a mut Watch<'p>>,
    /// No layer begins after it.
    pub deadline: Option<Instant>,
}

impl<'a> Pass<'a, '_> {
    /// A pass that nobody looks into and that takes the time it takes.
    pub(crate) fn new(
        attention: &'a dyn Attention,
        tokens: Option<Rc<Tokens>>,
        deepstack: &'a [Tensor],
    ) -> Self {
        Self {
            attention,
            tokens,
            deepstack,
            wanted: None,
            probe: None,
            watch: None,
            deadline: None,
        }
    }

    pub(super) fn show(&mut self, stage: Stage, hidden: &Tensor) -> Result<(), Error> {
        match &mut self.watch {
            Some(watch) => watch(stage, hidden),
            None => Ok(()),
        }
    }
}

/// Looks at the hidden states `[B, T, C]` as they come out of a stage. It changes nothing.
pub(crate) type Watch<'a> = dyn FnMut(Stage, &Tensor) -> Result<(), Error> + 'a;

/// Looks at a layer between its projections: the attention, its inputs, and the keys that it has stored. It changes nothing.
pub type Probe<'a> =
    dyn FnMut(&dyn Attention, &Step, &Tensor) -> Result<(), rave_methods::Error> + 'a;
