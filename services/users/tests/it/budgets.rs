//! One client's sign-ins never cost another theirs, and guessing has an end, at this door as at the gateway's.

use futures::{StreamExt as _, future::join_all, stream};
use std::sync::atomic::{AtomicBool, Ordering};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use contracts::users::v1::{AuthenticateRequest, CreateUserRequest};

use crate::app::{ADMIN, App, PASSWORD, Setup};

/// A call that the gateway makes for the client at `address`.
fn from<T>(address: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let address = address.parse().unwrap();
    request.metadata_mut().insert("x-forwarded-for", address);
    request
}

async fn sign_in(app: &App, address: &str, email: &str, password: &str) -> Result<(), Status> {
    let credentials = AuthenticateRequest {
        email: email.to_owned(),
        password: password.to_owned(),
        expires_in: 0,
    };
    let mut client = app.client.clone();
    client
        .authenticate(from(address, credentials))
        .await
        .map(drop)
}

async fn sign_up(app: &App, address: &str, email: &str) -> Result<(), Status> {
    let new = CreateUserRequest {
        email: email.to_owned(),
        name: "Ada".to_owned(),
        password: PASSWORD.to_owned(),
    };
    let mut client = app.client.clone();
    client.create_user(from(address, new)).await.map(drop)
}

/// The name of the budget that is used up, after a look at the rest of the refusal.
#[track_caller]
fn spent(status: &Status) -> String {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let details = status.get_error_details();
    let after = details.retry_info().and_then(|info| info.retry_delay);
    assert!(after.is_some_and(|after| !after.is_zero()), "{status:?}");
    details.quota_failure().unwrap().violations[0]
        .subject
        .clone()
}

