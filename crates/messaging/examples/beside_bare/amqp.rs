//! RabbitMQ: bare lapin, and ours.

use std::sync::Arc;

use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};
use messaging::amqp::{AmqpQueue, KEY_HEADER};
use messaging::{
    ConsumeOptions, DEAD_SUFFIX, Destination, Message, Publisher as _, Queue as _, Status,
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::meter::{Handled, Meter, Side};
use crate::{AnyError, IN_HAND, compare, in_background, unique};

/// Survives a restart of the broker.
const PERSISTENT: u8 = 2;

pub(crate) async fn run(pairs: usize, in_container: bool) -> Result<(), AnyError> {
    let mut container = None;
    if in_container {
        container = Some(containers::RabbitMq::own().await);
    }
    let started = container.as_ref().map(containers::RabbitMq::url);
    let Some(url) = started.or_else(|| std::env::var("AMQP_URL").ok()) else {
        println!("| RabbitMQ | left out: neither AMQP_URL nor --containers | | | |");
        return Ok(());
    };
    let (bare_queue, our_queue) = (unique("bare"), unique("ours"));
    let meter = Meter::new();
    let bare = Arc::new(Bare::open(&url, &bare_queue).await?);
    let (_connection, deliveries) = deliveries(&url, &bare_queue).await?;
    let working = in_background(work(deliveries, Arc::clone(&meter)));

    let queue = AmqpQueue::new(&url, "ours")?;
    queue.declare(&our_queue).await?;
    let (consumer, name, stop) = (queue.clone(), our_queue.clone(), CancellationToken::new());
    let (handler, stopped) = (Arc::new(Handled(Arc::clone(&meter))), stop.clone());
    let consuming = in_background(async move {
        let (options, status) = (options(), Status::ignore());
        Ok(consumer
            .consume(&name, options, handler, status, stopped)
            .await?)
    });
    let ours = Arc::new(Ours {
        queue,
        to: Destination::Queue(our_queue.clone()),
    });

    compare("RabbitMQ", pairs, &meter, &bare, &ours).await?;
    stop.cancel();
    working.abort();
    consuming.await?;
    let dead = format!("{our_queue}{DEAD_SUFFIX}");
    bare.delete([&bare_queue, &our_queue, &dead]).await
}

fn options() -> ConsumeOptions {
    ConsumeOptions {
        concurrency: IN_HAND,
        ..ConsumeOptions::default()
    }
}

struct Bare {
    channel: Channel,
    /// The client numbers a message and writes it in two steps; the broker numbers what arrives.
    in_order: Mutex<()>,
    queue: ShortString,
    _connection: Connection,
}

impl Bare {
    async fn open(url: &str, queue: &str) -> Result<Self, AnyError> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions::durable();
        channel
            .queue_declare(queue.into(), durable, quorum())
            .await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        Ok(Self {
            channel,
            in_order: Mutex::new(()),
            queue: queue.into(),
            _connection: connection,
        })
    }

    /// Leaves nothing behind at a broker that stays.
    async fn delete(&self, queues: [&str; 3]) -> Result<(), AnyError> {
        for queue in queues {
            let options = QueueDeleteOptions::default();
            self.channel.queue_delete(queue.into(), options).await?;
        }
        Ok(())
    }
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(-1));
    arguments
}

impl Side for Bare {
    async fn send(&self, message: Message) -> Result<(), AnyError> {
        let mut headers = FieldTable::default();
        let key = message.key.iter().map(|key| (KEY_HEADER, key));
        let named = message
            .headers
            .iter()
            .map(|(name, value)| (&name[..], value));
        for (name, value) in named.chain(key) {
            let value = AMQPValue::LongString(value.as_str().into());
            headers.insert(name.into(), value);
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_headers(headers);
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let confirmed = {
            let _in_order = self.in_order.lock().await;
            let (exchange, queue) = (ShortString::default(), self.queue.clone());
            let body = &message.payload;
            self.channel
                .basic_publish(exchange, queue, mandatory, body, properties)
                .await?
        };
        match confirmed.await? {
            Confirmation::Ack(None) => Ok(()),
            other => Err(format!("not stored: {other:?}").into()),
        }
    }
}

/// A consumer on a connection of its own, as ours has one: a broker holds back the whole connection of a publisher that is
/// too fast.
async fn deliveries(url: &str, queue: &str) -> Result<(Connection, Consumer), AnyError> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let prefetch = u16::try_from(IN_HAND)?;
    channel
        .basic_qos(prefetch, BasicQosOptions::default())
        .await?;
    let options = BasicConsumeOptions::default();
    let consumer = channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await?;
    Ok((connection, consumer))
}

/// Acknowledges each message after it was handled.
async fn work(mut deliveries: Consumer, meter: Arc<Meter>) -> Result<(), AnyError> {
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery?;
        meter.handled(&delivery.data);
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

struct Ours {
    queue: AmqpQueue,
    to: Destination,
}

impl Side for Ours {
    async fn send(&self, message: Message) -> Result<(), AnyError> {
        Ok(self.queue.publish(&self.to, message).await?)
    }
}
