//! Waiting for a count, for as long as it grows.

use std::time::{Duration, Instant};

/// How long nothing may be added: a relay, a consumer or a broker has ended then, and so does the wait.
const STILL_MAX: Duration = Duration::from_secs(60);
const TELL_EVERY: Duration = Duration::from_secs(2);
/// Short beside what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Returns when there are `wanted`, and tells on standard error how far it is.
///
/// # Errors
/// When nothing was added for a minute.
#[expect(clippy::print_stderr, reason = "how far it is")]
pub(crate) async fn until(wanted: u64, what: &str, count: impl Fn() -> u64) -> Result<(), String> {
    let mut known = 0;
    let (mut grown, mut told) = (Instant::now(), Instant::now());
    loop {
        let now = count();
        if now >= wanted {
            return Ok(());
        }
        if now > known {
            (known, grown) = (now, Instant::now());
        }
        if grown.elapsed() >= STILL_MAX {
            let seconds = STILL_MAX.as_secs();
            return Err(format!(
                "{now} of {wanted} {what}, and no more for {seconds} s"
            ));
        }
        if told.elapsed() >= TELL_EVERY {
            eprintln!("{now} of {wanted} {what}");
            told = Instant::now();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
