//! Writes the document.

use std::collections::BTreeSet;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::CHANNELS;
use super::parts::{Channel, Group, Message};

/// The AsyncAPI document of all services.
#[must_use]
pub fn document() -> Value {
    let mut writer = Writer::default();
    for channel in CHANNELS {
        writer.channel(channel);
    }
    let (messages, schemas) = messages();
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "Agora: events and jobs",
            "version": "1",
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "stream": {"host": "kafka:9092", "protocol": "kafka", "description": "Facts. One topic for each kind of aggregate."},
            "queue": {"host": "rabbitmq:5672", "protocol": "amqp",
                "description": "Work. Without an `AMQP_URL` the same queues are tables in PostgreSQL."},
        },
        "channels": writer.channels,
        "operations": writer.operations,
        "components": {"messages": messages, "schemas": schemas},
    })
}

/// The types of the messages that a service handles of a channel, as the document says: for the service's tests, which compare
/// them with its handlers.
#[must_use]
pub fn received(service: &str, channel: &str) -> BTreeSet<String> {
    let operation = format!("{service}.receive.{channel}");
    let document = document();
    let messages = document["operations"][&operation]["messages"].as_array();
    let references = messages
        .into_iter()
        .flatten()
        .filter_map(|message| message["$ref"].as_str());
    references
        .filter_map(|reference| reference.rsplit('/').next())
        .map(str::to_owned)
        .collect()
}

const ABOUT: &str = "Each message is a CloudEvents 1.0 event in binary mode: attributes are headers that begin with `ce_`, the \
    payload is JSON. The version is part of the type. Readers ignore members that they do not know. Every message may come \
    more than once, with the same `ce_id`; those of one aggregate come in the order of `ce_sequence`.";

/// The consumers' dead letters: the message as it was, with headers that say why.
const DEAD: &str = "What could not be handled, with the reason in the headers `dlq_*`.";

/// Of a message that has earlier versions.
const TWINS: &str = "Consumers read the earlier versions as this one. While there are readers of both, it is published together \
    with an earlier one, as twins: `ce_logicalid` is the earlier one's id, each names the other in `ce_twins`, and a reader \
    takes one of them.";

#[derive(Default)]
struct Writer {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
}

impl Writer {
    fn channel(&mut self, channel: &Channel) {
        match *channel {
            Channel::Topic {
                name,
                about,
                writer,
                groups,
                messages,
            } => {
                self.add(name, about, "stream", messages, topic(name));
                let sent = names(messages);
                self.operation(writer, "send", name, &sent, Value::Null);
                for group in groups {
                    self.group(name, group, messages);
                }
            }
            Channel::Queue {
                name,
                about,
                writer,
                reader,
                messages,
            } => {
                self.add(name, about, "queue", messages, queue(name));
                let all = names(messages);
                if let Some(writer) = writer {
                    self.operation(writer, "send", name, &all, Value::Null);
                }
                self.operation(reader, "receive", name, &all, Value::Null);
                let dead = format!("{name}.dead");
                self.add(&dead, DEAD, "queue", messages, queue(&dead));
                self.operation(reader, "send", &dead, &all, Value::Null);
            }
            Channel::Fanout {
                name,
                about,
                writer,
                queues,
                messages,
            } => {
                let about = format!("{about} They are {}.", queues.join(" and "));
                self.add(name, &about, "queue", messages, exchange(name));
                self.operation(writer, "send", name, &names(messages), Value::Null);
            }
        }
    }

    /// What a consumer group does: it reads the topic, parks in its dead letters, looks at them, and reads its way back. All of
    /// it with what it handles, in every version: it neither parks nor takes back what passes it.
    fn group(&mut self, name: &str, group: &Group, messages: &[Message]) {
        let reads: Vec<_> = group.reads.iter().flat_map(|m| (m.versions)()).collect();
        let group = group.name;
        let bindings = json!({"kafka": {"groupId": {"type": "string", "enum": [group]}, "bindingVersion": "0.5.0"}});
        self.operation(group, "receive", name, &reads, bindings.clone());
        let (dead, back) = (
            format!("{name}.{group}.dlq"),
            format!("{name}.{group}.retry"),
        );
        self.add(&dead, DEAD, "stream", messages, topic(&dead));
        self.operation(group, "send", &dead, &reads, Value::Null);
        self.operation(group, "receive", &dead, &reads, Value::Null);
        let about = format!("What is sent again to the group `{group}` alone.");
        self.add(&back, &about, "stream", messages, topic(&back));
        self.operation(group, "send", &back, &reads, Value::Null);
        self.operation(group, "receive", &back, &reads, bindings);
    }

