//! What only the mesh of `deploy/mesh` can show: who is let in, who is not, and what becomes of it while certificates change
//! and sidecars die.

mod asking;
pub(crate) mod capture;
pub(crate) mod doors;
pub(crate) mod mishaps;
pub(crate) mod pods;
pub(crate) mod rotation;
pub(crate) mod sidecars;

// `compose` cannot ask the table: what the scenarios stand on knows no service.
const _: () = assert!(scenarios::compose::SECONDS.len() == mesh::table::DOUBLED.len());
