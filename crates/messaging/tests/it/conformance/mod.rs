//! What every engine promises: one suite, run on each of them. What one of them does not do by its nature is in
//! [`nature`], and asserted like everything else.

pub(crate) mod delivery;
pub(crate) mod effects;
pub(crate) mod ends;
pub(crate) mod engines;
pub(crate) mod input;
pub(crate) mod nature;
pub(crate) mod observed;
pub(crate) mod order;
pub(crate) mod outages;
pub(crate) mod processes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use messaging::{Delivery, Destination, Handler, Message, Publisher, Status};

use crate::support::{Recorder, Running, body};
pub(crate) use nature::Nature;
use observed::Named;
use processes::Seat;

/// An engine with one destination that several can subscribe to.
pub(crate) trait Engine: Sized {
    const NATURE: Nature;

    /// On a broker that other tests use, too.
    async fn start() -> Self;
    /// On a broker that may be stopped and killed.
    async fn start_own() -> Self {
        Self::start().await
    }
    fn publisher(&self) -> Arc<dyn Publisher>;
    fn destination(&self) -> Destination;
    /// Publishes to the destination as somebody else's program does: past the limits of this crate.
    async fn publish_foreign(&self, message: Message);
    /// What is published after it returns reaches the handler. The same name after a stop goes on
    /// where it stopped, if the engine keeps messages.
    async fn subscribe_on(
        &self,
        name: &str,
        handler: Arc<dyn Handler>,
        terms: Terms,
        status: Status,
    ) -> Running;
    /// Where a subscriber of that name can be another process, which finds what is published from now on; none where it cannot.
    async fn seat(&self, name: &str) -> Option<Seat>;
    /// What metrics call what a subscriber of that name gets.
    fn named(&self, name: &str) -> Named;
    /// A name whose metrics are this engine's own: those of all engines are in one process.
    fn own_name(&self) -> String {
        "one".to_owned()
    }
    /// A reader of what a subscriber of that name has parked; none where nothing is kept.
    async fn read_parked(&self, name: &str, handler: Arc<dyn Handler>) -> Option<Running>;
    /// Takes the broker away, with everything that it holds.
    async fn take_away(&self);
    /// Brings it back.
    async fn bring_back(&self);
    /// Kills the broker and starts it again on what is left.
    async fn kill_and_restart(&mut self);

    async fn subscribe(&self, name: &str, handler: Arc<dyn Handler>) -> Running {
        self.subscribe_on(name, handler, Terms::default(), Status::ignore())
            .await
    }

    async fn publish(&self, message: Message) {
        self.publisher()
            .publish(&self.destination(), message)
            .await
            .unwrap();
    }

    async fn publish_bodies(&self, bodies: &[&str]) {
        for text in bodies {
            let message = Message::new((*text).to_owned()).with_key("k");
            self.publish(message).await;
        }
    }

    /// Subscribes and stops again, so that messages are kept for the name, if they ever are.
    async fn introduce(&self, name: &str) {
        self.subscribe(name, Recorder::new()).await.stop().await;
    }

    /// Asserts that a subscriber of that name finds these messages and no others; where nothing is kept it finds none.
    async fn assert_left(&self, name: &str, kept: bool, bodies: &[&str]) {
        let handler = Recorder::new();
        let running = self.subscribe(name, handler.clone()).await;
        self.publish_bodies(&["the last"]).await;
        let left = if kept { bodies } else { &[] };
        let mut wanted = [left, &["the last"]].concat();
        wanted.sort_unstable();
        // What comes twice counts once.
        let distinct = |done: &Vec<Delivery>| done.iter().map(body).collect::<BTreeSet<_>>();
        let what = format!("{} messages that were left", wanted.len());
        let done = handler.wait(&what, |done| distinct(done).len() >= wanted.len());
        let found = distinct(&done.await);
        let found: Vec<_> = found.iter().map(String::as_str).collect();
        assert_eq!(found, wanted);
        running.stop().await;
    }
}

/// What a case wants of a consumer.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// Between two tries, at first and at most.
    pub(crate) pause: [Duration; 2],
    /// For what is in hand at a stop.
    pub(crate) drain: Duration,
    /// Until the message of a consumer that died belongs to another, where nobody tells that it died.
    pub(crate) lease: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            pause: [4, 20].map(Duration::from_millis),
            drain: Duration::from_secs(3),
            lease: Duration::from_secs(30),
        }
    }
}

/// Hands the names of all cases to a macro.
macro_rules! with_all_cases {
    ($use:ident! { $($arguments:tt)* }) => {
        $use! { $($arguments)*
            delivery::a_message_arrives_as_it_was,
            delivery::each_subscriber_gets_each_message,
            delivery::a_transient_failure_is_tried_again,
            delivery::a_permanent_failure_is_not_tried_again_and_its_neighbours_go_on,
            delivery::a_panic_does_not_end_the_consumer_and_its_neighbours_go_on,
            effects::a_message_that_comes_three_times_has_one_effect,
            delivery::a_destination_of_another_kind_is_rejected,
            ends::a_stop_finishes_the_message_in_hand,
            ends::what_was_not_done_at_a_stop_comes_again,
            ends::what_a_dead_consumer_had_in_hand_comes_again,
            processes::what_a_killed_process_had_in_hand_comes_again,
            ends::a_slow_handler_keeps_its_message,
            ends::a_handler_that_never_ends_does_not_hold_up_a_stop,
            ends::stops_under_load_lose_nothing,
            order::each_key_keeps_its_order_while_consumers_come_and_go,
            order::a_message_that_fails_is_not_overtaken,
            order::poison_does_not_hold_up_its_neighbours,
            observed::what_becomes_of_messages_is_counted,
            input::what_cannot_be_read_is_parked_and_the_rest_is_handled,
            input::what_is_too_large_is_rejected,
            input::a_large_message_that_cannot_be_read_does_not_hold_up_its_neighbours,
            outages::published_means_stored,
            outages::a_broker_that_is_away_is_waited_for,
        }
    };
}
#[allow(unused_imports, reason = "the containers target uses it from outside")]
pub(crate) use with_all_cases;

macro_rules! conformance {
    ($module:ident, $engine:ty; $($group:ident::$case:ident),* $(,)?) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$group::$case::<$engine>().await;
            })*
        }
    };
}

with_all_cases!(conformance! { kafka, super::engines::OnMockKafka; });
with_all_cases!(conformance! { postgres, super::engines::OnPostgres; });
with_all_cases!(conformance! { memory, super::engines::InMemory; });
