//! A cluster's life and its ends.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use embedded::Error;
use embedded::postgres::{Binaries, Cluster, OnExit, Options};
use embedded::testing::{Child, binaries};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::{Connection, PgConnection};

const PATIENCE: Duration = Duration::from_secs(20);
/// The user `nobody` and its group, where they have their usual numbers.
const NOBODY: &str = "65534:65534";

/// Goes on after its parent, as under `kill -9` of parent and watchdog; otherwise the default.
fn kept() -> Options {
    Options {
        on_exit: OnExit::Keep,
        ..Options::default()
    }
}

#[tokio::test]
async fn data_survives_a_clean_stop() {
    let top = directory();
    let directory = top.path().join("postgres");
    let cluster = start(&directory);
    cluster.create_database("shop").await.expect("a database");
    cluster
        .create_database("shop")
        .await
        .expect("the same once more");
    write(&cluster.url("shop"), 7).await;
    cluster.stop(PATIENCE);
    if geteuid().is_root() {
        // As when it was made before PostgreSQL was installed, which brought the user `postgres`.
        let mut chown = Command::new("chown");
        let given = chown.args(["-R", NOBODY]).arg(directory.join("data"));
        assert!(given.status().expect("chown").success());
    }
    let again = start(&directory);
    assert_eq!(read(&again.url("shop")).await, 7);
    again.stop(PATIENCE);
    let refusing = refusing_sockets(&top.path().join("bin"));
    let over_tcp = Cluster::start(&refusing, &directory, &kept()).expect("without a socket");
    assert_eq!(over_tcp.socket(), None);
    assert_eq!(read(&over_tcp.url("shop")).await, 7);
}

