//! The router and the document, from one list of handlers.

use axum::Router;
use serde_json::{Map, Value};
use utoipa::openapi::path::Paths;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::UtoipaMethodRouter;

use super::{DocumentError, Info, Mistake, ProblemDocument, empty, examples, problems};

/// Routes, and what the document says of them.
///
/// ```
/// # use chassis::openapi::{Info, Routes, routes};
/// /// Says hello.
/// #[utoipa::path(get, path = "/hello/{name}", operation_id = "hello", params(("name" = String, Path)),
///     responses((status = 200, body = String)))]
/// async fn hello() -> &'static str { "hello" }
///
/// let routes = Routes::<()>::below("/v1").with(routes!(hello));
/// let info = Info { title: "Hello", version: "1", description: "", refusals: &[], kinds: Vec::new };
/// let document = routes.document(&info).expect("unique names");
/// assert_eq!(document["paths"]["/v1/hello/{name}"]["get"]["operationId"], "hello");
/// let router: axum::Router = routes.router();
/// ```
pub struct Routes<S = ()> {
    root: String,
    router: Router<S>,
    paths: Paths,
    /// As they came, so that two of one name can be told from one that is used twice.
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None yet; those that are added have their paths below `root`, which is empty or begins with `/`.
    #[must_use]
    pub fn below(root: &str) -> Self {
        Self {
            root: root.to_owned(),
            router: Router::new(),
            paths: Paths::new(),
            schemas: Vec::new(),
        }
    }

    /// The handlers of one path, from [`routes!`](super::routes). The path is written out and not nested: axum rebuilds the
    /// URI of a nested request.
    #[must_use]
    pub fn with(mut self, (schemas, paths, methods): UtoipaMethodRouter<S>) -> Self {
        debug_assert_eq!(paths.paths.len(), 1, "handlers of one path");
        for (path, item) in paths.paths {
            let path = format!("{}{path}", self.root);
            self.router = self.router.route(&path, methods.clone());
            self.paths.paths.insert(path, item);
        }
        self.schemas.extend(schemas);
        self
    }

    /// These and the others.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.paths.paths.extend(other.paths.paths);
        self.schemas.extend(other.schemas);
        self
    }

    /// What serves them.
    pub fn router(self) -> Router<S> {
        self.router
    }

    /// What describes them.
    ///
    /// # Errors
    /// When two schemas or two operations have one name, or a handler names an unknown kind of problem.
    pub fn document(&self, info: &Info) -> Result<Value, DocumentError> {
        let mut document = empty(info, self.schemas()?);
        document["paths"] = serde_json::to_value(&self.paths)?;
        problems::by_shape(&mut document, info)?;
        problems::complete(&mut document, &(info.kinds)());
        examples::of_answers(&mut document);
        Ok(document)
    }

    fn schemas(&self) -> Result<Map<String, Value>, DocumentError> {
        let mut schemas = Map::new();
        let problem = (
            ProblemDocument::name().into_owned(),
            ProblemDocument::schema(),
        );
        let mistake = (Mistake::name().into_owned(), Mistake::schema());
        for (name, schema) in self.schemas.iter().chain([&problem, &mistake]) {
            let schema = serde_json::to_value(schema)?;
            match schemas.get(name) {
                Some(known) if *known != schema => {
                    return Err(DocumentError::TwoSchemas(name.clone()));
                }
                _ => schemas.insert(name.clone(), schema),
            };
        }
        Ok(schemas)
    }
}

#[cfg(test)]
mod tests {
    use super::super::routes;
    use super::*;
    use crate::problem::{Kind, kinds};

    const INFO: Info = Info {
        title: "Test",
        version: "1",
        description: "",
        refusals: &[kinds::INTERNAL_ERROR, kinds::BAD_REQUEST],
        kinds: || kinds::ALL.to_vec(),
    };

    mod one {
        #[derive(utoipa::ToSchema)]
        #[schema(example = json!({"size": 7}))]
        #[expect(dead_code, reason = "only its schema is used")]
        pub(super) struct Thing {
            size: u32,
        }
    }

    mod other {
        #[derive(utoipa::ToSchema)]
        #[expect(dead_code, reason = "only its schema is used")]
        pub(super) struct Thing {
            weight: u32,
        }
    }

    #[utoipa::path(get, path = "/one", operation_id = "one", responses((status = 200, body = one::Thing)))]
    async fn first() {}

