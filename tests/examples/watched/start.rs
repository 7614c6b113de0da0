//! A start, until somebody sees something.

use std::time::{Duration, Instant};

use scenarios::embedded::Embedded;
use scenarios::figures::percentile;
use scenarios::{Marketplace as _, wait};

use crate::rows::row;

/// A start of a marketplace that was there before.
pub(crate) struct Start {
    ready: Duration,
    /// From its printed address until a page had goods, the state of the system, and a first trace to choose from.
    goods: Duration,
    state: Duration,
    trace: Duration,
}

impl Start {
    pub(crate) fn again(marketplace: &mut Embedded) -> Self {
        let _ = marketplace.stop();
        let begun = Instant::now();
        marketplace.restart();
        let ready = begun.elapsed();
        // The address is printed as soon as this file is written.
        let file = marketplace.directory().join("endpoints.json");
        let printed = std::fs::metadata(file).and_then(|file| file.modified());
        let printed = printed.expect("the time of a file");
        let since = || printed.elapsed().unwrap_or_default();
        let shop = marketplace.shop();
        let get = |path: &str| shop.get(path, None).expect(200).json;
        let _ = get("/");
        let _ = get("/api/products?page_size=100");
        let goods = since();
        let _ = get("/observatory/state");
        let state = since();
        wait::until("a trace", || {
            // Whoever looks at the goods leaves one, once the observatory follows.
            let _ = get("/api/products?page_size=100");
            let list = get("/observatory/traces?limit=50");
            (!list["traces"].as_array()?.is_empty()).then_some(())
        });
        Self {
            ready,
            goods,
            state,
            trace: since(),
        }
    }

    pub(crate) fn print(starts: &[Self]) {
        let seconds = |of: fn(&Self) -> Duration| {
            let mut sorted: Vec<_> = starts.iter().map(of).collect();
            sorted.sort_unstable();
            [percentile(&sorted, 0), percentile(&sorted, 50)].map(|it| it.as_secs_f64())
        };
        let [least, middle] = seconds(|start| start.ready);
        row(
            &format!("warm start to ready, {} starts: min, median", starts.len()),
            "≤ 1.5 s",
            &format!("{least:.2}, {middle:.2} s"),
            Some(middle <= 1.5),
        );
        let parts = [
            ("goods", seconds(|start| start.goods)),
            ("state of the system", seconds(|start| start.state)),
            ("first trace", seconds(|start| start.trace)),
        ];
        let parts =
            parts.map(|(what, [least, middle])| format!("{what} {least:.2}, {middle:.2} s"));
        row(
            "from the printed address to a page's first picture",
            "",
            &parts.join("; "),
            None,
        );
    }
}
