//! The schema, as it is published.

use std::path::Path;

/// `UPDATE_DOCS=1` writes it.
#[test]
fn the_schema_is_the_one_that_is_published() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/interfaces/schema.graphql");
    let sdl = gateway::sdl();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &sdl).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == sdl,
        "docs/interfaces/schema.graphql is not the schema: UPDATE_DOCS=1 writes it. What changes or takes away a field \
         that is there breaks clients. It is now:\n{sdl}"
    );
}
