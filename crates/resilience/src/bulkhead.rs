//! Bounds the calls in progress at a dependency.
