//! Decoding of requests: GraphQL over HTTP.

use std::sync::Arc;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
};
use async_graphql::{Value, Variables};
use axum::body::Body;
use chassis::extract::Document;
use chassis::http::body_limit::exceeded;
use chassis::problem::Problem;
use http::{HeaderMap, StatusCode, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;

use super::asking::Asking;
use super::persisted::Persisted;
use super::refusal::Refusal;
use super::{emptied, lifted, members, merged, once, tokens, typenames, uses, weight};
use crate::limits::client::Client;

/// The longest body and the longest query string, in bytes.
pub(super) const BYTES_MAX: usize = 32 * 1024;
const _: () = assert!(
    uses::USES_MAX >= 2 * BYTES_MAX,
    "a variable that is used once can be as long as a body"
);

/// Their names in a query string.
const PARAMETERS: [&str; 4] = ["query", "operationName", "variables", "extensions"];

/// The parameters of a request, as the specification names them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<Document>,
    extensions: Option<Extensions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extensions {
    persisted_query: Option<PersistedQuery>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersistedQuery {
    version: u32,
    sha256_hash: String,
}

/// A request that is within all limits.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) document: ExecutableDocument,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Variables,
    /// Whether [`emptied`] has marked the document.
    pub(super) is_marked: bool,
}

impl Asked {
    /// Reads the body of a `POST`. Only JSON, since a page of another origin can make a browser send forms and text, but not JSON.
    ///
    /// # Errors
    /// 415, 413, 400.
    pub(super) async fn from_body(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        if !is_json(headers) {
            return Err(Problem::unsupported_media_type());
        }
        let body = Limited::new(body, BYTES_MAX).collect().await;
        let body = body.map_err(|failed| {
            let too_long = failed.is::<LengthLimitError>() || exceeded(&*failed).is_some();
            if too_long {
                Problem::payload_too_large(BYTES_MAX)
            } else {
                Problem::bad_request(crate::error::BROKEN_OFF)
            }
        })?;
        let body = body.to_bytes();
        if body.trim_ascii_start().starts_with(b"[") {
            let detail = "one operation at a time: a batch is not taken";
            return Err(Problem::bad_request(detail));
        }
        serde_json::from_slice(&body)
            .map_err(|failed| Problem::bad_request(format!("the body is not a request: {failed}")))
    }

    /// Reads the query string of a `GET`.
    ///
    /// # Errors
    /// 414, 400.
    pub(super) fn from_query(uri: &Uri) -> Result<Self, Problem> {
        let query = uri.query().unwrap_or_default();
        if query.len() > BYTES_MAX {
            return Err(Problem::from_status(StatusCode::URI_TOO_LONG));
        }
        let mut asked = Self::default();
        let mut given = [false; PARAMETERS.len()];
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let json = |failed: serde_json::Error| {
                Problem::bad_request(format!("{name} is not what it should be: {failed}"))
            };
            // As in a body: which of two counts cannot be told, and whoever looked at it before may have taken the other.
            if let Some(at) = PARAMETERS.iter().position(|known| *known == name)
                && std::mem::replace(&mut given[at], true)
            {
                return Err(Problem::bad_request(format!(
                    "{name} is given more than once"
                )));
            }
            match &*name {
                "query" => asked.query = Some(value.into_owned()),
                "operationName" => asked.operation_name = Some(value.into_owned()),
                "variables" => {
                    asked.variables = Some(serde_json::from_str(&value).map_err(json)?);
                }
                "extensions" => {
                    asked.extensions = serde_json::from_str(&value).map_err(json)?;
                }
                _ => {}
            }
        }
        Ok(asked)
    }

    /// Parses it, within limits that are checked first, for this client.
    ///
    /// # Errors
    /// Names the limit that is exceeded, or the syntax error.
    pub(super) fn check(
        self,
        persisted: &Persisted,
        introspection: bool,
        client: Client,
    ) -> Result<Checked, Refusal> {
        let query = self.extensions.and_then(|all| all.persisted_query);
        let (query, is_persisted): (Arc<str>, _) = match (query, self.query) {
            (
                Some(PersistedQuery {
                    version: 1,
                    sha256_hash,
                }),
                query,
            ) => (persisted.resolve(query, &sha256_hash)?, true),
            (Some(_), _) => return Err(Refusal::new("persistedQuery.version must be 1")),
            (None, Some(query)) => (query.into(), false),
            (None, None) => return Err(Refusal::new("there is no query")),
        };
        let variables = given(self.variables)?;
        tokens::check(&query)?;
        uses::check(&query, &variables)?;
        let mut document = parse_query(&*query).map_err(|failed| {
            let at = failed.positions().next().unwrap_or_default();
            Refusal::new(failed.to_string()).at(at)
        })?;
        members::check(&query)?;
        weight::check(&document, &variables, introspection)?;
        typenames::wrap(&mut document)?;
        if is_persisted {
            persisted.remember(&query, client);
        }
        let mut checked = Checked {
            document,
            // As the specification has it for `GET`: a form has an empty field where nothing was written.
            operation_name: self.operation_name.filter(|name| !name.is_empty()),
            variables,
            is_marked: false,
        };
        checked.check_operation()?;
        checked.fill_in_defaults()?;
        uses::check(&query, &checked.variables)?;
        checked.check_fields()?;
        lifted::lift(&mut checked.document, &checked.variables);
        checked.is_marked = emptied::mark(&mut checked.document, &checked.variables);
        Ok(checked)
    }
}

