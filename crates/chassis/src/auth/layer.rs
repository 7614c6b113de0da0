//! The token check as a tower layer, for axum and for tonic.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use axum::response::IntoResponse;
use tower::{Layer, Service};

use super::{AuthError, Verifier};
use crate::problem::Problem;
use crate::{BoxError, grpc};

/// When to try again after the keys could not be had.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Checks the token of each HTTP request; refusals are problem documents.
///
/// | `Authorization` | what happens |
/// |---|---|
/// | none | passes, without a [`super::Caller`]: routes that need one take it as an extractor |
/// | a good token | passes, with the [`super::Caller`] in the request's extensions |
/// | anything else | 401 with `WWW-Authenticate`, even where no token is needed |
/// | unknown, and no keys to tell | 503 with `Retry-After` |
pub fn http_layer(verifier: Verifier) -> AuthLayer {
    AuthLayer {
        verifier,
        refuse: refuse_http,
    }
}

/// The same for tonic: `UNAUTHENTICATED`, and `UNAVAILABLE` with retry info. Handlers use
/// [`super::grpc_caller`].
pub fn grpc_layer(verifier: Verifier) -> AuthLayer {
    AuthLayer {
        verifier,
        refuse: refuse_grpc,
    }
}

/// See [`http_layer`] and [`grpc_layer`].
#[derive(Clone)]
pub struct AuthLayer {
    verifier: Verifier,
    refuse: fn(&AuthError) -> Response<Body>,
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService {
            inner,
            verifier: self.verifier.clone(),
            refuse: self.refuse,
        }
    }
}

/// The service that [`AuthLayer`] makes.
#[derive(Clone)]
pub struct AuthService<S> {
    inner: S,
    verifier: Verifier,
    refuse: fn(&AuthError) -> Response<Body>,
}

impl<S, B, R> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The clone is not known to be ready, the original is.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let (verifier, refuse) = (self.verifier.clone(), self.refuse);
        Box::pin(async move {
            // A caller is only ever what this layer found.
            request.extensions_mut().remove::<super::Caller>();
            match bearer(request.headers()) {
                Ok(None) => {}
                Ok(Some(token)) => match verifier.verify(token).await {
                    Ok(caller) => {
                        request.extensions_mut().insert(caller);
                    }
                    Err(error) => return Ok(refuse(&error)),
                },
                Err(error) => return Ok(refuse(&error)),
            }
            Ok(inner.call(request).await?.map(Body::new))
        })
    }
}

/// The token; none where there is no `Authorization`. Two of them, or another scheme, is an error.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(AuthError::Invalid);
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(AuthError::Invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some(token.trim()))
    } else {
        Err(AuthError::Invalid)
    }
}

fn refuse_http(error: &AuthError) -> Response<Body> {
    let problem = match error {
        AuthError::KeysUnavailable => Problem::unavailable(RETRY_AFTER, error.to_string()),
        AuthError::Missing => Problem::unauthorized(),
        AuthError::Invalid => Problem::unauthorized()
            .with_detail(error.to_string())
            .with_header(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer error=\"invalid_token\""),
            ),
    };
    problem.into_response()
}

fn refuse_grpc(error: &AuthError) -> Response<Body> {
    let status = match error {
        AuthError::KeysUnavailable => grpc::unavailable(error.to_string(), RETRY_AFTER),
        AuthError::Missing | AuthError::Invalid => {
            tonic::Status::unauthenticated(error.to_string())
        }
    };
    status.into_http()
}
