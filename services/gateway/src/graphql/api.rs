//! The state that requests and sockets share.

use chassis::auth::Verifier;
use chassis::http::streams::Streams;

use super::persisted::Persisted;
use super::schema::Shop;
use super::services::Services;
use super::settings::Settings;
use crate::limits::layer::Limits;
use crate::rest::Shared;

pub(super) struct Api {
    pub(super) shop: Shop,
    pub(super) services: Services,
    pub(super) gateway: Shared,
    pub(super) persisted: Persisted,
    pub(super) settings: Settings,
    pub(super) streams: Streams,
    pub(super) verifier: Verifier,
    pub(super) limits: Limits,
}
