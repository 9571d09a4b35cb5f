//! `AdamW` with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101) over one flat vector of f32 master weights.
//!
//! The model computes in its own type, bf16 or f32; every step the gradients are gathered into one f32 vector, the master
//! weights move, and the model's tensors are refreshed from them. LibTorch's own optimiser keeps no state that can be
//! saved, and an exact resume needs the moments.

use rave_lmm::Error;
use tch::{Device, Kind, Tensor, no_grad};

/// Decay of the first and second moment, and what keeps the division finite.
const BETAS: (f64, f64) = (0.9, 0.98);
const EPSILON: f64 = 1e-8;

/// Parameters that have a learning rate and a weight decay of their own.
pub(super) struct Group {
    /// The model's tensors by name, which share storage with the model.
    pub(super) parameters: Vec<(String, Tensor)>,
    /// Decoupled weight decay of its matrices.
    pub(super) weight_decay: f64,
}

/// Where a group lies in the flat vectors.
struct Span {
    start: i64,
    length: i64,
    weight_decay: f64,
}

/// Lengths (2-norms) of a group's gradient before clipping and of its weights after the step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Norms {
    pub(super) gradient: f64,
    pub(super) weights: f64,
}

/// The optimiser and the weights it moves.
pub(super) struct AdamW {
    /// The model's tensors by name, in the order of the flat vectors; leaves that ask for a gradient.
    parameters: Vec<(String, Tensor)>,
    /// `[P]` f32 each.
    pub(super) master: Tensor,
    pub(super) first: Tensor,
    pub(super) second: Tensor,
    /// 1 where weight decay applies (matrices), 0 elsewhere (norms, biases), `[P]`.
    decayed: Tensor,
    spans: Vec<Span>,
}

impl AdamW {
    /// Takes over groups of tensors, in order, and asks for their gradients.
    pub(super) fn new(groups: Vec<Group>) -> Result<Self, Error> {
        let mut spans: Vec<Span> = Vec::new();
        let mut parameters = Vec::new();
        for group in groups {
            let own = group.parameters.iter().map(|(_, tensor)| tensor.numel());
            spans.push(Span {
                start: spans.last().map_or(0, |span| span.start + span.length),
                length: own.sum::<usize>() as i64,
                weight_decay: group.weight_decay,
            });
            parameters.extend(group.parameters);
        }
        let flat =
            |value: &Tensor| Ok(value.f_detach()?.f_to_kind(Kind::Float)?.f_reshape([-1])?);
        let masters = parameters
            .iter()
            .map(|(_, tensor)| flat(tensor))
            .collect::<Result<Vec<_>, Error>>()?;
        let decayed = masters
            .iter()
            .zip(&parameters)
            .map(|(master, (_, tensor))| {
                let matrix = if tensor.dim() > 1 { 1.0 } else { 0.0 };
                Ok(master.f_full_like(matrix)?)
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let master = Tensor::f_cat(&masters, 0)?;
        let parameters = parameters
            .into_iter()
            .map(|(name, tensor)| (name, tensor.set_requires_grad(true)))
            .collect();
        Ok(Self {
            parameters,
            first: master.f_zeros_like()?,
            second: master.f_zeros_like()?,
            decayed: Tensor::f_cat(&decayed, 0)?,
            master,
            spans,
        })
    }

    /// Number of weights that move.
    pub(super) fn len(&self) -> i64 {
        self.master.size()[0]
    }

    /// The gradient of a scalar loss, `[P]` f32.
    pub(super) fn gradient(&self, loss: &Tensor) -> Result<Tensor, Error> {
        let leaves: Vec<_> = self.parameters.iter().map(|(_, tensor)| tensor).collect();
        let gradients = Tensor::f_run_backward(&[loss], &leaves, false, false)?
            .into_iter()
            .map(|gradient| Ok(gradient.f_to_kind(Kind::Float)?.f_reshape([-1])?))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Tensor::f_cat(&gradients, 0)?)
    }

    /// One step, the `number`th counted from 1, along a gradient of which each group's part is scaled down to length `max_norm` where
    /// longer; every group at its own rate. Gives the norms of each group; a gradient that is not finite moves nothing.
    pub(super) fn step(
        &mut self,
        gradient: &Tensor,
        number: u64,
        rates: &[f64],
        max_norm: f64,
    ) -> Result<Vec<Norms>, Error> {
        no_grad(|| {
            let parts = self.spans.iter();
            let mut norms = parts
                .map(|span| {
                    let own = gradient.f_narrow(0, span.start, span.length)?;
                    Ok(Norms {
                        gradient: f64::try_from(own.f_norm()?)?,
                        weights: f64::NAN,
                    })
                })
                .collect::<Result<Vec<_>, Error>>()?;
            if norms.iter().any(|norms| !norms.gradient.is_finite()) {
                return Ok(norms);
            }
            for ((span, norms), &rate) in self.spans.iter().zip(&mut norms).zip(rates) {
                let part = |whole: &Tensor| whole.f_narrow(0, span.start, span.length);
                let gradient =
                    part(gradient)?.f_mul_scalar((max_norm / norms.gradient).min(1.0))?;
                let (mut master, mut first, mut second) =
                    (part(&self.master)?, part(&self.first)?, part(&self.second)?);
                let (beta1, beta2) = BETAS;
                let correct =
                    |beta: f64| 1.0 - beta.powi(i32::try_from(number).unwrap_or(i32::MAX));
                let _ = first.f_lerp_(&gradient, 1.0 - beta1)?;
                let _ = second.f_lerp_(&gradient.f_square()?, 1.0 - beta2)?;
                let spread = (&second / correct(beta2))
                    .f_sqrt_()?
                    .f_add_scalar_(EPSILON)?;
                let decay = &master * part(&self.decayed)? * (rate * span.weight_decay);
                let _ = master.f_sub_(&decay)?;
                let change = first.f_div(&spread)? * (rate / correct(beta1));
                let _ = master.f_sub_(&change)?;
                norms.weights = f64::try_from(master.f_norm()?)?;
            }
            self.refresh()?;
            Ok(norms)
        })
    }

    /// Copies the master weights into the model's tensors.
    pub(super) fn refresh(&mut self) -> Result<(), Error> {
        no_grad(|| {
            let mut start = 0;
            for (_, tensor) in &mut self.parameters {
                let count = tensor.numel() as i64;
                let values = self.master.f_narrow(0, start, count)?;
                tensor.f_copy_(&values.f_view(tensor.size().as_slice())?)?;
                start += count;
            }
            Ok(())
        })
    }

    /// The master weights by name, as views.
    pub(super) fn weights(&self) -> Result<Vec<(String, Tensor)>, Error> {
        let mut start = 0;
        self.parameters
            .iter()
            .map(|(name, tensor)| {
                let count = tensor.numel() as i64;
                let values = self.master.f_narrow(0, start, count)?;
                start += count;
                Ok((name.clone(), values.f_view(tensor.size().as_slice())?))
            })
            .collect()
    }

    /// Where the flat vectors live.
    pub(super) fn device(&self) -> Device {
        self.master.device()
    }
}
