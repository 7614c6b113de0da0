//! Work that goes on while nobody asks for its result.
//!
//! What a stream does is done only while somebody reads it. A subscription that gets its turn while its reader takes nothing would
//! keep it, and what others wait for with it, for as long as such a reader is waited for.

use std::future::pending;
use std::panic::resume_unwind;

use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// Does this in a task of its own, in the current span. The task ends when nobody waits for it any more.
pub(super) async fn apart<F>(work: F) -> F::Output
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let task = AbortOnDropHandle::new(tokio::spawn(work.in_current_span()));
    match task.await {
        Ok(output) => output,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // While somebody waits, only the end of the runtime ends it.
            Err(_) => pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    /// The longest that any of this takes by far.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn it_goes_on_while_nobody_asks() {
        let (sender, done) = oneshot::channel();
        let mut asked = Box::pin(apart(async move { sender.send(7).ok() }));
        assert!(asked.as_mut().now_or_never().is_none(), "asked once");
        assert_eq!(timeout(PATIENCE, done).await.unwrap(), Ok(7));
        assert_eq!(asked.await, Some(()));
    }

    #[tokio::test]
    async fn it_ends_when_nobody_waits() {
        let (sender, ended) = oneshot::channel::<()>();
        let mut asked = Box::pin(apart(async move {
            pending::<()>().await;
            drop(sender);
        }));
        assert!(asked.as_mut().now_or_never().is_none(), "asked once");
        drop(asked);
        assert!(timeout(PATIENCE, ended).await.unwrap().is_err());
    }
}
