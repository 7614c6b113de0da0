//! The end of a client of librdkafka.

use std::ops::Deref;

/// Drops a client on a separate thread, since dropping waits for the client's threads, half a second or more without a broker,
/// and the last handle may be dropped by a task on a runtime with a single thread.
pub(super) struct EndsElsewhere<T: Send + 'static>(Option<T>);

impl<T: Send> EndsElsewhere<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send> Deref for EndsElsewhere<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl<T: Send> Drop for EndsElsewhere<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        let thread = std::thread::Builder::new().name("kafka closing".to_owned());
        // If no thread can be started, the client is dropped here, with the closure that was not run.
        let _ = thread.spawn(move || drop(client));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    use super::EndsElsewhere;

    struct Client(mpsc::Sender<ThreadId>);

    impl Drop for Client {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    #[test]
    fn whoever_drops_a_client_does_not_wait_for_its_end() {
        let (sender, ended) = mpsc::channel();
        drop(EndsElsewhere::new(Client(sender)));
        assert_ne!(ended.recv().unwrap(), thread::current().id());
    }
}
