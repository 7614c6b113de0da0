//! The schema, as it is published, and that it breaks no client of it.

mod breaking;

use std::path::Path;

/// `UPDATE_DOCS=1` writes down what is new. What breaks clients it does not write.
#[test]
fn the_schema_is_the_one_that_is_published() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/interfaces/schema.graphql");
    let sdl = gateway::sdl();
    let published = std::fs::read_to_string(&path)
        .expect("docs/interfaces/schema.graphql, without which any change would pass");
    let broken = breaking::broken(&published, &sdl);
    assert!(
        broken.is_empty(),
        "the published schema breaks. A field is deprecated and stays, beside the one that follows it:\n{}",
        broken.join("\n")
    );
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &sdl).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert!(
        published == sdl,
        "docs/interfaces/schema.graphql is not the schema: UPDATE_DOCS=1 writes it. It is now:\n{sdl}"
    );
}
