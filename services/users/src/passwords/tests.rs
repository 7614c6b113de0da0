//! The guarantees of the hasher: the same work for every answer, and never more at once than allowed.

use std::sync::mpsc;

use argon2::{PasswordHasher as _, PasswordVerifier as _};

use super::*;
use crate::{origin::Origin, turns::Class};

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

/// An arbitrary lane.
const LANE: Lane = Lane {
    class: Class::Stranger,
    origin: Origin::Unknown,
    account: 0,
};

async fn hashed(hasher: &Hasher, text: &str) -> Result<String, HashError> {
    let turn = hasher.turn(LANE).await?;
    hasher.hash(turn, password(text)).await
}

async fn verified(
    hasher: &Hasher,
    text: &str,
    stored: Option<String>,
) -> Result<Verdict, HashError> {
    let turn = hasher.turn(LANE).await?;
    hasher.verify(turn, password(text), stored).await
}

#[tokio::test]
async fn right_and_wrong() {
    let hasher = Hasher::new(&options()).unwrap();
    let hash = hashed(&hasher, "correct horse").await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
    assert!(!hash.contains("horse"));

    let verify = |text, stored| verified(&hasher, text, stored);
    assert_eq!(
        verify("correct horse", Some(hash.clone())).await.unwrap(),
        Verdict::Right
    );
    assert_eq!(
        verify("Correct horse", Some(hash.clone())).await.unwrap(),
        Verdict::Wrong
    );
    assert_eq!(verify("correct horse", None).await.unwrap(), Verdict::Wrong);

    let again = hashed(&hasher, "correct horse").await.unwrap();
    assert_ne!(hash, again, "each hash has a salt of its own");
}

#[tokio::test]
async fn an_unknown_account_costs_what_a_wrong_password_costs() {
    let hasher = Hasher::new(&options()).unwrap();
    let hash = hashed(&hasher, "correct horse").await.unwrap();

    let before = hasher.performed();
    verified(&hasher, "wrong", Some(hash)).await.unwrap();
    assert_eq!(hasher.performed() - before, 1);
    verified(&hasher, "wrong", None).await.unwrap();
    assert_eq!(hasher.performed() - before, 2);

    // The same parameters, and therefore the same work.
    let dummy = PasswordHash::new(&hasher.0.dummy).unwrap();
    assert_eq!(Params::try_from(&dummy).unwrap(), hasher.0.params);
}

/// Stored hashes can be read by every argon2 implementation, and the other way round.
#[tokio::test]
async fn hashes_are_those_of_argon2() {
    let hasher = Hasher::new(&options()).unwrap();
    let ours = hashed(&hasher, "correct horse").await.unwrap();
    Argon2::default()
        .verify_password(b"correct horse", ours.as_str())
        .unwrap();
    let params = Params::new(128, 3, 2, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2i, Version::V0x10, params);
    let theirs = argon2.hash_password(b"correct horse").unwrap().to_string();
    assert_eq!(
        verified(&hasher, "correct horse", Some(theirs.clone()))
            .await
            .unwrap(),
        Verdict::RightButOutdated
    );
    assert_eq!(
        verified(&hasher, "wrong", Some(theirs)).await.unwrap(),
        Verdict::Wrong
    );
}

/// 19 MiB each, in production: as many blocks as hashes that run, however many wait, and none when idle.
#[tokio::test]
async fn hashes_that_follow_each_other_share_their_memory() {
    let hasher = Hasher::new(&options()).unwrap();
    let (release, work) = occupy(&hasher).await;
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let hasher = hasher.clone();
            tokio::spawn(async move {
                let turn = hasher.turn(LANE).await.unwrap();
                let work = |_: &Inner, memory: &mut Vec<Block>| {
                    let taken_anew = memory.is_empty();
                    hash_into(memory);
                    Ok(taken_anew)
                };
                hasher.run(turn, work).await.unwrap()
            })
        })
        .collect();
    until_waiting(&hasher, 20).await;
    drop(release);
    work.await.unwrap();
    let taken = futures::future::join_all(waiting).await;
    let taken_anew = taken.into_iter().filter(|taken| *taken.as_ref().unwrap());
    assert_eq!(taken_anew.count(), 1);
}

fn hash_into(memory: &mut Vec<Block>) {
    super::hash(&Params::new(64, 1, 1, None).unwrap(), b"x", memory).unwrap();
}

#[tokio::test]
async fn hashes_of_older_parameters_are_right_but_outdated() {
    let old = Hasher::new(&options()).unwrap();
    let hash = hashed(&old, "correct horse").await.unwrap();

    let new = Hasher::new(&HashOptions {
        iterations: 2,
        ..options()
    })
    .unwrap();
    assert_eq!(
        verified(&new, "correct horse", Some(hash.clone()))
            .await
            .unwrap(),
        Verdict::RightButOutdated
    );
    assert_eq!(
        verified(&new, "wrong", Some(hash)).await.unwrap(),
        Verdict::Wrong
    );
}

/// Occupies the only turn until the sender is dropped; returns once it has the turn.
async fn occupy(hasher: &Hasher) -> (mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
    let (release, released) = mpsc::channel::<()>();
    let (started, is_started) = tokio::sync::oneshot::channel();
    let hasher = hasher.clone();
    let work = tokio::spawn(async move {
        let turn = hasher.turn(LANE).await.unwrap();
        let work = hasher.run(turn, move |_, _| {
            started.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        });
        work.await.unwrap();
    });
    is_started.await.unwrap();
    (release, work)
}

async fn until_waiting(hasher: &Hasher, count: usize) {
    let all_wait = async {
        while hasher.0.turns.waiting() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_wait)
        .await
        .expect("each of them waits");
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
    let busy = hashed(&hasher, "correct horse").await;
    assert!(matches!(busy, Err(HashError::Busy)), "{busy:?}");
    assert_eq!(hasher.performed(), before, "nothing was spent on it");

    drop(release);
    work.await.unwrap();
    hashed(&hasher, "correct horse").await.unwrap();
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
    // The request is gone, but its hash still runs.
    let busy = hashed(&hasher, "correct horse").await;
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
            tokio::spawn(async move { verified(&hasher, "x", None).await })
        })
        .collect();
    until_waiting(&hasher, WAITING_PER_HASH).await;
    let turned_away = verified(&hasher, "x", None).await;
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
