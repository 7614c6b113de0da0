//! File descriptors: how many the process may have, and how many of them are available to connections from outside.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The number of descriptors that is reserved for other uses: databases, brokers, calls to other services, admin ports,
/// files.
const RESERVED: std::ops::RangeInclusive<u64> = 64..=2048;
/// The fraction of all descriptors that is reserved (one in this many), within [`RESERVED`].
const RESERVED_PART: u64 = 2;
/// Below this limit a server cannot accept the number of connections that it accepts by default.
const ENOUGH: u64 = 16 * 1024;
/// The limit that is assumed where the system sets none.
const COUNTED_MAX: u64 = 1 << 20;

/// Raises the soft limit of open files to the hard one, and logs a warning if that is low. Shells set 1024, for
/// programs that use `select`; a server that reaches it cannot answer any new connection.
///
/// Call it at the start of `main`, after the telemetry. Returns the limit.
pub fn raise() -> u64 {
    static RAISED: OnceLock<u64> = OnceLock::new();
    *RAISED.get_or_init(|| {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = Rlimit {
            current: maximum,
            maximum,
        };
        let limit = match setrlimit(Resource::Nofile, wanted) {
            Ok(()) => maximum,
            Err(_) => current,
        };
        let limit = limit.unwrap_or(COUNTED_MAX);
        if limit < ENOUGH {
            tracing::warn!(
                open_files_max = limit,
                connections_max = for_connections(limit),
                "few open files are allowed (ulimit -n): idle connections are closed early"
            );
        }
        limit.min(COUNTED_MAX)
    })
}

/// How many connections from outside the process has descriptors for.
pub(crate) fn connections_max() -> u64 {
    for_connections(raise())
}

/// The part of `limit` that is available to connections from outside.
fn for_connections(limit: u64) -> u64 {
    let reserved = (limit / RESERVED_PART).clamp(*RESERVED.start(), *RESERVED.end());
    limit.saturating_sub(reserved).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_kept() {
        for (limit, connections) in [
            (32, 1),
            (256, 128),
            (1024, 512),
            (1 << 20, (1 << 20) - 2048),
        ] {
            assert_eq!(for_connections(limit), connections, "{limit}");
        }
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        raise();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
