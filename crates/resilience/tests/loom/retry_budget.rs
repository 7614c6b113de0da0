//! The budget's window: whatever the interleaving, no more is taken out than was there, and nothing paid in is lost.

use loom::sync::Arc;
use loom::thread;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

#[path = "../../src/retry/budget/window.rs"]
mod window;
use window::Window;

const ONE: u32 = 100;

fn window(free: u32) -> Arc<Window<2>> {
    Arc::new(Window::new(free.into()))
}

/// Runs `work` in as many threads as there are epochs, and says how many of them said yes.
fn count<const N: usize>(
    window: &Arc<Window<2>>,
    epochs: [u32; N],
    work: fn(&Window<2>, u32) -> bool,
) -> usize {
    let spawn = |epoch| {
        let window = window.clone();
        thread::spawn(move || work(&window, epoch))
    };
    // Joined only when all run.
    let threads = epochs.map(spawn);
    let yes = threads.map(|thread| thread.join().expect("no panic"));
    yes.into_iter().filter(|yes| *yes).count()
}

fn take(window: &Window<2>, epoch: u32) -> bool {
    window.withdraw(epoch, ONE)
}

fn pay(window: &Window<2>, epoch: u32) -> bool {
    window.deposit(epoch, ONE);
    true
}

#[test]
fn the_last_one_is_taken_once() {
    loom::model(|| {
        let window = window(ONE);
        assert!(count(&window, [0, 0], take) <= 1);
        assert!(window.balance(0) >= 0);
    });
}

#[test]
fn the_last_one_is_taken_once_at_the_turn_of_an_epoch() {
    loom::model(|| {
        let window = window(ONE);
        assert!(count(&window, [4, 5], take) <= 1);
        assert!(window.balance(5) >= 0);
    });
}

#[test]
fn three_do_not_take_two() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let window = window(2 * ONE - 1);
        assert!(count(&window, [1, 1, 1], take) <= 1);
        assert!(window.balance(1) >= 0);
    });
}

#[test]
fn what_is_refused_is_given_back() {
    loom::model(|| {
        let window = window(ONE);
        let taken = count(&window, [0, 0], take);
        // Both may have been refused, each for the sake of the other; then it is all there.
        assert_eq!(take(&window, 0), taken == 0);
    });
}

#[test]
fn two_that_open_an_epoch_are_both_counted() {
    loom::model(|| {
        let window = window(0);
        window.deposit(0, ONE);
        count(&window, [2, 2], pay);
        assert_eq!(window.balance(2), 2 * i64::from(ONE));
    });
}
