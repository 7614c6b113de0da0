//! The places of connections: as many as the server may have, and as the process has descriptors for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::crowd::Crowd;
use super::shared::Shared;

/// How long whoever was told to make room has for it before the next is told.
const ROOM: Duration = Duration::from_millis(20);
/// How long a request may have kept us waiting before it makes room for a connection.
const STALLED: Duration = Duration::from_secs(1);

/// Where the connections of one server get their places.
pub(super) struct Places {
    own: Arc<Semaphore>,
    /// None: this server has descriptors of its own.
    shared: Option<&'static Shared>,
    crowd: Arc<Crowd>,
}

/// The place of a connection.
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

    /// A place for one more, once there is one. While there is none, the idlest connections make room, and then the
    /// requests that have waited for their senders longest; those that are worked on stay.
    pub(super) async fn take(&self) -> Option<Place> {
        let own = take(&self.own, || self.make_room(self.crowd.close_idlest())).await?;
        let of_process = match self.shared {
            Some(shared) => {
                Some(take(&shared.places, || self.make_room(shared.close_idlest())).await?)
            }
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

    /// What to do when the system has no descriptors left.
    pub(super) fn descriptors_ran_out(&self) {
        let closed = self
            .shared
            .map_or_else(|| self.crowd.close_idlest(), Shared::close_idlest);
        self.make_room(closed);
    }

    fn make_room(&self, closed_idle: bool) {
        if !closed_idle {
            self.crowd.senders.end_longest(STALLED);
        }
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
