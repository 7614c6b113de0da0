//! The examples that need RabbitMQ.

use std::process::Output;

use containers::{RabbitMq, Test, example};

/// Runs an example on the broker of all tests; the names of its queues are its own.
async fn prints(name: &'static str) -> String {
    let url = RabbitMq::shared().await.url();
    let run = move || {
        let mut command = example("messaging", name);
        command.env("AMQP_URL", url).output().unwrap()
    };
    let output: Output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn point_to_point_does_each_job_once_and_shows_the_dead_letter() {
    let printed = prints("rabbitmq_point_to_point").await;
    for picture in [
        "1.jpg, try 1",
        "2.jpg, try 1",
        "3.jpg, try 2",
        "4.jpg, try 1",
    ] {
        let line = format!(": {picture}\n");
        assert_eq!(printed.matches(&line).count(), 1, "{line}: {printed}");
    }
    assert!(
        printed.contains("dead letters: notes.txt is here because: not a picture\n"),
        "{printed}"
    );
}

async fn publish_subscribe_copies_to_each_subscriber() {
    let printed = prints("rabbitmq_publish_subscribe").await;
    let (before, after) = printed.split_once("the other subscriber was away").unwrap();
    for picture in ["dog.jpg", "cat.jpg"] {
        let search = format!("example.upload.search got {picture}\n");
        let thumbnails = format!("example.upload.thumbnails got {picture}\n");
        assert!(before.contains(&search), "{printed}");
        assert!(after.contains(&thumbnails), "{printed}");
    }
}

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "examples::point_to_point_does_each_job_once_and_shows_the_dead_letter",
            point_to_point_does_each_job_once_and_shows_the_dead_letter,
        ),
        Test::new(
            "examples::publish_subscribe_copies_to_each_subscriber",
            publish_subscribe_copies_to_each_subscriber,
        ),
    ]
}
