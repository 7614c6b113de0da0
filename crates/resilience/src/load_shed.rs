//! Refuses early what cannot be done in time.
