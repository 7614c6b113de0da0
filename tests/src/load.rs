//! Many orders at once, and what they leave behind.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::marketplace::Marketplace;
use crate::shop::{Customer, Shop};

/// Places so many orders of one piece, as fast as so many callers can who each wait for their answer: a closed loop.
///
/// # Panics
/// When one is not accepted.
pub fn place(
    marketplace: &dyn Marketplace,
    by: &Customer,
    product: &str,
    orders: usize,
    callers: usize,
) {
    let gateway = marketplace.endpoint("gateway");
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                let shop = Shop::new(&gateway);
                while taken.fetch_add(1, Ordering::Relaxed) < orders {
                    let _ = shop.order(by, product, 1).expect(201);
                }
            });
        }
    });
}

/// How many mails lie in a directory, without reading them.
///
/// # Panics
/// When it cannot be read although it exists.
#[must_use]
pub fn mails_in(directory: &Path) -> usize {
    if !directory.exists() {
        return 0;
    }
    let files = std::fs::read_dir(directory).expect("the mail directory");
    let names = files.map(|file| file.expect("a directory entry").file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(".eml"))
        .count()
}
