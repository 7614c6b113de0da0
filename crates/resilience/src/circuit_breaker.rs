//! Stops asking a dependency that fails.
