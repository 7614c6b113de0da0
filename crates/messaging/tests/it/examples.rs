//! The examples that need no broker, and the others without one. `tests/containers` has those with one.

use std::process::Output;

use containers::example;
use tokio::net::TcpSocket;

fn run(name: &str, url: Option<&str>) -> Output {
    let mut command = example("messaging", name);
    match url {
        Some(url) => command.env("AMQP_URL", url),
        None => command.env_remove("AMQP_URL"),
    };
    command.output().unwrap()
}

fn prints(name: &str) -> String {
    let output = run(name, None);
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn in_process_queue_tries_again_and_gives_up() {
    let printed = prints("in_process_queue");
    let tries: Vec<_> = printed
        .lines()
        .filter(|line| line.starts_with("try "))
        .collect();
    assert_eq!(
        tries,
        [
            "try 1 of dog.jpg",
            "try 1 of cat.jpg",
            "try 2 of cat.jpg",
            "try 3 of cat.jpg",
            "try 1 of notes.txt",
            "try 1 of last.jpg",
        ]
    );
    assert!(printed.contains("the worker has stopped"), "{printed}");
}

#[test]
fn kafka_stream_keeps_the_order_of_each_key_for_each_group() {
    let printed = prints("kafka_stream");
    for group in ["alarms", "archive"] {
        for sensor in ["roof", "cellar", "yard"] {
            let line = format!("{group}: {sensor} 20.1 20.4 21.0\n");
            assert!(printed.contains(&line), "{line} is missing: {printed}");
        }
    }
}

#[test]
fn without_a_broker_an_example_says_in_one_line_what_to_do() {
    // Nobody listens there, and nobody else gets the port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let url = format!("amqp://guest:hunter2@127.0.0.1:{port}/%2f");
    for name in ["rabbitmq_point_to_point", "rabbitmq_publish_subscribe"] {
        let output = run(name, Some(&url));
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        for word in ["docker run", "AMQP_URL"] {
            assert!(said.contains(word), "{name}: {said}");
        }
        assert!(!said.contains("hunter2"), "{name} shows the password");
    }
}