    #[utoipa::path(get, path = "/other", operation_id = "other", responses((status = 200, body = other::Thing)))]
    async fn second() {}

    #[utoipa::path(get, path = "/twin", operation_id = "one", responses((status = 204)))]
    async fn twin() {}

    #[utoipa::path(get, path = "/odd", operation_id = "odd", responses((status = 204)),
        extensions(("x-problems" = json!(["no-such"]))))]
    async fn odd() {}

    #[utoipa::path(put, path = "/things/{id}", operation_id = "put", params(("id" = String, Path)),
        request_body = one::Thing, security(("bearer" = [])), responses((status = 204)),
        extensions(("x-problems" = json!(["conflict"]))))]
    async fn put() {}

    fn of(routes: Routes<()>) -> Result<Value, DocumentError> {
        routes.document(&INFO)
    }

    #[test]
    fn two_types_of_one_name_are_found() {
        let both = Routes::below("").with(routes!(first)).with(routes!(second));
        assert_eq!(of(both), Err(DocumentError::TwoSchemas("Thing".into())));
        let twice = Routes::below("")
            .with(routes!(first))
            .merge(Routes::below("/v2").with(routes!(twin)));
        assert_eq!(of(twice), Err(DocumentError::TwoOperations("one".into())));
    }

    #[test]
    fn a_kind_that_is_not_declared_is_found() {
        let unknown = DocumentError::UnknownKind {
            operation: "odd".into(),
            slug: "no-such".into(),
        };
        assert_eq!(of(Routes::below("").with(routes!(odd))), Err(unknown));
    }

    #[test]
    fn an_answer_shows_the_example_of_its_type() {
        let document = of(Routes::below("").with(routes!(first))).unwrap();
        let answer = &document["paths"]["/one"]["get"]["responses"]["200"];
        let content = answer["content"].as_object().unwrap();
        assert_eq!(content.len(), 1);
        for shown in content.values() {
            assert_eq!(shown["example"], serde_json::json!({"size": 7}));
        }
    }

    /// Every status that follows from what an operation takes, each with its kinds.
    #[test]
    fn refusals_follow_from_the_shape() {
        let document = of(Routes::below("/v1").with(routes!(put))).unwrap();
        let operation = &document["paths"]["/v1/things/{id}"]["put"];
        let answers = operation["responses"].as_object().unwrap();
        let statuses: Vec<_> = answers.keys().collect();
        assert_eq!(
            statuses,
            ["204", "400", "401", "404", "409", "415", "422", "500"]
        );
        assert_eq!(
            answers["409"]["$ref"],
            "#/components/responses/409.conflict"
        );
        assert!(operation.get("x-problems").is_none());
        let shared = &document["components"]["responses"]["409.conflict"];
        let example = &shared["content"]["application/problem+json"]["examples"]["conflict"];
        assert_eq!(example["value"]["type"], "/problems/conflict");
        assert_eq!(shared.get("headers"), None);
    }

    /// What comes with a refusal is said of it, by what its remedy tells to read as well as by its status.
    #[test]
    fn refusals_have_the_headers_that_go_with_them() {
        let running = Kind {
            slug: "running",
            remedy: "Wait as long as `Retry-After` says.",
            ..kinds::CONFLICT
        };
        let known = [kinds::ALL, &[running]].concat();
        for (kind, expected) in [
            (running, vec!["Retry-After"]),
            (kinds::UNAUTHORIZED, vec!["WWW-Authenticate"]),
            (kinds::OVERLOADED, vec!["Retry-After"]),
            (
                kinds::TOO_MANY_REQUESTS,
                vec!["RateLimit", "RateLimit-Policy", "Retry-After"],
            ),
            (kinds::NOT_FOUND, vec![]),
        ] {
            let mut document = of(Routes::below("").with(routes!(first))).unwrap();
            problems::refuse(&mut document["paths"]["/one"]["get"], &[kind]);
            problems::complete(&mut document, &known);
            let name = format!("{}.{}", kind.status.as_u16(), kind.slug);
            let headers = document["components"]["responses"][&name]["headers"].as_object();
            let mut headers: Vec<_> = headers.into_iter().flat_map(Map::keys).collect();
            headers.sort();
            assert_eq!(headers, expected, "{name}");
        }
    }
}
