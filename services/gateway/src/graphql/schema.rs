//! The schema.

use async_graphql::Schema;

use super::mutation::Mutation;
use super::query::Query;
use super::subscription::Live;

pub(super) type Shop = Schema<Query, Mutation, Live>;

/// The schema, without limits of the library: [`super::weight`] has checked each request before.
pub(super) fn shop(introspection: bool) -> Shop {
    let schema = Schema::build(Query, Mutation, Live);
    if introspection {
        schema.finish()
    } else {
        schema.disable_introspection().finish()
    }
}

/// The schema in the schema definition language, as `docs/interfaces/schema.graphql` has it.
#[must_use]
pub fn sdl() -> String {
    shop(true).sdl()
}
