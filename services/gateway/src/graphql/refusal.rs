//! Errors of whole requests and of single fields.

use async_graphql::{ErrorExtensions, Pos, ServerError};
use chassis::problem::Problem;
use client::CallError;
use uuid::Uuid;

use crate::error::from_call;

/// A request that cannot be executed: a problem, of the kind `bad-request` by default.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) problem: Problem,
    /// The position in the document, if there is one.
    pub(super) at: Option<Pos>,
}

impl Refusal {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Problem::bad_request(detail).into()
    }

    /// The document exceeds a limit.
    pub(super) fn limit(what: &str, max: usize) -> Self {
        Self::new(format!("the query may have at most {max} {what}"))
    }

    pub(super) fn at(mut self, at: Pos) -> Self {
        self.at = Some(at);
        self
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, at: None }
    }
}

impl From<Refusal> for ServerError {
    fn from(refusal: Refusal) -> Self {
        error(&refusal.problem).into_server_error(refusal.at.unwrap_or_default())
    }
}

/// A failed call as the error of the field that needs it.
pub(super) fn of_call(error: CallError) -> async_graphql::Error {
    self::error(&from_call(error))
}

/// A problem as the error of a field: its `code` is the last part of the problem's `type`.
pub(super) fn error(problem: &Problem) -> async_graphql::Error {
    let message = problem.detail().unwrap_or(problem.kind().title);
    async_graphql::Error::new(message).extend_with(|_, extensions| {
        extensions.set("code", problem.kind().slug);
        extensions.set("title", problem.kind().title);
        extensions.set("status", problem.status().as_u16());
        if let Some(seconds) = problem.retry_after_s() {
            extensions.set("retryAfter", seconds);
        }
        if !problem.errors().is_empty() {
            let errors = problem.errors().iter().map(|error| {
                let mut object = async_graphql::indexmap::IndexMap::new();
                let text = |text: &str| async_graphql::Value::String(text.to_owned());
                object.insert(
                    async_graphql::Name::new("pointer"),
                    text(&camel_case(&error.pointer)),
                );
                object.insert(async_graphql::Name::new("detail"), text(&error.detail));
                async_graphql::Value::Object(object)
            });
            extensions.set("errors", async_graphql::Value::List(errors.collect()));
        }
    })
}

/// Fields have the same names as in JSON bodies, in camel case: `/items/0/product_id` is `/items/0/productId`.
fn camel_case(pointer: &str) -> String {
    let mut camel = String::with_capacity(pointer.len());
    let mut upper = false;
    for c in pointer.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                camel.extend(c.to_uppercase());
                upper = false;
            }
            c => camel.push(c),
        }
    }
    camel
}

/// Parses an id in the answer of a service.
///
/// # Errors
/// `bad-gateway` if it is not an id.
pub(super) fn known_id(peer: &str, id: &str) -> async_graphql::Result<Uuid> {
    Uuid::try_parse(id).map_err(|failed| {
        let (peer, detail) = (peer.to_owned(), failed.to_string());
        of_call(CallError::Decode { peer, detail })
    })
}

/// A field that is null when it fails, so that its siblings are still answered. The library does this only for
/// `Option<Result>`; it omits a field whose `Result<Option>` is an error.
pub(super) async fn nullable<T>(
    field: impl Future<Output = async_graphql::Result<Option<T>>>,
) -> Option<async_graphql::Result<T>> {
    field.await.transpose()
}
