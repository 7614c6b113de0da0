//! A handler that parks what it gets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messaging::{Delivery, dead_letter};
use parking_lot::Mutex;

use crate::support::{Recorder, body, permanent};

/// A handler that fails until it is mended. It has no inbox: it counts how often it handles each message.
#[derive(Clone)]
pub(super) struct Sick {
    mended: Arc<AtomicBool>,
    handled: Arc<Mutex<HashMap<String, usize>>>,
    pub(super) handler: Arc<Recorder>,
}

impl Sick {
    pub(super) fn new() -> Self {
        Self::about(|_| true)
    }

    /// Sick about some messages, by their number.
    pub(super) fn about(poison: fn(usize) -> bool) -> Self {
        let mended = Arc::new(AtomicBool::new(false));
        let handled: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let (well, counts) = (Arc::clone(&mended), Arc::clone(&handled));
        let handler = Recorder::with(move |delivery: Delivery| {
            let (well, counts) = (Arc::clone(&well), Arc::clone(&counts));
            async move {
                if poison(body(&delivery).parse().unwrap()) && !well.load(Ordering::SeqCst) {
                    let again = delivery.header(dead_letter::REDRIVEN).is_some();
                    return Err(permanent(if again { "still sick" } else { "sick" }));
                }
                let id = delivery.header("ce_id").unwrap().to_owned();
                *counts.lock().entry(id).or_default() += 1;
                Ok(())
            }
        });
        Self {
            mended,
            handled,
            handler,
        }
    }

    pub(super) fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }

    /// The ids of what was handled.
    pub(super) fn ids(&self) -> HashSet<String> {
        self.handled.lock().keys().cloned().collect()
    }

    /// How often something was handled that had been handled before.
    pub(super) fn doubles(&self) -> usize {
        self.handled.lock().values().map(|times| times - 1).sum()
    }
}
