//! The chassis over real sockets, real processes and a real PostgreSQL.

// clippy.toml allows these in tests; helpers outside of `#[test]` functions are tests, too.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod auth;
mod body_limit;
mod config;
mod db;
mod extract;
mod grpc;
mod health;
mod healthcheck;
mod page;
mod problem;
mod process;
mod server;
mod standard;
mod support;
mod tasks;
mod telemetry;
