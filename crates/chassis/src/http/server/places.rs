//! The places of connections: limited by the server's configuration and by the descriptors of the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::crowd::Crowd;
use super::shared::Shared;

/// How long a connection or request that was told to end has for it before the next one is told.
const ROOM: Duration = Duration::from_millis(20);

/// The source of the places for the connections of one server.
pub(super) struct Places {
    own: Arc<Semaphore>,
    /// `None` if this server has reserved descriptors.
    shared: Option<&'static Shared>,
    crowd: Arc<Crowd>,
}

/// The place of a connection.
#[derive(Debug)]
pub(super) struct Place {
    _own: OwnedSemaphorePermit,
    _shared: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(connections_max: usize, reserved: bool, crowd: &Arc<Crowd>) -> Self {
        let shared = (!reserved).then(Shared::of_process);
        if let Some(shared) = shared {
            shared.register(crowd);
        }
        Self {
            own: Arc::new(Semaphore::new(connections_max)),
            shared,
            crowd: Arc::clone(crowd),
        }
    }

    /// Waits for a place for one more connection. While there is none, the longest idle connections are closed; if none is idle,
    /// those that wait for nothing but their readers, and requests that wait for their senders end, of whoever has the most;
    /// requests that are being processed are kept.
    pub(super) async fn take(&self) -> Option<Place> {
        let own = take(&self.own, || self.make_room(None)).await?;
        let of_process = match self.shared {
            Some(shared) => Some(take(&shared.places, || self.make_room(Some(shared))).await?),
            None => None,
        };
        Some(Place {
            _own: own,
            _shared: of_process,
        })
    }

    /// A place if one is free.
    pub(super) fn try_take(&self) -> Option<Place> {
        let own = Arc::clone(&self.own).try_acquire_owned().ok()?;
        let of_process = match self.shared {
            Some(shared) => Some(Arc::clone(&shared.places).try_acquire_owned().ok()?),
            None => None,
        };
        Some(Place {
            _own: own,
            _shared: of_process,
        })
    }

    /// Makes room after the system ran out of descriptors.
    pub(super) fn descriptors_ran_out(&self) {
        self.make_room(self.shared);
    }

    /// Makes room at this server, or at any of those that share their descriptors.
    fn make_room(&self, at: Option<&Shared>) {
        // If there is nobody who could, it is tried again.
        let _ = match at {
            Some(shared) => shared.close_idlest() || shared.end_stalled(),
            None => self.crowd.close_idlest() || self.crowd.end_stalled(),
        };
    }
}

async fn take(places: &Arc<Semaphore>, make_room: impl Fn()) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    loop {
        make_room();
        let place = Arc::clone(places).acquire_owned();
        if let Ok(place) = tokio::time::timeout(ROOM, place).await {
            return place.ok();
        }
    }
}
