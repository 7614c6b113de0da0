//! What each of the budgets limits, and whom it must not affect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;

const ADA: &str = "ada@example.com";

fn budgets(of_address: u32, of_account: u32) -> Budgets {
    Budgets::new(BudgetOptions {
        of_address,
        of_account,
    })
}

fn host(n: u16) -> Origin {
    let [high, low] = n.to_be_bytes();
    Origin::from(IpAddr::V4(Ipv4Addr::new(198, 51, high, low)))
}

/// A network of one IPv6 site.
fn network(n: u16) -> Origin {
    Origin::from(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, n, 0, 0, 0, 1)))
}

/// A wrong password.
fn fail(budgets: &Budgets, origin: Origin, email: &str) -> Result<(), Spent> {
    budgets.begin(budgets.sign_in(origin, email)).map(drop)
}

/// The right one.
fn sign_in(budgets: &Budgets, origin: Origin, email: &str) -> Result<(), Spent> {
    let pending = budgets.begin(budgets.sign_in(origin, email))?;
    pending.succeeded();
    Ok(())
}

#[track_caller]
fn is_spent(result: Result<(), Spent>, budget: &str) {
    assert_eq!(result.map_err(|spent| spent.budget), Err(budget));
}

#[tokio::test(start_paused = true)]
async fn guesses_at_one_account_wait_longer_and_longer() {
    let budgets = budgets(0, 0);
    let mut guesses = 0;
    for _ in 0..3600 {
        while fail(&budgets, host(1), ADA).is_ok() {
            guesses += 1;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!((60..=80).contains(&guesses), "{guesses} in an hour");
    // The owner at another address is not affected.
    sign_in(&budgets, host(2), ADA).unwrap();
    // In any spelling, and each account separately.
    is_spent(
        fail(&budgets, host(1), " ADA@Example.com"),
        "account-at-address",
    );
    fail(&budgets, host(1), "bob@example.com").unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_owner_at_the_attackers_address_waits_a_moment_and_no_more() {
    let budgets = budgets(100, 100);
    sign_in(&budgets, host(1), ADA).unwrap();
    for _ in 0..100 {
        while fail(&budgets, host(1), ADA).is_ok() {}
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    tokio::time::advance(STANDING_DELAY_MAX).await;
    sign_in(&budgets, host(1), ADA).unwrap();
    // One successful sign-in clears all earlier failures.
    for _ in 0..FREE_FAILURES {
        fail(&budgets, host(1), ADA).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn guesses_at_many_accounts_use_up_the_budget_of_the_address() {
    let budgets = budgets(100, 0);
    sign_in(&budgets, host(1), ADA).unwrap();
    for n in 0..100 {
        fail(&budgets, host(1), &format!("nobody-{n}@example.com")).unwrap();
    }
    is_spent(fail(&budgets, host(1), "another@example.com"), "address");
    let sign_up = budgets.sign_up(host(1), "another@example.com");
    assert_eq!(budgets.check(&sign_up).unwrap_err().budget, "address");
    // An address with standing is exempt, and so are other addresses.
    sign_in(&budgets, host(1), ADA).unwrap();
    fail(&budgets, host(1), ADA).unwrap();
    sign_in(&budgets, host(2), "bob@example.com").unwrap();
    // It refills continuously.
    tokio::time::advance(Duration::from_millis(600)).await;
    fail(&budgets, host(1), "another@example.com").unwrap();
    is_spent(fail(&budgets, host(1), "third@example.com"), "address");
}

#[tokio::test(start_paused = true)]
async fn an_account_is_not_guessed_at_from_a_thousand_addresses() {
    let budgets = budgets(0, 100);
    sign_in(&budgets, host(1), ADA).unwrap();
    // Each of some addresses guesses as long as it may: together they get the part that is not reserved.
    let guesses: usize = (100..120)
        .map(|n| {
            (0..8)
                .filter(|_| fail(&budgets, host(n), ADA).is_ok())
                .count()
        })
        .sum();
    assert!((80..=100).contains(&guesses), "{guesses}");
    is_spent(fail(&budgets, host(100), ADA), "account");
    // The owner: from the usual address, and from a new one.
    sign_in(&budgets, host(1), ADA).unwrap();
    if guesses < 100 {
        sign_in(&budgets, host(2), ADA).unwrap();
    }
    // A new address for each guess uses up the whole budget, for callers without standing.
    let more = (1000..2000)
        .filter(|n| fail(&budgets, host(*n), ADA).is_ok())
        .count();
    assert!(more <= 20, "{more}");
    is_spent(fail(&budgets, host(3), ADA), "account");
    sign_in(&budgets, host(1), ADA).unwrap();
    tokio::time::advance(Duration::from_secs(36)).await;
    sign_in(&budgets, host(3), ADA).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_site_is_one_client_however_many_networks_it_has() {
    // At one account: a network that has not failed there has nothing that its site has not.
    let at_one = budgets(0, 10);
    let guesses = (0..100)
        .filter(|n| fail(&at_one, network(*n), ADA).is_ok())
        .count();
    assert_eq!(guesses, 8, "the rest is kept for the owner");
    is_spent(fail(&at_one, network(100), ADA), "account");
    sign_in(&at_one, host(1), ADA).unwrap();
    // At many accounts.
    let at_many = budgets(10, 0);
    let guess = |n: u16| fail(&at_many, network(n), &format!("nobody-{n}@example.com"));
    let guesses = (0..1000).filter(|n| guess(*n).is_ok()).count();
    assert_eq!(guesses, 10 * SITE_ADDRESSES as usize);
    is_spent(guess(1000), "site");
    fail(&at_many, host(1), "another@example.com").unwrap();
}

#[tokio::test(start_paused = true)]
async fn successes_cost_nothing() {
    let budgets = budgets(5, 5);
    for _ in 0..1000 {
        sign_in(&budgets, host(1), ADA).unwrap();
    }
    for n in 0..1000 {
        let email = format!("new-{n}@example.com");
        let pending = budgets.begin(budgets.sign_up(host(1), &email)).unwrap();
        pending.succeeded();
        // A sign-up has shown that its caller knows the password.
        let lane = budgets.check(&budgets.sign_in(host(1), &email)).unwrap();
        assert_eq!(lane.class, Class::Known);
    }
    let away = budgets.begin(budgets.sign_in(host(1), "b@example.com"));
    away.unwrap().forgive();
    let lane = budgets.check(&budgets.sign_in(host(1), "b@example.com"));
    assert_eq!(lane.unwrap().class, Class::Stranger);
}

#[tokio::test(start_paused = true)]
async fn emails_that_are_taken_cost_the_address_and_not_the_account() {
    let budgets = budgets(100, 10);
    for _ in 0..100 {
        drop(budgets.begin(budgets.sign_up(host(1), ADA)).unwrap());
    }
    let sign_up = budgets.sign_up(host(1), ADA);
    assert_eq!(budgets.check(&sign_up).unwrap_err().budget, "address");
    fail(&budgets, host(2), ADA).unwrap();
}

#[tokio::test]
async fn zero_turns_a_budget_off_and_we_have_none() {
    let off = budgets(0, 0);
    for n in 0..2000 {
        fail(&off, host(1), &n.to_string()).unwrap();
        fail(&off, host(n), "bob@example.com").unwrap();
    }
    let tight = budgets(1, 1);
    for _ in 0..100 {
        fail(&tight, Origin::Ourselves, ADA).unwrap();
    }
}
