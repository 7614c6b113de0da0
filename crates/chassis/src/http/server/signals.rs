//! What all connections of a server are told at its end.

use std::time::Duration;

use futures::Stream;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::Shutdown;

/// See the module.
#[derive(Clone, Copy)]
pub(super) enum Signal {
    /// To end at once.
    CutOff,
    /// To close when idle: the shutdown has begun `linger` ago.
    Stop,
}

/// The signals as they come. Each is looked at only when it wakes its connection: to poll one takes locks that all connections
/// share, and a connection is polled a few times for each request.
pub(super) fn signals<'a>(
    cut_off: &'a CancellationToken,
    shutdown: &'a Shutdown,
    linger: Duration,
) -> impl Stream<Item = Signal> + Unpin + use<'a> {
    let told = move |signal: Signal| async move {
        match signal {
            Signal::CutOff => cut_off.cancelled().await,
            Signal::Stop => {
                shutdown.cancelled().await;
                tokio::time::sleep(linger).await;
            }
        }
        signal
    };
    FuturesUnordered::from_iter([Signal::CutOff, Signal::Stop].map(told))
}
