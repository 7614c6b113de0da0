//! The token check as a tower layer, for axum and for tonic.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::{HeaderMap, Request, header};
use tower::{Layer, Service};

use super::refusal::Refused;
use super::{AuthError, Caller, Verifier};

/// Authenticates the caller of each request, over HTTP or gRPC. It refuses no request: each route decides whether it
/// needs a caller.
///
/// | `Authorization` | the request goes on with | a route that needs a [`Caller`](super::Caller) answers |
/// |---|---|---|
/// | none | nothing | 401, `UNAUTHENTICATED` |
/// | a good token | the [`Caller`](super::Caller) in its extensions | what it answers |
/// | anything else | the reason, [`Refused`] | 401 with `WWW-Authenticate`, `UNAUTHENTICATED` |
/// | a token, but no keys to check it | the reason, [`Refused`] | 503 with `Retry-After`, `UNAVAILABLE` with retry info |
///
/// Routes take the caller as an extractor, or from [`super::grpc_caller`]. A caller with an expired token has the same
/// access as one without a token: public routes stay open to it.
pub fn layer(verifier: Verifier) -> AuthLayer {
    AuthLayer { verifier }
}

/// See [`layer`].
#[derive(Clone)]
pub struct AuthLayer {
    verifier: Verifier,
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService {
            inner,
            verifier: self.verifier.clone(),
        }
    }
}

/// The service that [`AuthLayer`] creates.
#[derive(Clone)]
pub struct AuthService<S> {
    inner: S,
    verifier: Verifier,
}

impl<S, B> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The original was polled ready, its clone was not, so the original is used.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let verifier = self.verifier.clone();
        Box::pin(async move {
            let found = match bearer(request.headers()) {
                Ok(None) => None,
                Ok(Some(token)) => Some(verifier.verify(token).await),
                Err(error) => Some(Err(error)),
            };
            let extensions = request.extensions_mut();
            // A caller that something else put there must not be trusted.
            extensions.remove::<Caller>();
            match found {
                None => {}
                Some(Ok(caller)) => drop(extensions.insert(caller)),
                Some(Err(error)) => drop(extensions.insert(Refused(error))),
            }
            inner.call(request).await
        })
    }
}

/// The token; `None` if there is no `Authorization`. Several headers, or another scheme, are an error.
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
