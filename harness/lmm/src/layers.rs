//! The layers that families share, and how they find their tensors in a checkpoint.

use std::cell::RefCell;

use tch::{Device, Kind, Tensor};

use crate::{Checkpoint, Error};

/// A place in a checkpoint's tensor names: `&weights / "self_attn"` mirrors the checkpoint's own keys.
#[derive(Debug, Clone)]
pub(crate) struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    prefix: String,
    device: Device,
    kind: Kind,
    read: &'a RefCell<Vec<(String, Tensor)>>,
}

impl<'a> Weights<'a> {
    /// The root of a checkpoint's names; tensors are read onto `device` as `kind`, and each is noted in `read` under its
    /// name in the checkpoint, sharing storage: the model's parameters.
    pub(crate) fn new(
        checkpoint: &'a Checkpoint,
        device: Device,
        kind: Kind,
        read: &'a RefCell<Vec<(String, Tensor)>>,
    ) -> Self {
        Self {
            checkpoint,
            prefix: String::new(),
            device,
            kind,
            read,
        }
    }

    /// One tensor, checked against the shape that the config asks for.
    pub(crate) fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, Error> {
        let name = format!("{}{name}", self.prefix);
        let tensor = self
            .checkpoint
            .tensor(&name, shape, self.device, self.kind)?;
        self.read.borrow_mut().push((name, tensor.shallow_clone()));
        Ok(tensor)
    }

    /// Where the tensors go.
    pub(crate) fn device(&self) -> Device {
        self.device
    }
}

impl<'a, T: std::fmt::Display> std::ops::Div<T> for &Weights<'a> {
    type Output = Weights<'a>;

    fn div(self, name: T) -> Weights<'a> {
        Weights {
            prefix: format!("{}{name}.", self.prefix),
            ..self.clone()
        }
    }
}

/// `x W^T + b`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Weight `[output, input]` and bias `[output]`.
    pub(crate) fn with_bias(weights: &Weights, input: i64, output: i64) -> Result<Self, Error> {
        Ok(Self {
            weight: weights.tensor("weight", &[output, input])?,
            bias: Some(weights.tensor("bias", &[output])?),
        })
    }

    /// Weight `[output, input]` alone.
    pub(crate) fn without_bias(weights: &Weights, input: i64, output: i64) -> Result<Self, Error> {
        Ok(Self {
            weight: weights.tensor("weight", &[output, input])?,
            bias: None,
        })
    }

    /// A layer that shares its weight `[output, input]` with another (tied embeddings).
    pub(crate) fn tied(weight: &Tensor) -> Self {
        Self {
            weight: weight.shallow_clone(),
            bias: None,
        }
    }

    /// `[.., input]` to `[.., output]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_linear(&self.weight, self.bias.as_ref())?)
    }
}

/// Layer normalisation over the last axis.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    width: i64,
    epsilon: f64,
}

impl LayerNorm {
    pub(crate) fn new(weights: &Weights, width: i64, epsilon: f64) -> Result<Self, Error> {
        Ok(Self {
            weight: weights.tensor("weight", &[width])?,
            bias: weights.tensor("bias", &[width])?,
            width,
            epsilon,
        })
    }

    /// Same shape in and out.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_layer_norm(
            [self.width],
            Some(&self.weight),
            Some(&self.bias),
            self.epsilon,
            false,
        )?)
    }
}

/// Root-mean-square normalisation over the last axis: statistics in f32, then the compute type, then the weight, in the
/// order in which `transformers` rounds.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    weight: Tensor,
    epsilon: f64,
}

impl RmsNorm {
    pub(crate) fn new(weights: &Weights, width: i64, epsilon: f64) -> Result<Self, Error> {
        Ok(Self {
            weight: weights.tensor("weight", &[width])?,
            epsilon,
        })
    }

    /// Same shape in and out.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let wide = x.f_to_kind(Kind::Float)?;
        let variance = wide
            .f_square()?
            .f_mean_dim([-1].as_slice(), true, Kind::Float)?;
        let scaled = wide.f_mul(&variance.f_add_scalar(self.epsilon)?.f_rsqrt()?)?;
        Ok(scaled.f_to_kind(x.kind())?.f_mul(&self.weight)?)
    }
}

/// The activation functions that configs name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Silu,
    Gelu,
    GeluTanh,
    QuickGelu,
    Relu,
}

impl Activation {
    /// The function of this `transformers` name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "silu" | "swish" => Self::Silu,
            "gelu" => Self::Gelu,
            "gelu_pytorch_tanh" | "gelu_new" => Self::GeluTanh,
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            _ => return None,
        })
    }

    pub(crate) fn apply(self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(match self {
            Self::Silu => x.f_silu()?,
            Self::Gelu => x.f_gelu("none")?,
            Self::GeluTanh => x.f_gelu("tanh")?,
            Self::QuickGelu => x.f_mul(&x.f_mul_scalar(1.702)?.f_sigmoid()?)?,
            Self::Relu => x.f_relu()?,
        })
    }
}
