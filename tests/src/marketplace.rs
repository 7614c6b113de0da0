//! What every infrastructure can do: the scenarios know nothing else of where they run.

use std::time::Duration;

use crate::mail::Mail;
use crate::shop::Shop;
use crate::tap::Tap;

/// A process of the marketplace that was asked to stop, and did.
#[derive(Debug)]
pub struct Stopped {
    /// Its name.
    pub process: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// From the signal to its end.
    pub took: Duration,
}

/// A running marketplace, and what an operator does with it. Dropping it removes all of it.
///
/// The methods panic when the infrastructure does not do what it is asked: that is a failed scenario.
pub trait Marketplace: Send + Sync {
    /// The base URL of a service that can be reached: `gateway`, `users` (gRPC).
    fn endpoint(&self, service: &str) -> String;

    /// A reader of the event streams that belongs to nobody.
    fn tap(&self, topics: &[&str]) -> Tap;

    /// The URL of a service's database, by the service's name.
    fn database(&self, service: &str) -> String;

    /// The source of every mail that contains `needle`; nothing while the mail catcher is too busy to say.
    fn mails_naming(&self, needle: &str) -> Option<Vec<String>>;

    /// Every mail to an address; nothing if that cannot be said at this moment.
    fn mails_to(&self, address: &str) -> Option<Vec<Mail>>;

    /// The administrator's email and password.
    fn administrator(&self) -> (String, String);

    /// Everything that the services have logged.
    fn log(&self) -> String;

    /// Whether all services die together. If not, those that are left answer for those that are gone.
    fn is_one_process(&self) -> bool;

    /// `kill -9` of every service, at once.
    fn kill(&mut self);

    /// Starts again what was killed, on the same data, and waits until all is ready.
    fn restart(&mut self);

    /// Asks every service to stop, as a deploy does, and waits until all have.
    fn stop(&mut self) -> Vec<Stopped>;

    /// The longest that a process may take to stop.
    fn stop_max(&self) -> Duration;

    /// A client of its gateway.
    fn shop(&self) -> Shop {
        Shop::new(&self.endpoint("gateway"))
    }
}
