//! The events of this service.

use chassis::trace;
use contracts::{events::UserCreated, queues, topics};
use envelope::Event;
use messaging::Destination;
use outbox::{OutboxError, Transaction};

use crate::domain::User;

/// The receivers of the event of a new account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Services that keep a copy of the users, and those that welcome new ones.
    Everybody,
    /// Only services that keep a copy: an operator's account gets no welcome mail.
    Stream,
}

/// Announces `user` in the transaction that created it: the same event, with one outbox row for each destination.
pub(crate) fn created(
    tx: &mut Transaction,
    user: &User,
    audience: Audience,
) -> Result<(), OutboxError> {
    let data = UserCreated {
        user_id: user.id,
        email: user.email.clone(),
        name: user.name.clone(),
    };
    // The first event of its aggregate, and so far the only one.
    let event = Event::new(data)
        .with_sequence(1)
        .with_trace(trace::current());
    let topic = Destination::Topic(topics::USER_EVENTS.to_owned());
    tx.tell(&topic, &event)?;
    if audience == Audience::Everybody {
        let exchange = Destination::Exchange(queues::USER_CREATED.to_owned());
        tx.tell(&exchange, &event)?;
    }
    Ok(())
}
