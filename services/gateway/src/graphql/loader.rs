//! Data loaders: what the fields of one level ask for one by one is asked for in one call.
//!
//! A batch closes when every field that can go on has gone on ([`Idle`]). It is no task of its own, so that the call is inside of
//! the request: its deadline, its span and its cancellation are the request's. (async-graphql's `DataLoader` spawns a task after
//! a delay, and hands none of the three on.)

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use async_graphql::Result;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, ready};
use parking_lot::Mutex;

use super::idle::Idle;

/// What belongs to keys, or why that cannot be told. What has neither does not exist.
pub(super) type Answers<K, V> = HashMap<K, Result<V>>;

/// Fetches what belongs to keys.
pub(super) trait Fetch: Send + Sync + 'static {
    /// What is asked by.
    type Key: Hash + Eq + Clone + Send + Sync;
    /// What is answered.
    type Value: Clone + Send + Sync;

    /// One call for all of them, as far as they fit into one. A call that fails does so for its own keys.
    fn fetch(
        &self,
        keys: Vec<Self::Key>,
    ) -> impl Future<Output = Answers<Self::Key, Self::Value>> + Send;
}

type Found<F> = Arc<Answers<<F as Fetch>::Key, <F as Fetch>::Value>>;
type Batch<F> = Shared<BoxFuture<'static, Found<F>>>;

/// Gathers keys and asks for them together, each of them once. Made for one request: what it remembers is what this
/// caller may see, as it was when it was asked for.
pub(super) struct Loader<F: Fetch> {
    fetch: Arc<F>,
    idle: Arc<Idle>,
    state: Mutex<State<F>>,
}

struct State<F: Fetch> {
    /// The batch of each key, under way or answered.
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

    /// What belongs to the key; none if there is nothing.
    ///
    /// # Errors
    /// Those of the call, for all who asked in it.
    pub(super) async fn load(&self, key: F::Key) -> Result<Option<F::Value>> {
        let batch = self.batch(&key);
        batch.await.get(&key).cloned().transpose()
    }

    /// Remembers what came another way, so that it is not asked for.
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
