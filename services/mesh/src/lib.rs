//! The service mesh of `deploy/mesh`: sidecars that speak TLS 1.3 with each other, and know each other by certificates.
//!
//! No service knows of it: this is what stands around them. Any other authority that hands out SPIFFE identities can take
//! the place of [`ca`] (`deploy/mesh/spire.md`).
//!
//! | where | what |
//! |---|---|
//! | `table.rs` | who may call whom |
//! | `envoy.rs`, `envoy/` | a sidecar's configuration, made from the table |
//! | `ca.rs`, `ca/` | the authority: certificates of one hour, replaced in time |

// `json!` expands a token at a time, and a sidecar's configuration has many.
#![recursion_limit = "256"]

pub mod ca;
pub mod envoy;
pub mod table;
