//! Tries again what is safe to repeat.
