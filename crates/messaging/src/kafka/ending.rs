//! The end of a client of librdkafka.

use std::ops::Deref;

/// Ends what it holds on a thread of its own. The end of a client waits for the client's threads, half a second and
/// more when there is no broker; and whoever drops the last handle may be a task of the runtime, with one thread for all
/// of a small service.
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
        // Where no thread can be had it ends here, with the closure that was not run.
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
