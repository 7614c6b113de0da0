//! The example that a learner begins with does what it says.

use containers::example;

#[test]
fn hello_is_sent_twice_and_counted_once() {
    let output = example("outbox", "hello").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = "handled: delivery 1\nhandled: delivery 2\ngreetings: 1\n";
    assert_eq!(said, expected, "{errors}");
}
