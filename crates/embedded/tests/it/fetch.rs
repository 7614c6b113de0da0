//! Binaries from the network, once. This needs a network, like the build itself.

use embedded::postgres::{Binaries, Cluster, FETCHED_MAJOR, OnExit, Options, cached, fetch};

#[tokio::test(flavor = "multi_thread")]
async fn fetched_binaries_work_and_are_kept() {
    let top = super::postgres::directory();
    let cache = top.path().join("cache");
    assert_eq!(cached(&cache, FETCHED_MAJOR), None);
    // What a killed fetch leaves behind.
    std::fs::create_dir_all(cache.join("unfinished/half")).expect("a directory");
    // Two at the same time: one fetches, the other waits for it.
    let (one, two) = tokio::join!(fetch(&cache, FETCHED_MAJOR), fetch(&cache, FETCHED_MAJOR));
    let binaries = one.expect("fetched");
    assert_eq!(two.expect("fetched"), binaries);
    assert_eq!(binaries.major, FETCHED_MAJOR);
    assert_eq!(cached(&cache, FETCHED_MAJOR).as_ref(), Some(&binaries));
    assert_eq!(cached(&cache, FETCHED_MAJOR - 1), None);
    assert!(!cache.join("unfinished").exists(), "leftovers go away");

    let options = Options {
        on_exit: OnExit::Remove,
        ..Options::default()
    };
    let directory = top.path().join("postgres");
    let cluster = Cluster::start(&binaries, &directory, &options).expect("a cluster");
    cluster.create_database("shop").await.expect("a database");
    drop(cluster);
    assert_eq!(
        Cluster::major(&directory).expect("a cluster"),
        Some(FETCHED_MAJOR)
    );

    // The binaries of the machine may be others, and then must not touch it.
    let other = Binaries {
        major: FETCHED_MAJOR - 1,
        ..binaries
    };
    let error = Cluster::start(&other, &directory, &options).expect_err("another major version");
    assert!(
        error.to_string().contains("was made by PostgreSQL 17"),
        "{error}"
    );
}
