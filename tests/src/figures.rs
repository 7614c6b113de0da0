//! Figures as the examples print them.

/// The value that so many percent lie below, of sorted ones; the default where there are none.
#[must_use]
pub fn percentile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// The same where so many more never came, each of which is above all that did; `None` where it is one of these.
#[must_use]
pub fn percentile_of_all<T: Copy>(sorted: &[T], missing: usize, percent: usize) -> Option<T> {
    let all = sorted.len() + missing;
    let place = (all * percent / 100).min(all.saturating_sub(1));
    sorted.get(place).copied()
}

/// MiB of so many KiB.
#[must_use]
pub fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_above_all_that_did() {
        let came: Vec<u32> = (0..95).collect();
        assert_eq!(percentile_of_all(&came, 0, 95), Some(90));
        assert_eq!(percentile_of_all(&came, 4, 95), Some(94));
        assert_eq!(percentile_of_all(&came, 5, 95), None);
        assert_eq!(percentile_of_all(&came, 5, 50), Some(50));
        assert_eq!(percentile_of_all::<u32>(&[], 0, 95), None);
    }
}
