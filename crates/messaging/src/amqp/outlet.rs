//! A channel that publishes and waits for the broker's confirmation.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use tokio::sync::Mutex;

use crate::MessagingError;

/// See the module.
pub(super) struct Outlet {
    channel: Channel,
    // The client numbers a message and writes it in two steps; the broker numbers what arrives. Without this lock, two
    // messages at once could get each other's confirmation.
    order: Mutex<()>,
}

/// Why a message was not confirmed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No queue took it.
    Unroutable,
    /// The queue did not take it now: it is full, or most of its replicas are away.
    Nack,
    /// There was no answer, and none can arrive on this channel any more.
    Lost(String),
}

impl Outlet {
    pub(super) async fn open(connection: &Connection) -> Result<Self, MessagingError> {
        let unavailable = |error: lapin::Error| MessagingError::Unavailable(error.to_string());
        let channel = connection.create_channel().await.map_err(unavailable)?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .map_err(unavailable)?;
        Ok(Self {
            channel,
            order: Mutex::new(()),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.channel.status().connected()
    }

    /// Returns when the message is stored in each queue that it was routed to.
    pub(super) async fn send(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: BasicProperties,
        body: &[u8],
        deadline: Duration,
    ) -> Result<(), Refusal> {
        let answer = async {
            let confirm = {
                let _in_order = self.order.lock().await;
                self.channel
                    .basic_publish(
                        ShortString::from(exchange),
                        ShortString::from(routing_key),
                        // Mandatory: a message that no queue takes comes back instead of being dropped.
                        BasicPublishOptions {
                            mandatory: true,
                            ..BasicPublishOptions::default()
                        },
                        body,
                        properties,
                    )
                    .await?
            };
            confirm.await
        };
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(()),
            Ok(Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)))) => {
                Err(Refusal::Unroutable)
            }
            Ok(Ok(Confirmation::Nack(None))) => Err(Refusal::Nack),
            Ok(Ok(Confirmation::NotRequested)) => {
                Err(Refusal::Lost("the channel does not confirm".into()))
            }
            Ok(Err(error)) => Err(Refusal::Lost(error.to_string())),
            Err(_late) => Err(Refusal::Lost(format!(
                "no answer within {} s",
                deadline.as_secs()
            ))),
        }
    }
}
