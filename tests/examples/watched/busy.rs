//! Many orders, with pages open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scenarios::figures::{mebibytes, percentile};
use scenarios::load::Sent;
use scenarios::watchers::{Seen, Watchers};
use tokio::runtime::Runtime;

use crate::rows::{is_in_time, late, row};
use crate::stage::Stage;

/// Orders a second, and for how long.
const RATE: u32 = 100;
const SECONDS: u32 = 30;
const PAGES: usize = 3;
/// After the load, before memory is looked at for the last time: the allocator gives back what is free seconds later.
const SETTLES: Duration = Duration::from_secs(10);
/// What the process may have, in MiB.
const MEMORY_MAX: f64 = 250.0;

/// What is measured.
pub(crate) fn what() -> String {
    format!(
        "{RATE} orders a second for {SECONDS} s, {PAGES} pages open and {PAGES} readers of all hops"
    )
}

/// What came of it.
pub(crate) struct Busy {
    sent: Sent,
    seen: Seen,
    /// Resident memory in KiB: before, at most, after.
    before: u64,
    most: u64,
    after: u64,
}

impl Busy {
    pub(crate) fn measure(stage: &Stage, runtime: &Runtime) -> Self {
        let resident = || stage.marketplace.resident_kib();
        let before = resident();
        let mut watchers = Watchers::of(&stage.marketplace);
        for _ in 0..PAGES {
            watchers.open_page();
            stage.look_at_journeys(&mut watchers);
            watchers.follow_hops();
        }
        let is_over = AtomicBool::new(false);
        let (sent, most) = std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let mut most = before;
                while !is_over.load(Ordering::Relaxed) {
                    most = most.max(resident());
                    std::thread::sleep(Duration::from_millis(100));
                }
                most
            });
            let sent = stage.order(RATE, SECONDS);
            is_over.store(true, Ordering::Relaxed);
            (sent, looking.join().expect("looks at memory"))
        });
        let seen = runtime.block_on(watchers.close());
        std::thread::sleep(SETTLES);
        Self {
            sent,
            seen,
            before,
            most,
            after: resident(),
        }
    }

    /// Whether all of it is as it has to be.
    pub(crate) fn holds(&self) -> bool {
        self.is_accepted() && self.go_on() && self.is_small() && is_in_time(&self.seen)
    }

    /// No order was refused.
    fn is_accepted(&self) -> bool {
        self.sent.refused.is_empty()
    }

    /// No page and no reader was cut off.
    fn go_on(&self) -> bool {
        self.seen.failures.is_empty()
    }

    fn is_small(&self) -> bool {
        mebibytes(self.most) <= MEMORY_MAX
    }

    pub(crate) fn print(mut self) {
        let (accepted, refused) = (&self.sent.accepted, &self.sent.refused);
        let ms = |percent| percentile(accepted, percent).as_secs_f64() * 1e3;
        let (orders, p50, p99) = (accepted.len(), ms(50), ms(99));
        let measured =
            format!("{orders} accepted (p50 {p50:.0} ms, p99 {p99:.0} ms), refused: {refused:?}");
        row(&what(), "none refused", &measured, Some(self.is_accepted()));

        let Seen {
            states,
            lists,
            records,
            dropped,
            failures,
            ..
        } = &self.seen;
        let measured = format!(
            "{states} states, {lists} lists; {records} records, {dropped} told as dropped; failed: {failures:?}"
        );
        row(
            "the same: what pages and readers got",
            "all go on",
            &measured,
            Some(self.go_on()),
        );

        let memory = [self.before, self.most, self.after].map(mebibytes);
        let after = SETTLES.as_secs();
        let what = format!("the same: resident memory before, at most, {after} s after");
        let measured = format!("{:.0}, {:.0}, {:.0} MB", memory[0], memory[1], memory[2]);
        row(&what, "≤ 250 MB", &measured, Some(self.is_small()));

        let when = format!("at {RATE} orders a second, {PAGES} pages open");
        late(&when, &mut self.seen);
    }
}
