//! The answers of `grpc.health.v1`.

use std::time::Duration;

use chassis::Shutdown;
use chassis::health::Health;
use contracts::products::v1::catalog_service_server::CatalogServiceServer;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::Catalog;

/// The interval of the checks of the service's health.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The services whose health is reported; the empty name stands for the whole server.
const SERVICES: [&str; 2] = ["", <CatalogServiceServer<Catalog> as NamedService>::NAME];

/// Reports the state of `/readyz` in `grpc.health.v1`.
pub(crate) struct Serving(pub(super) HealthReporter);

impl Serving {
    /// Reports the state of `health` until `shutdown`, and NOT_SERVING from then on, so that callers go elsewhere.
    pub(crate) async fn follow(self, health: Health, shutdown: Shutdown) {
        while !shutdown.is_triggered() {
            self.tell(if health.is_ready() {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            })
            .await;
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        self.tell(ServingStatus::NotServing).await;
    }

    async fn tell(&self, status: ServingStatus) {
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }
}
