//! The marketplace that the scenarios share, started when the first of them needs it.

use std::sync::{Arc, Mutex};

use scenarios::Shop;
use scenarios::embedded::Embedded;

/// One marketplace, and the goods that no scenario has taken for itself yet.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    open: Mutex<Option<Arc<Open>>>,
}

#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) marketplace: Embedded,
    goods: Mutex<Vec<(String, i64)>>,
}

impl Stage {
    /// The marketplace; the first caller starts it and the others wait.
    pub(crate) fn open(&self) -> Arc<Open> {
        // A scenario that failed while it started the marketplace must not fail all the others.
        let mut open = self
            .open
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        open.get_or_insert_with(|| {
            let marketplace = Embedded::start(&[]);
            let goods = marketplace.shop().catalogue();
            let mut goods: Vec<_> = goods
                .iter()
                .map(|p| {
                    let id = p["id"].as_str().expect("an id").to_owned();
                    (id, p["available"].as_i64().expect("a number of pieces"))
                })
                .collect();
            goods.sort_by_key(|(_, available)| *available);
            Arc::new(Open {
                marketplace,
                goods: Mutex::new(goods),
            })
        })
        .clone()
    }

    /// Stops the marketplace, if it was started.
    pub(crate) fn close(&self) {
        let mut open = self
            .open
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        drop(open.take());
    }
}

impl Open {
    pub(crate) fn shop(&self) -> Shop {
        self.marketplace.shop()
    }

    /// A product with at least `pieces` that no other scenario buys: its id and what there is of it.
    pub(crate) fn product(&self, pieces: i64) -> (String, i64) {
        let mut goods = self.goods.lock().expect("the goods");
        let index = goods.iter().position(|(_, available)| *available >= pieces);
        goods.remove(index.unwrap_or_else(|| panic!("no product with {pieces} pieces is left")))
    }
}
