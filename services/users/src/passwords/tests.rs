//! What the hasher promises: the same work for every answer, and never more at once than allowed.

use std::sync::mpsc;

use super::*;

fn options() -> HashOptions {
    HashOptions {
        memory_kib: 64,
        iterations: 1,
        concurrency: 1,
        wait: Duration::from_secs(30),
    }
}

fn password(text: &str) -> Password {
    Password::claimed(text.into())
}

#[tokio::test]
async fn right_and_wrong() {
    let hasher = Hasher::new(&options()).unwrap();
    let hash = hasher.hash(password("correct horse")).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
    assert!(!hash.contains("horse"));

    let verify = |text, stored| hasher.verify(password(text), stored);
    assert_eq!(
        verify("correct horse", Some(hash.clone())).await.unwrap(),
        Verdict::Right
    );
    assert_eq!(
        verify("Correct horse", Some(hash.clone())).await.unwrap(),
        Verdict::Wrong
    );
    assert_eq!(verify("correct horse", None).await.unwrap(), Verdict::Wrong);

    let again = hasher.hash(password("correct horse")).await.unwrap();
    assert_ne!(hash, again, "each hash has a salt of its own");
}

#[tokio::test]
async fn an_unknown_account_costs_what_a_wrong_password_costs() {
    let hasher = Hasher::new(&options()).unwrap();
    let hash = hasher.hash(password("correct horse")).await.unwrap();

    let before = hasher.performed();
    hasher.verify(password("wrong"), Some(hash)).await.unwrap();
    assert_eq!(hasher.performed() - before, 1);
    hasher.verify(password("wrong"), None).await.unwrap();
    assert_eq!(hasher.performed() - before, 2);

    // The same parameters, so the same work.
    let dummy = PasswordHash::new(&hasher.0.dummy).unwrap();
    assert_eq!(Params::try_from(&dummy).unwrap(), *hasher.0.argon2.params());
}

#[tokio::test]
async fn hashes_of_older_parameters_are_right_but_outdated() {
    let old = Hasher::new(&options()).unwrap();
    let hash = old.hash(password("correct horse")).await.unwrap();

    let new = Hasher::new(&HashOptions {
        iterations: 2,
        ..options()
    })
    .unwrap();
    assert_eq!(
        new.verify(password("correct horse"), Some(hash.clone()))
            .await
            .unwrap(),
        Verdict::RightButOutdated
    );
    assert_eq!(
        new.verify(password("wrong"), Some(hash)).await.unwrap(),
        Verdict::Wrong
    );
}

/// Occupies the only turn until the sender is dropped; returns once it has it.
async fn occupy(hasher: &Hasher) -> (mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
    let (release, released) = mpsc::channel::<()>();
    let (started, is_started) = tokio::sync::oneshot::channel();
    let hasher = hasher.clone();
    let work = tokio::spawn(async move {
        let work = hasher.in_turn(move |_| {
            started.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        });
        work.await.unwrap();
    });
    is_started.await.unwrap();
    (release, work)
}

#[tokio::test]
async fn who_does_not_get_a_turn_in_time_is_told() {
    let hasher = Hasher::new(&HashOptions {
        wait: Duration::from_millis(1),
        ..options()
    })
    .unwrap();
    let (release, work) = occupy(&hasher).await;
    let before = hasher.performed();
    let busy = hasher.hash(password("correct horse")).await;
    assert!(matches!(busy, Err(HashError::Busy)), "{busy:?}");
    assert_eq!(hasher.performed(), before, "nothing was spent on it");

    drop(release);
    work.await.unwrap();
    hasher.hash(password("correct horse")).await.unwrap();
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_make_room_for_another() {
    let hasher = Hasher::new(&HashOptions {
        wait: Duration::from_millis(1),
        ..options()
    })
    .unwrap();
    let (release, work) = occupy(&hasher).await;
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    // The request is gone; its hash is not.
    let busy = hasher.hash(password("correct horse")).await;
    assert!(matches!(busy, Err(HashError::Busy)), "{busy:?}");
    drop(release);
}

#[tokio::test]
async fn the_queue_has_an_end() {
    let hasher = Hasher::new(&options()).unwrap();
    let (release, work) = occupy(&hasher).await;
    let waiting: Vec<_> = (0..WAITING_PER_HASH)
        .map(|_| {
            let hasher = hasher.clone();
            tokio::spawn(async move { hasher.verify(password("x"), None).await })
        })
        .collect();
    let all_wait = async {
        while hasher.0.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_wait)
        .await
        .expect("each of them takes a place");
    let turned_away = hasher.verify(password("x"), None).await;
    assert!(
        matches!(turned_away, Err(HashError::Busy)),
        "{turned_away:?}"
    );

    drop(release);
    work.await.unwrap();
    for one in waiting {
        assert_eq!(one.await.unwrap().unwrap(), Verdict::Wrong);
    }
}
