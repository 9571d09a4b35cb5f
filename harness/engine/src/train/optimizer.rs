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
    weight_decay: f64,
}

impl AdamW {
    /// Takes over tensors that share storage with a model, and asks for their gradients.
    pub(super) fn new(parameters: Vec<(String, Tensor)>, weight_decay: f64) -> Result<Self, Error> {
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
            weight_decay,
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

    /// One step, the `number`th counted from 1, along a gradient that is scaled down to length `clip` where it is longer.
    /// Returns the length that the gradient had; a length that is not finite moves nothing.
    pub(super) fn step(
        &mut self,
        gradient: &Tensor,
        number: u64,
        rate: f64,
        clip: f64,
    ) -> Result<f64, Error> {
        no_grad(|| {
            let length = f64::try_from(gradient.f_norm()?)?;
            if !length.is_finite() {
                return Ok(length);
            }
            let gradient = gradient.f_mul_scalar((clip / length).min(1.0))?;
            let (beta1, beta2) = BETAS;
            let correct = |beta: f64| 1.0 - beta.powi(i32::try_from(number).unwrap_or(i32::MAX));
            let _ = self.first.f_lerp_(&gradient, 1.0 - beta1)?;
            let _ = self.second.f_lerp_(&gradient.f_square()?, 1.0 - beta2)?;
            let spread = (&self.second / correct(beta2))
                .f_sqrt_()?
                .f_add_scalar_(EPSILON)?;
            let decay = &self.master * &self.decayed * (rate * self.weight_decay);
            let _ = self.master.f_sub_(&decay)?;
            let change = self.first.f_div(&spread)? * (rate / correct(beta1));
            let _ = self.master.f_sub_(&change)?;
            self.refresh()?;
            Ok(length)
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
