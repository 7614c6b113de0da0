//! A gRPC door: the layer around every call ([`standard`]), the server ([`serve`]), and statuses with details.
//!
//! ```no_run
//! # use chassis::{Fatal, Shutdown, auth, grpc, limits};
//! # async fn run(listener: tokio::net::TcpListener, verifier: auth::Verifier, shutdown: Shutdown) -> Result<(), Fatal> {
//! let (_reporter, health) = tonic_health::server::health_reporter();
//! let methods = grpc::Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET])?; // of all services
//! let router = tonic::service::Routes::new(health) // and `.add_service(..)` for each further one
//!     .into_axum_router()
//!     .layer(auth::layer(verifier))
//!     .layer(grpc::standard("users", methods, limits::Limits::default())); // outermost: refused calls are traced and counted, too
//! grpc::serve(listener, router, grpc::Options::default(), shutdown).await
//! # }
//! ```

mod form;
mod methods;
mod observe;
mod status;

use axum::Router;
use tokio::net::TcpListener;

pub use crate::http::Options;
use crate::{Fatal, Shutdown, http};

pub use methods::Methods;
pub use observe::{StandardLayer, StandardService, standard};
pub use status::{Quota, exhausted, invalid, unavailable, unrepeatable};

/// Serves gRPC until the shutdown, then drains: see [`http::serve`], which it uses. gRPC is HTTP/2, so that one server
/// with one way to stop is enough.
///
/// # Errors
/// The errors of [`http::serve`].
pub async fn serve(
    listener: TcpListener,
    router: impl Into<GrpcRouter>,
    options: Options,
    shutdown: Shutdown,
) -> Result<(), Fatal> {
    http::serve(listener, router.into().0, options, shutdown).await
}

/// What [`serve`] accepts: tonic's `Routes` (without layers), or the axum router that they were converted to in order
/// to add layers.
pub struct GrpcRouter(Router);

impl From<Router> for GrpcRouter {
    fn from(router: Router) -> Self {
        Self(router)
    }
}

impl From<tonic::service::Routes> for GrpcRouter {
    fn from(routes: tonic::service::Routes) -> Self {
        Self(routes.into_axum_router())
    }
}
