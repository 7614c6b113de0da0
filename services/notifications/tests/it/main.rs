//! The service as it runs, on a real PostgreSQL and a mock Kafka, with a mail server that misbehaves.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod app;
mod broken;
mod facts;
mod letters;
mod mail_server;
mod mails;
mod once;
mod outage;
mod running;
mod silence;
mod smtp;
