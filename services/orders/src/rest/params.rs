//! The parameters as the OpenAPI documents describe them, in both versions. Handlers read text, and refuse it with a problem.
#![expect(dead_code, reason = "only what they say to documents is used")]

use utoipa::IntoParams;
use uuid::Uuid;

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OrderId {
    /// The order's id.
    id: Uuid,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct UserId {
    /// The user's id.
    id: Uuid,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Idempotency {
    /// Printable ASCII, new for each new order.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        min_length = 1,
        max_length = 255,
        pattern = "^[ -~]+$"
    )]
    key: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct LastEvent {
    /// The sequence of the last change that was seen; the stream goes on behind it.
    #[param(rename = "Last-Event-ID", required = false, pattern = "^[0-9]{1,19}$")]
    id: String,
}
