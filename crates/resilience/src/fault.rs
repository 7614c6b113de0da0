//! Breaks calls on purpose.