#[tokio::test]
async fn guesses_come_to_an_end_and_the_owner_gets_in() {
    let app = App::start().await;
    sign_up(&app, "192.0.2.1", "ada@example.com").await.unwrap();
    let guesses: Vec<_> = stream::iter(0..704)
        .map(async |n| {
            let guess = format!("guess {n}");
            sign_in(&app, "192.0.2.66", "ada@example.com", &guess).await
        })
        .buffer_unordered(16)
        .collect()
        .await;
    let guesses = guesses.into_iter().map(Result::unwrap_err);
    let (hashed, refused): (Vec<_>, Vec<_>) =
        guesses.partition(|status| status.code() == Code::Unauthenticated);
    // Ten, what ran at the same moment as the tenth, and one after each wait, of which a busy machine sees several.
    assert!(
        (10..=60).contains(&hashed.len()),
        "{} guesses",
        hashed.len()
    );
    for status in &refused {
        assert_eq!(spent(status), "account-at-address");
    }
    // The owner: where they have been, elsewhere, and not even another account at that address.
    for address in ["192.0.2.1", "192.0.2.2"] {
        sign_in(&app, address, "ada@example.com", PASSWORD)
            .await
            .unwrap();
    }
    sign_in(&app, "192.0.2.66", ADMIN, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn guesses_at_many_accounts_come_to_an_end_too() {
    let app = Setup::new()
        .with(["--failures-per-address=20"])
        .start()
        .await;
    sign_up(&app, "192.0.2.66", "neighbour@example.com")
        .await
        .unwrap();
    let guess = async |n: usize| {
        let email = format!("nobody-{n}@example.com");
        sign_in(&app, "192.0.2.66", &email, "wrong")
            .await
            .unwrap_err()
    };
    let answers = join_all((0..200).map(guess)).await;
    let hashed = answers
        .iter()
        .filter(|status| status.code() == Code::Unauthenticated)
        .count();
    // It refills while they are hashed, also for what comes next on a busy machine.
    assert!((20..=60).contains(&hashed), "{hashed} guesses");
    let mut more = 200..300;
    let refused = loop {
        let status = guess(more.next().expect("an end")).await;
        if status.code() != Code::Unauthenticated {
            break status;
        }
    };
    assert_eq!(
        (spent(&refused).as_str(), refused.message()),
        ("address", "too many attempts: try again later")
    );
    // Signing up tells who has an account, and is bounded by the same budget.
    let taken = loop {
        more.next().expect("an end");
        let status = sign_up(&app, "192.0.2.66", ADMIN).await.unwrap_err();
        if status.code() != Code::AlreadyExists {
            break status;
        }
    };
    assert_eq!(spent(&taken), "address");
    // An honest neighbour behind the same address, and anybody elsewhere.
    sign_in(&app, "192.0.2.66", "neighbour@example.com", PASSWORD)
        .await
        .unwrap();
    sign_in(&app, "192.0.2.67", "neighbour@example.com", PASSWORD)
        .await
        .unwrap();
}

#[tokio::test]
async fn who_has_an_account_is_not_asked_for_ever() {
    let app = Setup::new()
        .with(["--failures-per-address=20"])
        .start()
        .await;
    let mut taken = 0;
    let refused = loop {
        let status = sign_up(&app, "192.0.2.66", ADMIN).await.unwrap_err();
        match status.code() {
            Code::AlreadyExists => taken += 1,
            _ => break status,
        }
        assert!(taken < 100, "nobody stops it");
    };
    assert_eq!(spent(&refused), "address");
    assert!(taken >= 20, "{taken}");
    // The account itself has nothing to do with it.
    sign_in(&app, "192.0.2.1", ADMIN, PASSWORD).await.unwrap();
}

/// The same answers in the same order, whether there is such an account or not.
#[tokio::test]
async fn budgets_do_not_tell_who_has_an_account() {
    /// What may be guessed again after a second, a busy machine may guess in one row and not in the other.
    const ROWS: u8 = 5;
    let app = App::start().await;
    let answers = async |address: &str, email: &str| {
        let mut answers = Vec::new();
        for _ in 0..14 {
            let status = sign_in(&app, address, email, "wrong").await.unwrap_err();
            answers.push((status.code(), status.message().to_owned()));
        }
        answers
    };
    let mut row = 0;
    let known = loop {
        let known = answers(&format!("192.0.2.{row}"), ADMIN).await;
        let nobody = format!("nobody-{row}@example.com");
        let unknown = answers(&format!("198.51.100.{row}"), &nobody).await;
        row += 1;
        if known == unknown {
            break known;
        }
        assert!(row < ROWS, "{known:?} are not {unknown:?}");
    };
    assert!(
        known
            .iter()
            .any(|(code, _)| *code == Code::ResourceExhausted)
    );
}

/// As many sign-ins as one client likes to send: it waits for itself. Without budgets, so that it is the line that is tested.
#[tokio::test]
async fn a_flood_of_sign_ins_starves_nobody() {
    // Long enough a hash for all of them to wait.
    let app = Setup::new()
        .with([
            "--failures-per-address=0",
            "--failures-per-account=0",
            "--hash-concurrency=1",
            "--hash-memory-kib=4096",
            "--hash-wait=1m",
        ])
        .start()
        .await;
    for neighbour in 0..8 {
        let email = format!("neighbour-{neighbour}@example.com");
        sign_up(&app, "192.0.2.66", &email).await.unwrap();
    }
    let over = AtomicBool::new(false);
    let flood = join_all((0..200).map(async |worker| {
        let mut codes = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let email = format!("nobody-{worker}-{}@example.com", codes.len());
            let refused = sign_in(&app, "192.0.2.66", &email, "wrong").await;
            codes.push(refused.unwrap_err().code());
        }
        codes
    }));
    let others = async {
        let mut done = 0;
        for round in 0..5 {
            let neighbours = (0..8).map(async |n| {
                let email = format!("neighbour-{n}@example.com");
                // Half of them behind the address of the flood, half somewhere else.
                let address = if n % 2 == 0 {
                    "192.0.2.66"
                } else {
                    &format!("198.51.100.{n}")
                };
                sign_in(&app, address, &email, PASSWORD).await
            });
            for signed_in in join_all(neighbours).await {
                signed_in.unwrap_or_else(|status| panic!("round {round}: {status:?}"));
                done += 1;
            }
        }
        over.store(true, Ordering::Relaxed);
        done
    };
    let (codes, others) = tokio::join!(flood, others);
    assert_eq!(others, 40);
    // What had no place was sent back at once.
    let codes = codes.concat();
    assert!(codes.contains(&Code::Unavailable) && codes.contains(&Code::Unauthenticated));
}

/// Where a client is, is the connection's to say, unless a proxy of ours speaks for it.
#[tokio::test]
async fn a_strangers_word_about_its_address_counts_for_nothing() {
    let app = Setup::new()
        .with(["--trusted-proxies=none", "--failures-per-address=20"])
        .start()
        .await;
    let answers = join_all((0..100).map(async |n| {
        let email = format!("nobody-{n}@example.com");
        let claimed = format!("192.0.2.{n}");
        sign_in(&app, &claimed, &email, "wrong").await.unwrap_err()
    }))
    .await;
    let refused = answers
        .iter()
        .filter(|status| status.code() == Code::ResourceExhausted);
    assert!(refused.count() > 20, "each claim had a budget of its own");
}

/// Far beyond its limit a field is still a field that is too long.
#[tokio::test]
async fn a_field_of_a_megabyte_is_named() {
    let app = App::start().await;
    for length in [64 << 10, 200 << 10, 1000 << 10] {
        let much = "x".repeat(length);
        for (name, password, field) in [
            (much.as_str(), PASSWORD, "name"),
            ("Ada", much.as_str(), "password"),
        ] {
            let refused = app.create_user("ada@example.com", name, password).await;
            let (code, fields) = crate::app::violations(&refused.unwrap_err());
            assert_eq!((code, fields[0].0.as_str()), (Code::InvalidArgument, field));
        }
        let refused = app.authenticate(ADMIN, &much).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let refused = app.authenticate(&much, PASSWORD).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
}
