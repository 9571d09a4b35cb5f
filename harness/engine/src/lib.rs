//! Evaluate: run suites over models and variants and record what happens
