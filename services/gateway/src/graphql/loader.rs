//! Data loaders: the keys that the fields of one level request one by one are fetched in one call.
//!
//! A batch closes when the execution is idle ([`Idle`]). It is not a separate task, so that deadline, span and cancellation of
//! the request apply to its call. (async-graphql's `DataLoader` spawns a task after a delay, which loses all three.)

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use async_graphql::Result;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, ready};
use parking_lot::Mutex;

use super::idle::Idle;

/// The value of each key, or the error of its call. A key without an entry does not exist.
pub(super) type Answers<K, V> = HashMap<K, Result<V>>;

/// Fetches the values of keys.
pub(super) trait Fetch: Send + Sync + 'static {
    /// The type of the keys.
    type Key: Hash + Eq + Clone + Send + Sync;
    /// The type of the values.
    type Value: Clone + Send + Sync;

    /// Fetches all keys, in one call if they fit into one. A failed call fails only its own keys.
    fn fetch(
        &self,
        keys: Vec<Self::Key>,
    ) -> impl Future<Output = Answers<Self::Key, Self::Value>> + Send;
}

type Found<F> = Arc<Answers<<F as Fetch>::Key, <F as Fetch>::Value>>;
type Batch<F> = Shared<BoxFuture<'static, Found<F>>>;

/// Collects keys and fetches them together, each once. Created for one request, since its cache holds what this caller may
/// see, at the time of the call.
pub(super) struct Loader<F: Fetch> {
    fetch: Arc<F>,
    idle: Arc<Idle>,
    state: Mutex<State<F>>,
}

struct State<F: Fetch> {
    /// The batch of each key, pending or complete.
    batches: HashMap<F::Key, Batch<F>>,
    /// The batch that keys can still be added to.
    open: Option<Open<F>>,
}

struct Open<F: Fetch> {
    keys: Arc<Mutex<Option<Vec<F::Key>>>>,
    batch: Batch<F>,
}

impl<F: Fetch> Loader<F> {
    pub(super) fn new(fetch: F, idle: Arc<Idle>) -> Self {
        let (batches, open) = (HashMap::new(), None);
        Self {
            fetch: Arc::new(fetch),
            idle,
            state: Mutex::new(State { batches, open }),
        }
    }

    /// The value of the key; `None` if it does not exist.
    ///
    /// # Errors
    /// The error of the call, for all keys in it.
    pub(super) async fn load(&self, key: F::Key) -> Result<Option<F::Value>> {
        let batch = self.batch(&key);
        batch.await.get(&key).cloned().transpose()
    }

    /// Caches a value that another call returned, so that it is not fetched.
    pub(super) fn know(&self, key: F::Key, value: F::Value) {
        let known = HashMap::from([(key.clone(), Ok(value))]);
        let batch = ready(Arc::new(known)).boxed().shared();
        self.state.lock().batches.entry(key).or_insert(batch);
    }

    fn batch(&self, key: &F::Key) -> Batch<F> {
        let mut state = self.state.lock();
        if let Some(batch) = state.batches.get(key) {
            return batch.clone();
        }
        let joined = state.open.as_ref().and_then(|open| {
            open.keys.lock().as_mut()?.push(key.clone());
            Some(open.batch.clone())
        });
        let batch = joined.unwrap_or_else(|| {
            let open = self.begin(key.clone());
            let batch = open.batch.clone();
            state.open = Some(open);
            batch
        });
        state.batches.insert(key.clone(), batch.clone());
        batch
    }

    fn begin(&self, key: F::Key) -> Open<F> {
        let keys = Arc::new(Mutex::new(Some(vec![key])));
        let (fetch, idle) = (Arc::clone(&self.fetch), Arc::clone(&self.idle));
        let gathered = Arc::clone(&keys);
        let batch = async move {
            idle.wait().await;
            let keys = gathered.lock().take().unwrap_or_default();
            Arc::new(fetch.fetch(keys).await)
        };
        Open {
            keys,
            batch: batch.boxed().shared(),
        }
    }
}
