//! What goes over the wire, pinned: a diff here is a change of contract.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod breaking;
mod payloads;
mod protos;
mod rest;
