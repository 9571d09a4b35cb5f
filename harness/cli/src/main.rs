//! The binary `rave`.
fn main() {}
