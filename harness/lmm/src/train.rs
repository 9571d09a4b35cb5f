//! What training needs of a model beyond inference: batches with a gradient, what a step computes, and a checkpoint of the outcome.

pub(crate) mod batch;
mod operations;
mod save;
