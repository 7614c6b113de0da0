//! A handler that parks what it gets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messaging::{Delivery, dead_letter};
use parking_lot::Mutex;

use crate::support::{Recorder, body, permanent};

/// A handler that fails until it is mended, with an inbox: what it has had makes no effect again.
#[derive(Clone)]
pub(super) struct Sick {
    mended: Arc<AtomicBool>,
    effects: Arc<Mutex<HashMap<String, usize>>>,
    pub(super) handler: Arc<Recorder>,
}

impl Sick {
    pub(super) fn new() -> Self {
        Self::about(|_| true)
    }

    /// Sick about some messages, by their number.
    pub(super) fn about(poison: fn(usize) -> bool) -> Self {
        let mended = Arc::new(AtomicBool::new(false));
        let effects: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let (well, inbox) = (Arc::clone(&mended), Arc::clone(&effects));
        let handler = Recorder::with(move |delivery: Delivery| {
            let (well, inbox) = (Arc::clone(&well), Arc::clone(&inbox));
            async move {
                if poison(body(&delivery).parse().unwrap()) && !well.load(Ordering::SeqCst) {
                    let again = delivery.header(dead_letter::REDRIVEN).is_some();
                    return Err(permanent(if again { "still sick" } else { "sick" }));
                }
                let id = delivery.header("ce_id").unwrap().to_owned();
                *inbox.lock().entry(id).or_default() += 1;
                Ok(())
            }
        });
        Self {
            mended,
            effects,
            handler,
        }
    }

    pub(super) fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }

    /// The ids of what was handled; how often is what the engine promises.
    pub(super) fn ids(&self) -> HashSet<String> {
        self.effects.lock().keys().cloned().collect()
    }
}
