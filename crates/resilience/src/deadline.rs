//! How long a whole call may take.
