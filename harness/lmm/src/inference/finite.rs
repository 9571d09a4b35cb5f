//! Where a number first is not finite. Looked for only when the logits turned out not to be: answers that go well pay nothing.

use rave_methods::Attention;
use tch::Tensor;

use crate::nn::stage::Stage;
use crate::{Error, ImageEmbeds, Model, Prompt};

impl Model {
    /// The stage that first gives a number that is not finite for a prompt and its answer so far, in one pass by itself;
    /// `None` when all do.
    pub(crate) fn first_not_finite(
        &self,
        attention: &dyn Attention,
        prompt: &Prompt,
        image_embeds: &ImageEmbeds,
        answer: &[i64],
    ) -> Result<Option<Stage>, Error> {
        if let Some(visual) = &image_embeds.output {
            for tensor in visual.deepstack.iter().chain([&visual.embeddings]) {
                if !is_finite(tensor)? {
                    return Ok(Some(Stage::Vision));
                }
            }
        }
        let mut first = None;
        let mut watch = |stage, hidden: &Tensor| {
            if first.is_none() && !is_finite(hidden)? {
                first = Some(stage);
            }
            Ok(())
        };
        let hidden = self.one_pass(
            attention,
            prompt,
            image_embeds,
            answer,
            None,
            Some(&mut watch),
        )?;
        if first.is_some() {
            return Ok(first);
        }
        let logits = self.decoder().logits(&hidden)?;
        Ok((!is_finite(&logits)?).then_some(Stage::Head))
    }
}

fn is_finite(tensor: &Tensor) -> Result<bool, Error> {
    Ok(bool::try_from(tensor.f_isfinite()?.f_all()?)?)
}
