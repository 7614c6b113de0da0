//! The example that a learner begins with does what it says.

use std::process::Command;

/// `cargo test` builds the examples of what it tests; where one target was chosen, it is built here.
fn hello() -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let example = profile.join("examples").join("hello");
    if !example.exists() {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package",
                "outbox",
                "--example",
                "hello",
            ])
            .arg("--target-dir")
            .arg(profile.parent().unwrap())
            .status();
        assert!(built.unwrap().success());
    }
    Command::new(example)
}

#[test]
fn hello_is_sent_twice_and_counted_once() {
    let output = hello().output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = "received: First\nreceived: Duplicate\ngreetings: 1\n";
    assert_eq!(said, expected, "{errors}");
}
