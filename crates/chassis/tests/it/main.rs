//! The chassis over real sockets, real processes and a real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "clippy.toml allows them in test functions, not in their helpers"
)]

mod abandoned;
mod admin;
mod admin_access;
mod auth;
mod body_limit;
mod caller;
mod config;
mod db;
mod db_tls;
mod dead_letters;
mod deadline;
mod environment;
mod extract;
mod grpc;
mod health;
mod healthcheck;
mod hops;
mod load;
mod page;
mod problem;
mod process;
mod resets;
mod server;
mod sidecar;
mod slow;
mod standard;
mod support;
mod switches;
mod tasks;
mod telemetry;
mod upgrade;
