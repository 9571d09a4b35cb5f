//! The layers that families share.

use rave_kernels as kernels;
use tch::{Kind, Tensor};

use crate::Error;
use crate::nn::weights::Weights;

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

    /// Weight `[output, input]`, and bias `[output]` if there is one.
    pub(crate) fn new(
        weights: &Weights,
        input: i64,
        output: i64,
        bias: bool,
    ) -> Result<Self, Error> {
        if bias {
            Self::with_bias(weights, input, output)
        } else {
            Self::without_bias(weights, input, output)
        }
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
        let [y] = Self::forward_all([self], x)?;
        Ok(y)
    }

    /// What several layers make of the same `[.., input]`: `[.., output]` each.
    pub(crate) fn forward_all<const N: usize>(
        layers: [&Self; N],
        x: &Tensor,
    ) -> Result<[Tensor; N], Error> {
        if let Some(mut products) = kernels::products(x, layers.map(|layer| &layer.weight))? {
            for (product, layer) in products.iter_mut().zip(layers) {
                if let Some(bias) = &layer.bias {
                    let _ = product.f_add_(bias)?;
                }
            }
            return Ok(products);
        }
        let each = layers.map(|layer| x.f_linear(&layer.weight, layer.bias.as_ref()));
        let mut made = Vec::with_capacity(N);
        for product in each {
            made.push(product?);
        }
        Ok(made.try_into().expect("there is one for each"))
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
        if let Some(normed) = kernels::rms_norm(x, &self.weight, self.epsilon)? {
            return Ok(normed);
        }
        let wide = x.f_to_kind(Kind::Float)?;
        let variance = wide
            .f_square()?
            .f_mean_dim([-1].as_slice(), true, Kind::Float)?;
        let scaled = wide.f_mul(&variance.f_add_scalar(self.epsilon)?.f_rsqrt()?)?;
        Ok(scaled.f_to_kind(x.kind())?.f_mul(&self.weight)?)
    }
}

/// `x + y` of one shape, in the place of x where no gradient is wanted.
pub(crate) fn plus(mut x: Tensor, y: &Tensor) -> Result<Tensor, Error> {
    Ok(if x.requires_grad() || y.requires_grad() {
        x.f_add(y)?
    } else {
        x.f_add_(y)?
    })
}

/// `x y` of one shape, in the place of x where no gradient is wanted.
pub(crate) fn times(mut x: Tensor, y: &Tensor) -> Result<Tensor, Error> {
    Ok(if x.requires_grad() || y.requires_grad() {
        x.f_mul(y)?
    } else {
        x.f_mul_(y)?
    })
}

/// Cosines and sines of the rotary embedding.
pub(crate) type Rotation = (Tensor, Tensor);

/// Rotary embedding by rotating halves: `x cos + [-x2 ; x1] sin`, same shape.
pub(crate) fn rotate(x: &Tensor, (cosine, sine): &Rotation) -> Result<Tensor, Error> {
    if let Some(rotated) = kernels::rotate(x, cosine, sine)? {
        return Ok(rotated);
    }
    let halves = x.f_chunk(2, -1)?;
    let turned = Tensor::f_cat(&[&halves[1].f_neg()?, &halves[0]], -1)?;
    Ok(x.f_mul(cosine)?.f_add(&turned.f_mul(sine)?)?)
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

    /// Takes the place of `x` where no gradient is wanted.
    pub(crate) fn apply(self, mut x: Tensor) -> Result<Tensor, Error> {
        let in_place = !x.requires_grad();
        Ok(match self {
            Self::Silu if in_place => x.f_silu_()?,
            Self::Silu => x.f_silu()?,
            Self::Gelu if in_place => x.f_gelu_("none")?,
            Self::Gelu => x.f_gelu("none")?,
            Self::GeluTanh if in_place => x.f_gelu_("tanh")?,
            Self::GeluTanh => x.f_gelu("tanh")?,
            Self::QuickGelu => x.f_mul(&x.f_mul_scalar(1.702)?.f_sigmoid()?)?,
            Self::Relu if in_place => x.f_relu_()?,
            Self::Relu => x.f_relu()?,
        })
    }
}
