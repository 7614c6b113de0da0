//! A marketplace that is ready to be measured.

use std::time::Duration;

use scenarios::embedded::Embedded;
use scenarios::load::{Sent, Traffic, mails_in, place_at_rate};
use scenarios::watchers::Watchers;
use scenarios::{Customer, Marketplace as _, wait};
use serde_json::Value;

use crate::goods;

const BUYERS: usize = 8;
/// The orders that warm connections, statements and caches.
const WARM_RATE: u32 = 50;
const WARM_SECONDS: u32 = 2;

/// A marketplace, who buys there, and what.
pub(crate) struct Stage {
    pub(crate) marketplace: Embedded,
    buyers: Vec<Customer>,
    products: Vec<String>,
}

impl Stage {
    /// Of a marketplace whose observatory follows so many services. Connections, statements and caches are warm.
    pub(crate) fn open(marketplace: Embedded, follows: usize) -> Self {
        goods::stock_up(&marketplace);
        let shop = marketplace.shop();
        wait::until("the observatory to follow", || {
            let state = shop.get("/observatory/state", None).expect(200).json;
            let services = state["services"].as_array()?;
            assert!(services.len() == follows, "it was told of {state}");
            let is_followed = |service: &Value| service["followed"] == true;
            services.iter().all(is_followed).then_some(())
        });
        let products = shop.catalogue();
        let products = products.iter().filter_map(|product| product["id"].as_str());
        let stage = Self {
            buyers: (0..BUYERS).map(|_| shop.customer()).collect(),
            products: products.map(str::to_owned).collect(),
            marketplace,
        };
        let mails = mails_in(stage.marketplace.mail());
        let sent = stage.order(WARM_RATE, WARM_SECONDS);
        stage.mailed(mails + sent.accepted.len());
        stage
    }

    pub(crate) fn order(&self, rate: u32, seconds: u32) -> Sent {
        let traffic = Traffic {
            buyers: &self.buyers,
            products: &self.products,
            rate,
            orders: rate * seconds,
        };
        place_at_rate(&self.marketplace, traffic)
    }

    pub(crate) fn look_at_journeys(&self, watchers: &mut Watchers) {
        watchers.look_at_journeys(&self.buyers[0], &self.products[0]);
    }

    /// Waits until so many mails were sent: what orders lead to is over.
    pub(crate) fn mailed(&self, mails: usize) {
        let directory = self.marketplace.mail();
        wait::until_every(Duration::from_millis(100), wait::PATIENCE, "mails", || {
            (mails_in(directory) >= mails).then_some(())
        });
    }
}
