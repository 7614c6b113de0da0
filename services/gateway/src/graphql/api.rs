//! The state that requests and sockets share.

use async_graphql::Response;
use chassis::auth::Verifier;
use chassis::http::streams::Streams;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::asking::Asking;
use super::emptied;
use super::persisted::Persisted;
use super::request::Checked;
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

impl Api {
    /// The answers of a subscription.
    pub(super) fn stream(&self, checked: Checked, asking: Asking) -> BoxStream<'static, Response> {
        let is_marked = checked.is_marked;
        let answers = self.shop.execute_stream(checked.request(asking));
        if !is_marked {
            return answers;
        }
        let unmarked = answers.map(|mut answer| {
            emptied::unmark(&mut answer.data);
            answer
        });
        unmarked.boxed()
    }
}
