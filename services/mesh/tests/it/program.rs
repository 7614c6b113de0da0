//! The program `mesh`, as its container starts it.

use std::fs::File;
use std::process::{Command, Output};

use crate::Mesh;

fn mesh(arguments: &[&str], of: &Mesh) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mesh"))
        .args(arguments)
        .env("MESH_CERTIFICATES", &of.ca.certificates)
        .env("MESH_STATE", &of.ca.state)
        .output()
        .unwrap()
}

#[test]
fn once_writes_and_check_finds_it() {
    let of = Mesh::new();
    let missing = mesh(&["ca", "--check"], &of);
    assert!(!missing.status.success());
    let told = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("gateway has no certificate"), "{told}");
    assert!(mesh(&["ca", "--once"], &of).status.success());
    assert!(mesh(&["ca", "--check"], &of).status.success());
}

#[test]
fn one_process_at_a_time_keeps_them_fresh() {
    let of = Mesh::new();
    let other = File::create(of.ca.state.join("lock")).unwrap();
    other.lock().unwrap();
    let refused = mesh(&["ca", "--once"], &of);
    assert!(!refused.status.success());
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("another process keeps"), "{told}");
    assert!(!mesh(&["ca", "--check"], &of).status.success());
    // As when it was killed.
    drop(other);
    assert!(mesh(&["ca", "--once"], &of).status.success());
}

#[test]
fn what_is_left_unfinished_is_gone_after_a_start() {
    let of = Mesh::new();
    let left = of.ca.state.join("1000-2000.7.new");
    std::fs::create_dir(&left).unwrap();
    let _ = mesh(&["ca", "--check"], &of);
    assert!(left.exists(), "a check changes nothing");
    assert!(mesh(&["ca", "--once"], &of).status.success());
    assert!(!left.exists());
}

#[test]
fn another_authority_is_only_added() {
    let of = Mesh::new();
    of.pass(crate::NOW);
    let before = of.current("orders");
    assert!(mesh(&["ca", "--rotate-authority"], &of).status.success());
    assert_eq!(
        of.current("orders"),
        before,
        "whoever keeps them fresh writes them"
    );
    assert_eq!(std::fs::read_dir(&of.ca.state).unwrap().count(), 2);
}

/// `mesh config … | head -1`.
#[test]
fn a_configuration_that_nobody_reads_is_no_failure_to_tell_of() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_mesh"))
        .args(["config", "orders"])
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn what_cannot_work_is_one_line() {
    let of = Mesh::new();
    for (arguments, hint) in [
        (&["ca", "--once", "--life", "1s"][..], "--life"),
        (&["ca", "--once", "--authority-life", "3h"], "four times"),
        (
            &["ca", "--once", "--life", "9999999999999999999s"],
            "four times",
        ),
        (
            &["ca", "--once", "--state", "/proc/nowhere/state"],
            "/proc/nowhere",
        ),
        (&["config", "nobody"], "nobody"),
    ] {
        let output = mesh(arguments, &of);
        assert!(!output.status.success(), "{arguments:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told.trim_end().lines().count(), 1, "{told}");
        assert!(told.contains(hint), "{told}");
    }
    let help = mesh(&["ca", "--help"], &of);
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("--rotate-authority") && help.contains("spiffe://agora/SERVICE"));
}
