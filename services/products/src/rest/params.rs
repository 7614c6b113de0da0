//! The parameters as the OpenAPI documents describe them, in both versions. Handlers read text, and refuse it with a problem.
#![expect(dead_code, reason = "only what they say to documents is used")]

use utoipa::IntoParams;
use uuid::Uuid;

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ProductId {
    /// The product's id.
    id: Uuid,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// What the name or the description must contain.
    #[param(required = false, max_length = 100)]
    q: String,
    /// The product that the page begins behind, in place of a page token.
    #[param(required = false)]
    after: Uuid,
}