impl Checked {
    /// The request to execute, for this caller.
    pub(super) fn request(self, asking: Asking) -> async_graphql::Request {
        let mut request = async_graphql::Request::new("")
            .variables(self.variables)
            .data(asking);
        request.operation_name = self.operation_name;
        request.set_parsed_query(self.document);
        request
    }

    /// Here and not by the library: whoever decides by the type of the operation what to do with it would decide by none.
    ///
    /// # Errors
    /// If it does not say which of several operations is meant, or names one that is not there.
    fn check_operation(&self) -> Result<(), Refusal> {
        match (self.operation(), &self.operation_name) {
            (Some(_), _) => Ok(()),
            (None, Some(_)) => Err(Refusal::new("no operation has the name operationName")),
            (None, None) => Err(Refusal::new(
                "there are several operations: operationName must say which one is meant",
            )),
        }
    }

    /// Gives each variable that was not sent its default, or null. The library does so for arguments, but not for `@skip` and
    /// `@include`, to which it would be false; and an argument with such a variable it does not validate.
    ///
    /// # Errors
    /// If a variable is required, which the library would find while it executes; if one is null whose type is not, which it finds only
    /// where the place that it is used in may not be null either.
    fn fill_in_defaults(&mut self) -> Result<(), Refusal> {
        let chosen = chosen(&self.document, self.operation_name.as_deref());
        let definitions = chosen
            .into_iter()
            .flat_map(|operation| &operation.variable_definitions);
        for definition in definitions {
            let name = &definition.node.name.node;
            match self.variables.get(name) {
                Some(Value::Null) if !definition.node.var_type.node.nullable => {
                    let refusal = Refusal::new(format!("the variable ${name} must not be null"));
                    return Err(refusal.at(definition.pos));
                }
                Some(_) => continue,
                None => {}
            }
            let Some(default) = definition.node.default_value() else {
                let refusal = Refusal::new(format!("the variable ${name} is required"));
                return Err(refusal.at(definition.pos));
            };
            self.variables.insert(name.clone(), default.clone());
        }
        Ok(())
    }

    fn check_fields(&self) -> Result<(), Refusal> {
        let Some(operation) = chosen(&self.document, self.operation_name.as_deref()) else {
            return Ok(());
        };
        if operation.ty == OperationType::Mutation {
            once::check(operation, &self.document, &self.variables)?;
        }
        merged::check(operation, &self.document, &self.variables)
    }

    /// The type of the operation that would be executed; `None` if there is none or it is ambiguous, which nothing is that was
    /// checked.
    pub(super) fn operation(&self) -> Option<OperationType> {
        chosen(&self.document, self.operation_name.as_deref()).map(|operation| operation.ty)
    }
}

/// The operation of this name; without a name, the only one. One that has no name has none that could be asked for.
fn chosen<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a OperationDefinition> {
    let found = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name),
        (DocumentOperations::Multiple(all), None) => all.values().next().filter(|_| all.len() == 1),
    };
    found.map(|operation| &operation.node)
}

/// The variables of a request.
///
/// # Errors
/// If they are no object.
fn given(variables: Option<Document>) -> Result<Variables, Refusal> {
    match variables {
        None | Some(Document(serde_json::Value::Null)) => Ok(Variables::default()),
        Some(Document(object @ serde_json::Value::Object(_))) => Ok(Variables::from_json(object)),
        Some(_) => Err(Refusal::new("variables must be an object")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let essence = value
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