    fn add(
        &mut self,
        name: &str,
        about: &str,
        server: &str,
        messages: &[Message],
        bindings: Value,
    ) {
        let messages: Map<String, Value> = messages
            .iter()
            .map(|message| {
                (
                    message.name.to_owned(),
                    reference("components/messages", message.name),
                )
            })
            .collect();
        let channel = json!({
            "address": name,
            "description": about,
            "servers": [reference("servers", server)],
            "messages": messages,
            "bindings": bindings,
        });
        self.channels.insert(name.to_owned(), channel);
    }

    /// What a service does with some of a channel's messages.
    fn operation(
        &mut self,
        service: &str,
        action: &str,
        channel: &str,
        messages: &[&str],
        bindings: Value,
    ) {
        let of_channel = format!("channels/{channel}/messages");
        let messages: Vec<_> = messages
            .iter()
            .map(|message| reference(&of_channel, message))
            .collect();
        let mut operation = json!({
            "action": action,
            "channel": reference("channels", channel),
            "messages": messages,
            "tags": [{"name": service}],
        });
        if !bindings.is_null() {
            operation["bindings"] = bindings;
        }
        self.operations
            .insert(format!("{service}.{action}.{channel}"), operation);
    }
}

fn names(messages: &[Message]) -> Vec<&'static str> {
    messages.iter().map(|message| message.name).collect()
}

fn reference(to: &str, name: &str) -> Value {
    json!({"$ref": format!("#/{to}/{name}")})
}

fn topic(name: &str) -> Value {
    json!({"kafka": {"topic": name, "bindingVersion": "0.5.0"}})
}

fn queue(name: &str) -> Value {
    let queue = json!({"name": name, "durable": true, "exclusive": false, "autoDelete": false});
    json!({"amqp": {"is": "queue", "queue": queue, "bindingVersion": "0.3.0"}})
}

fn exchange(name: &str) -> Value {
    let exchange = json!({"name": name, "type": "fanout", "durable": true, "autoDelete": false});
    json!({"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"}})
}

/// Every message, and the schemas of their payloads and headers.
fn messages() -> (Map<String, Value>, Map<String, Value>) {
    // What AsyncAPI's own schemas are made of.
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut messages = Map::new();
    for message in CHANNELS.iter().flat_map(Channel::messages) {
        let payload = (message.payload)(&mut generator);
        let mut value = json!({
            "name": message.name,
            "contentType": "application/json",
            "correlationId": {"location": "$message.header#/ce_correlationid"},
            "headers": {"allOf": [
                reference("components/schemas", HEADERS),
                {"properties": {"ce_type": {"const": message.name}, "ce_source": {"const": message.source}}},
            ]},
            "payload": payload,
            "bindings": {"kafka": {
                "key": {"type": "string", "format": "uuid", "description": "The aggregate's id, as `ce_subject`."},
                "bindingVersion": "0.5.0",
            }},
        });
        if let [_, earlier @ ..] = &(message.versions)()[..]
            && !earlier.is_empty()
        {
            value["description"] = json!(TWINS);
            value["x-earlier-versions"] = json!(earlier);
        }
        messages.insert(message.name.to_owned(), value);
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert(HEADERS.to_owned(), headers());
    (messages, schemas)
}

impl Channel {
    fn messages(&self) -> &'static [Message] {
        match self {
            Self::Topic { messages, .. }
            | Self::Queue { messages, .. }
            | Self::Fanout { messages, .. } => messages,
        }
    }
}

const HEADERS: &str = "CloudEventHeaders";

/// The attributes of the envelope, as headers.
fn headers() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let id = |about: &str| json!({"type": "string", "format": "uuid", "description": about});
    json!({
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_correlationid"],
        "properties": {
            "ce_specversion": {"type": "string", "const": "1.0"},
            "ce_id": id("The event; a repetition has the same."),
            "ce_source": text("The one service that publishes the type."),
            "ce_type": text("What happened, with the version."),
            "ce_subject": id("The aggregate that it happened to."),
            "ce_time": {"type": "string", "format": "date-time", "description": "When it happened."},
            "ce_correlationid": id("The same for everything that one cause set in motion."),
            "ce_causationid": id("The event that directly led to this one."),
            "ce_logicalid": id("Of a twin: the id of the oldest version that was published together with it."),
            "ce_twins": text("The types of the other versions that were published together with it, with commas between them."),
            "ce_sequence": text("The position among the events of the aggregate, from 1."),
            "ce_traceparent": text("The trace that it belongs to (W3C)."),
            "ce_tracestate": text("Vendors' own additions to the trace."),
            "content-type": {"type": "string", "const": "application/json"},
        },
    })
}
