use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::window::Window;
use super::*;

fn config(percent: u32, min_per_second: u32, ttl_secs: u64) -> BudgetConfig {
    BudgetConfig {
        percent,
        min_per_second,
        ttl: Duration::from_secs(ttl_secs),
    }
}

fn budget(percent: u32, min_per_second: u32, ttl_secs: u64) -> Budget {
    Budget::new(config(percent, min_per_second, ttl_secs)).unwrap()
}

fn withdraw_all(budget: &Budget) -> u64 {
    (0..).take_while(|_| budget.withdraw()).count() as u64
}

fn deposit(budget: &Budget, calls: u64) {
    (0..calls).for_each(|_| budget.deposit());
}

#[tokio::test(start_paused = true)]
async fn calls_pay_for_a_percentage_of_retries() {
    let budget = budget(10, 0, 10);
    assert!(!budget.withdraw());
    deposit(&budget, 99);
    assert_eq!(budget.available(), 9);
    assert_eq!(withdraw_all(&budget), 9);
    deposit(&budget, 1);
    assert_eq!(withdraw_all(&budget), 1);
}

#[tokio::test(start_paused = true)]
async fn some_are_free_and_come_back() {
    let budget = budget(1, 2, 5);
    assert_eq!(withdraw_all(&budget), 10);
    tokio::time::advance(Duration::from_millis(4_499)).await;
    assert_eq!(withdraw_all(&budget), 0);
    tokio::time::advance(Duration::from_millis(501)).await;
    assert_eq!(withdraw_all(&budget), 10);
}

#[tokio::test(start_paused = true)]
async fn what_was_paid_in_expires() {
    let budget = budget(50, 0, 10);
    deposit(&budget, 10);
    tokio::time::advance(Duration::from_millis(8_999)).await;
    assert_eq!(budget.available(), 5);
    assert!(budget.withdraw());
    tokio::time::advance(Duration::from_millis(1_001)).await;
    assert_eq!(budget.available(), 0);
    // The one that was withdrawn late is still missing from the new deposits.
    deposit(&budget, 4);
    assert_eq!(withdraw_all(&budget), 1);
}

#[test]
fn what_cannot_work_is_refused() {
    let refused = |config: BudgetConfig| Budget::new(config).unwrap_err().to_string();
    assert_eq!(
        refused(config(0, 1, 10)),
        "percent is 0; allowed is 1 to 100"
    );
    assert_eq!(
        refused(config(101, 1, 10)),
        "percent is 101; allowed is 1 to 100"
    );
    assert_eq!(
        refused(config(10, 1001, 10)),
        "min_per_second is 1001; allowed is 0 to 1000"
    );
    assert_eq!(
        refused(config(10, 1, 0)),
        "ttl is 0ns; allowed is 1s to 60s"
    );
    assert_eq!(
        refused(config(10, 1, 61)),
        "ttl is 61s; allowed is 1s to 60s"
    );
    assert_eq!(BudgetConfig::default().validate(), Ok(()));
}

/// The slow, obvious window: a list of all bookings.
#[derive(Default)]
struct Model {
    bookings: VecDeque<(u32, i64)>,
}

impl Model {
    fn balance(&self, epoch: u32) -> i64 {
        let valid = |(at, _): &&(u32, i64)| at + 10 > epoch;
        self.bookings.iter().filter(valid).map(|(_, n)| n).sum()
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Deposit(u32),
    Withdraw(u32),
    Later(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..500_u32).prop_map(Step::Deposit),
        (1..500_u32).prop_map(Step::Withdraw),
        (1..15_u32).prop_map(Step::Later),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn the_window_does_as_the_model(steps in steps(), free in 0..1000_i64) {
        let (window, mut model, mut epoch) = (Window::<10>::new(free), Model::default(), 0);
        for step in steps {
            match step {
                Step::Deposit(amount) => {
                    window.deposit(epoch, amount);
                    model.bookings.push_back((epoch, amount.into()));
                }
                Step::Withdraw(amount) => {
                    let expected = free + model.balance(epoch) >= amount.into();
                    prop_assert_eq!(window.withdraw(epoch, amount), expected);
                    if expected {
                        model.bookings.push_back((epoch, -i64::from(amount)));
                    }
                }
                Step::Later(slots) => epoch += slots,
            }
            prop_assert_eq!(window.balance(epoch), free + model.balance(epoch));
        }
    }

    /// The guarantee: whatever fails and whenever, retries are at most the percentage of the calls plus the free ones.
    #[test]
    fn retries_are_at_most_their_share(
        percent in 1..=100_u32,
        min_per_second in 0..5_u32,
        ttl_secs in 1..=60_u64,
        seconds in proptest::collection::vec((0..100_u64, 0..50_u64), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let budget = budget(percent, min_per_second, ttl_secs);
            let (mut calls, mut retries) = (0, 0);
            let lasted = seconds.len() as u64;
            for (calls_now, wanted) in seconds {
                deposit(&budget, calls_now);
                calls += calls_now;
                retries += (0..wanted).filter(|_| budget.withdraw()).count() as u64;
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            let paid = calls * u64::from(percent) / 100;
            let free = u64::from(min_per_second) * (lasted + ttl_secs);
            prop_assert!(retries <= paid + free, "{retries} > {paid} + {free}");
            Ok(())
        })?;
    }
}