/// A server that behaves as on a directory which a container shares with another operating system: such file systems have no
/// sockets.
fn refusing_sockets(directory: &Path) -> Binaries {
    use std::os::unix::fs::PermissionsExt;
    let real = binaries();
    std::fs::create_dir(directory).expect("a directory");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, mode).expect("its mode");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *unix_socket_directories=/*)\n\
         echo 'FATAL:  could not create any Unix-domain sockets' >&2; exit 1;;\nesac\n\
         exec '{}' \"$@\"\n",
        real.directory.join("postgres").display()
    );
    // By another process: what a test that forks meanwhile has open for writing cannot be run.
    let write = "printf %s \"$1\" >\"$2\" && chmod 755 \"$2\"";
    let mut shell = Command::new("/bin/sh");
    let shell = shell.args(["-c", write, "sh", &script]);
    let written = shell.arg(directory.join("postgres")).status();
    assert!(written.expect("a shell").success());
    Binaries {
        directory: directory.to_owned(),
        ..real.clone()
    }
}

#[tokio::test]
async fn commits_survive_a_kill_of_the_server() {
    let top = directory();
    let directory = top.path().join("postgres");
    let mut cluster = start(&directory);
    cluster.create_database("shop").await.expect("a database");
    write(&cluster.url("shop"), 7).await;
    kill(cluster.pid(), Signal::KILL);
    until("the end of the server", || cluster.ended().is_some());
    let again = start(&directory);
    assert_eq!(read(&again.url("shop")).await, 7);
}

#[tokio::test]
async fn a_server_that_was_left_behind_is_replaced() {
    let top = directory();
    let directory = top.path().join("postgres");
    let left_behind = start(&directory);
    left_behind
        .create_database("shop")
        .await
        .expect("a database");
    write(&left_behind.url("shop"), 7).await;
    // A client that hangs on must not keep it from stopping.
    let mut client = PgConnection::connect(&left_behind.url("shop"))
        .await
        .expect("a connection");
    let pid = left_behind.pid();
    std::mem::forget(left_behind);

    let again = start(&directory);
    assert_ne!(again.pid(), pid);
    assert_eq!(read(&again.url("shop")).await, 7);
    assert!(client.ping().await.is_err(), "the old server has gone");
}

#[tokio::test]
async fn a_busy_backend_of_a_killed_server_is_replaced() {
    let top = directory();
    let directory = top.path().join("postgres");
    let mut cluster = start(&directory);
    let mut client = PgConnection::connect(&cluster.url("postgres"))
        .await
        .expect("a connection");
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut client)
        .await
        .expect("a pid");
    // It only looks whether its postmaster lives when it waits for something: here it never does.
    let busy = tokio::spawn(async move {
        // Longer than this test may take, but not for ever should it fail.
        let busy = "DO $$ BEGIN LOOP EXIT WHEN clock_timestamp() > now() + interval '60 s'; END LOOP; END $$";
        sqlx::raw_sql(busy).execute(&mut client).await.map(drop)
    });
    let busy_url = cluster.url("postgres");
    let mut observer = PgConnection::connect(&busy_url)
        .await
        .expect("a connection");
    loop {
        let state: Option<String> = sqlx::query_scalar(
            "SELECT query FROM pg_stat_activity WHERE pid = $1 AND state = 'active'",
        )
        .bind(backend)
        .fetch_optional(&mut observer)
        .await
        .expect("an answer");
        if state.is_some_and(|query| query.starts_with("DO")) {
            break;
        }
    }
    kill(cluster.pid(), Signal::KILL);
    until("the end of the server", || cluster.ended().is_some());
    let again = start(&directory);
    assert!(
        busy.await.expect("no panic").is_err(),
        "its backend has gone"
    );
    again.stop(PATIENCE);
}

#[test]
fn a_process_that_took_the_old_number_is_left_alone() {
    let top = directory();
    let directory = top.path().join("postgres");
    start(&directory).stop(PATIENCE);
    // Of the server's own user: PostgreSQL itself only minds those.
    let owner = std::fs::metadata(directory.join("data"))
        .expect("the data")
        .uid();
    let mut stranger = Command::new("sleep")
        .arg("60")
        .uid(owner)
        .spawn()
        .expect("a process");
    let file = directory.join("data/postmaster.pid");
    std::fs::write(
        &file,
        format!("{}\n{}\n", stranger.id(), directory.join("data").display()),
    )
    .expect("a pid file");
    let again = start(&directory);
    assert_eq!(
        stranger.try_wait().expect("a status"),
        None,
        "the stranger lives"
    );
    drop(again);
    stranger.kill().expect("to end it");
    stranger.wait().expect("its end");
}

#[tokio::test]
async fn two_clusters_run_side_by_side() {
    let top = directory();
    let one = start(&top.path().join("one"));
    let two = start(&top.path().join("two"));
    assert_ne!(one.url("postgres"), two.url("postgres"));
    write(&one.url("postgres"), 1).await;
    write(&two.url("postgres"), 2).await;
    assert_eq!(read(&one.url("postgres")).await, 1);
    assert_eq!(read(&two.url("postgres")).await, 2);
    let socket = one.socket().expect("a short path").display();
    let by_socket = format!("{}?host={socket}", one.url("postgres"));
    assert_eq!(read(&by_socket).await, 1);
    let mut connection = PgConnection::connect(&by_socket)
        .await
        .expect("a connection");
    let address: Option<String> = sqlx::query_scalar("SELECT inet_client_addr()::text")
        .fetch_one(&mut connection)
        .await
        .expect("an address or none");
    assert_eq!(address, None, "no TCP");
    let compression: String = sqlx::query_scalar("SHOW wal_compression")
        .fetch_one(&mut connection)
        .await
        .expect("a setting");
    assert!(
        ["lz4", "pglz"].contains(&compression.as_str()),
        "{compression}"
    );
}

#[test]
fn what_a_killed_initdb_left_is_made_anew() {
    let top = directory();
    let half = top.path().join("postgres.unfinished-0123/data/base");
    std::fs::create_dir_all(&half).expect("a directory");
    let cluster = start(&top.path().join("postgres"));
    assert!(!top.path().join("postgres.unfinished-0123").exists());
    drop(cluster);
}

#[test]
fn a_directory_with_other_things_is_refused() {
    let top = directory();
    let directory = top.path().join("postgres");
    std::fs::create_dir(&directory).expect("a directory");
    std::fs::write(directory.join("novel.txt"), "It was a dark night.").expect("a file");
    let error = Cluster::start(binaries(), &directory, &kept()).expect_err("not a cluster");
    assert!(matches!(error, Error::NotACluster(_)), "{error}");
    assert!(directory.join("novel.txt").exists());
}

#[test]
fn a_failed_start_shows_the_end_of_the_log() {
    let top = directory();
    let directory = top.path().join("postgres");
    start(&directory).stop(PATIENCE);
    let file = directory.join("data/postgresql.conf");
    let mut settings = std::fs::read_to_string(&file).expect("settings");
    settings.push_str("\nno_such_setting = 1\n");
    std::fs::write(&file, settings).expect("settings");
    let error = Cluster::start(binaries(), &directory, &kept()).expect_err("a bad setting");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn secrets_are_closed_and_passwords_are_needed() {
    use std::os::unix::fs::PermissionsExt;
    let top = directory();
    let directory = top.path().join("postgres");
    let cluster = start(&directory);
    for (name, mode) in [("password", 0o600), ("server.log", 0o600), ("data", 0o700)] {
        let permissions = std::fs::metadata(directory.join(name))
            .expect(name)
            .permissions();
        assert_eq!(permissions.mode() & 0o777, mode, "{name}");
    }
    let mut url: String = cluster.url("postgres");
    let at = url.find('@').expect("an @");
    url.replace_range(at - 1..at, "!");
    assert!(
        PgConnection::connect(&url).await.is_err(),
        "a wrong password"
    );
}

/// The child of the next test: starts a cluster, says so, and waits to be killed.
#[test]
#[ignore = "only run by the_cluster_ends_with_a_killed_process"]
fn child_with_a_cluster() {
    let Some(task) = embedded::testing::task() else {
        return;
    };
    let directory = PathBuf::from(task.as_str().expect("a directory"));
    let options = Options {
        on_exit: OnExit::Remove,
        ..Options::default()
    };
    let cluster = Cluster::start(binaries(), &directory.join("postgres"), &options);
    let pid = cluster.as_ref().expect("a cluster").pid();
    std::fs::write(directory.join("pid.new"), pid.to_string()).expect("a file");
    std::fs::rename(directory.join("pid.new"), directory.join("pid")).expect("a file");
    loop {
        std::thread::park();
    }
}

#[test]
fn the_cluster_ends_with_a_killed_process() {
    let top = directory();
    let task = serde_json::json!(top.path());
    let child = Child::start("postgres::child_with_a_cluster", &task);
    let file = top.path().join("pid");
    until("the child's cluster", || file.exists());
    let pid = std::fs::read_to_string(&file)
        .expect("a pid")
        .parse()
        .expect("a number");
    child.kill();
    until("the end of the server", || !alive(pid));
    until("the end of its directory", || {
        !top.path().join("postgres").exists()
    });
}

#[test]
fn there_is_nothing_where_nothing_is() {
    assert_eq!(Binaries::find_in(&[]), []);
    assert_eq!(Binaries::at("/nonexistent".as_ref()), None);
}

/// A directory that PostgreSQL's user can reach.
pub(crate) fn directory() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::Builder::new()
        .prefix("embedded-it-")
        .tempdir()
        .expect("a directory");
    let mode = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(directory.path(), mode).expect("its mode");
    directory
}

fn start(directory: &Path) -> Cluster {
    Cluster::start(binaries(), directory, &kept()).unwrap_or_else(|error| panic!("{error}"))
}

async fn write(url: &str, number: i32) {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    let statement = format!("CREATE TABLE number AS SELECT {number} AS value");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .expect("a table");
}

async fn read(url: &str) -> i32 {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    sqlx::query_scalar("SELECT value FROM number")
        .fetch_one(&mut connection)
        .await
        .expect("a row")
}

fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("to send a signal");
}

fn alive(pid: i32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains("postgres")
}

/// Waits for a condition. Looks again every few milliseconds, because nothing announces it.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
