//! Why a request is refused before any of its fields is answered, and why a field is.

use async_graphql::{ErrorExtensions, Pos, ServerError};
use chassis::problem::Problem;
use client::CallError;
use uuid::Uuid;

use crate::error::from_call;

/// A request that cannot be executed: a problem of the kind `bad-request` unless it says otherwise.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) problem: Problem,
    /// Where in the document, if at one place.
    pub(super) at: Option<Pos>,
}

impl Refusal {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Problem::bad_request(detail).into()
    }

    /// There is more of something than may be.
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

/// Fields are named alike in JSON bodies and here, but for the case: `/items/0/product_id` is `/items/0/productId`.
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

/// An id that a service answered.
///
/// # Errors
/// `bad-gateway` for what is none.
pub(super) fn known_id(peer: &str, id: &str) -> async_graphql::Result<Uuid> {
    Uuid::try_parse(id).map_err(|failed| {
        let (peer, detail) = (peer.to_owned(), failed.to_string());
        of_call(CallError::Decode { peer, detail })
    })
}

/// A field that is null when it fails, so that those beside it are there: the library takes only `Option<Result>` for that, and
/// leaves a field out that is a `Result<Option>`.
pub(super) async fn nullable<T>(
    field: impl Future<Output = async_graphql::Result<Option<T>>>,
) -> Option<async_graphql::Result<T>> {
    field.await.transpose()
}
