//! How a network finds its tensors in a checkpoint.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Bound::{Included, Unbounded};

use rave_hints::refusal;
use tch::{Device, Kind, Tensor};

use crate::{Checkpoint, Error, Part};

/// A tensor of a model.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// Its name in the checkpoint.
    pub name: String,
    /// What it belongs to.
    pub part: Part,
    /// Its values, sharing storage with the model.
    pub tensor: Tensor,
}

/// A checkpoint that a model is read from, and what has been asked of it.
#[derive(Debug)]
pub(crate) struct Root<'a> {
    checkpoint: &'a Checkpoint,
    /// Whether nothing is read: every tensor is there, in the shape that is asked for, and takes no memory.
    is_plan: bool,
    /// The names of the tensors that there are.
    names: BTreeSet<&'a str>,
    device: Device,
    kind: Kind,
    read: RefCell<Vec<Parameter>>,
    unused: RefCell<Vec<(String, Vec<i64>)>>,
}

/// More than any model has: the largest have some ten thousand. Where no tensor need be there, a config could ask for tensors
/// without end.
const MAX_TENSORS: usize = 100_000;

/// The tensors that a model is made of, as its network asks for them.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Name and shape of those that it computes with.
    pub used: Vec<(String, Vec<i64>)>,
    /// Those that `transformers` has as well: layers of a tower beyond the last one whose output is taken.
    pub unused: Vec<(String, Vec<i64>)>,
}

impl<'a> Root<'a> {
    /// Tensors are read onto `device` as `kind`.
    pub(crate) fn new(checkpoint: &'a Checkpoint, device: Device, kind: Kind) -> Self {
        Self {
            checkpoint,
            is_plan: false,
            names: checkpoint.names().collect(),
            device,
            kind,
            read: RefCell::default(),
            unused: RefCell::default(),
        }
    }

    /// Nothing is read: what a network asks for becomes the plan of the tensors that it needs, under those of its names that
    /// `names` holds.
    pub(crate) fn plan(checkpoint: &'a Checkpoint, names: impl Iterator<Item = &'a str>) -> Self {
        Self {
            is_plan: true,
            names: names.collect(),
            ..Self::new(checkpoint, Device::Cpu, Kind::Float)
        }
    }

    /// Where the tensors of a part are: under the longest of the names that the checkpoint knows. Layouts differ between versions
    /// of `transformers`; when none fits, the first is what an error then names: that of the hub's files.
    pub(crate) fn at(&'a self, part: Part, names: &[&str]) -> Weights<'a> {
        let known = names.iter().filter(|name| self.holds(name));
        let known = known.max_by_key(|name| name.len());
        Weights {
            root: self,
            part,
            prefix: format!("{}.", known.unwrap_or(&names[0])),
            is_used: true,
        }
    }

    /// Where the vocabulary head is, under one of the names; `None` when it is tied to the embedding and not stored.
    pub(crate) fn head(&'a self, names: &[&str], tied: bool) -> Option<Weights<'a>> {
        (!tied || names.iter().any(|name| self.holds(name))).then(|| self.at(Part::Head, names))
    }

    /// A tensor that stands alone, under the first of the names that the checkpoint knows, else the first.
    pub(crate) fn tensor(
        &'a self,
        part: Part,
        names: &[&str],
        shape: &[i64],
    ) -> Result<Tensor, Error> {
        let known = names.iter().find(|name| self.names.contains(*name));
        let top = Weights {
            root: self,
            part,
            prefix: String::new(),
            is_used: true,
        };
        top.tensor(known.unwrap_or(&names[0]), shape)
    }

    /// Everything that was read: the model's parameters.
    pub(crate) fn into_parameters(self) -> Vec<Parameter> {
        self.read.into_inner()
    }

    /// What was asked for, sorted by name.
    pub(crate) fn into_plan(self) -> Plan {
        let read = self.read.into_inner().into_iter();
        let mut used: Vec<_> = read.map(|own| (own.name, own.tensor.size())).collect();
        let mut unused = self.unused.into_inner();
        used.sort();
        unused.sort();
        Plan { used, unused }
    }

    fn holds(&self, name: &str) -> bool {
        let prefix = format!("{name}.");
        let mut from = self
            .names
            .range::<str, _>((Included(&prefix[..]), Unbounded));
        from.next()
            .is_some_and(|tensor| tensor.starts_with(&prefix))
    }
}

/// A place in a checkpoint's tensor names: `&weights / "self_attn"` mirrors the checkpoint's own keys.
#[derive(Debug, Clone)]
pub(crate) struct Weights<'a> {
    root: &'a Root<'a>,
    part: Part,
    prefix: String,
    is_used: bool,
}

impl Weights<'_> {
    /// One tensor, checked against the shape that the config asks for.
    pub(crate) fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, Error> {
        let name = format!("{}{name}", self.prefix);
        let root = self.root;
        let asked = root.read.borrow().len() + root.unused.borrow().len();
        if asked == MAX_TENSORS {
            let reason = refusal(
                format!("it asks for more than {MAX_TENSORS} tensors"),
                "use the config that was saved with the weights",
            );
            return Err(Error::malformed(
                &root.checkpoint.path("config.json"),
                reason,
            ));
        }
        let tensor = if self.is_used && !root.is_plan {
            root.checkpoint
                .tensor(&name, shape, root.device, root.kind)?
        } else {
            // One number, seen as many.
            Tensor::f_zeros(vec![1; shape.len()], (root.kind, root.device))?
                .f_expand(shape, false)?
        };
        if !self.is_used {
            root.unused.borrow_mut().push((name, shape.to_vec()));
            return Ok(tensor);
        }
        root.read.borrow_mut().push(Parameter {
            name,
            part: self.part,
            tensor: tensor.shallow_clone(),
        });
        Ok(tensor)
    }

    /// The same place, as another part of the model.
    pub(crate) fn as_part(&self, part: Part) -> Self {
        Self {
            part,
            ..self.clone()
        }
    }

    /// The same place, of which nothing is used: nothing is read, and a plan names what is asked for.
    pub(crate) fn unused(&self) -> Self {
        Self {
            is_used: false,
            ..self.clone()
        }
    }

    /// Where the tensors go.
    pub(crate) fn device(&self) -> Device {
        self.root.device
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
