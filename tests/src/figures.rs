//! Figures as the examples print them.

/// The value that so many percent lie below, of sorted ones; the default where there are none.
#[must_use]
pub fn percentile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// MiB of so many KiB.
#[must_use]
pub fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
