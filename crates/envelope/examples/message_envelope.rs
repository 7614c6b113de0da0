//! Six messages of one topic, read by their shape and read by their envelope.
//!
//! ```sh
//! cargo run -p envelope --example message_envelope
//! cargo run -p envelope --example message_envelope -- without
//! ```
#![allow(clippy::print_stdout, reason = "the figures")]

use std::collections::HashSet;

use envelope::{BinaryMessage, EnvelopeError, Event, EventData, KAFKA_PREFIX, RawEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

// region: events
/// The first version told Fahrenheit, and did not say so.
#[derive(Serialize, Deserialize)]
struct MeasuredV1 {
    sensor: String,
    value: f64,
}

#[derive(Serialize, Deserialize)]
struct MeasuredV2 {
    sensor: String,
    value: f64,
    unit: String,
}

impl EventData for MeasuredV1 {
    const TYPE: &'static str = "example.sensor.measured.v1";
    const SOURCE: &'static str = "/services/sensors";
    fn subject(&self) -> String {
        self.sensor.clone()
    }
}

impl EventData for MeasuredV2 {
    const TYPE: &'static str = "example.sensor.measured.v2";
    const SOURCE: &'static str = "/services/sensors";
    fn subject(&self) -> String {
        self.sensor.clone()
    }
}

/// Old events are made new where they are read, so the rest of the program knows one version.
fn upcast(old: MeasuredV1) -> MeasuredV2 {
    MeasuredV2 {
        sensor: old.sensor,
        value: (old.value - 32.0) / 1.8,
        unit: "°C".to_owned(),
    }
}
// endregion: events

/// A set point, not a measurement; it has the same members.
#[derive(Serialize, Deserialize)]
struct TargetSet {
    sensor: String,
    value: f64,
}

impl EventData for TargetSet {
    const TYPE: &'static str = "example.heating.target-set.v1";
    const SOURCE: &'static str = "/services/heating";
    fn subject(&self) -> String {
        self.sensor.clone()
    }
}

fn main() -> Result<(), EnvelopeError> {
    let topic = topic()?;
    let (title, read) = match std::env::args().nth(1).as_deref() {
        Some("without") => ("read by its shape", without(&topic)),
        _ => ("read by its envelope", with(&topic)),
    };
    let mean = read.iter().sum::<f64>() / read.len() as f64;
    println!(
        "{title}: {} messages, the roof had 20 °C all the time",
        topic.len()
    );
    println!("  taken as measurements {:>5}", read.len());
    println!("  mean of the roof      {mean:>5.1} °C");
    Ok(())
}

/// An old event, a new one, the new one once more, a set point, somebody else's, and one without an envelope.
fn topic() -> Result<Vec<BinaryMessage>, EnvelopeError> {
    let sensor = || "roof".to_owned();
    let old = Event::new(MeasuredV1 {
        sensor: sensor(),
        value: 68.0,
    });
    let new = Event::new(MeasuredV2 {
        sensor: sensor(),
        value: 20.0,
        unit: "°C".to_owned(),
    });
    let target = Event::new(TargetSet {
        sensor: sensor(),
        value: 95.0,
    });
    let mut forged = Event::new(MeasuredV2 {
        sensor: sensor(),
        value: 900.0,
        unit: "°C".to_owned(),
    });
    "/services/test-bench".clone_into(&mut forged.source);
    let new = new.to_binary(KAFKA_PREFIX)?;
    let bare = BinaryMessage {
        headers: Vec::new(),
        ..new.clone()
    };
    Ok(vec![
        old.to_binary(KAFKA_PREFIX)?,
        new.clone(),
        new,
        target.to_binary(KAFKA_PREFIX)?,
        forged.to_binary(KAFKA_PREFIX)?,
        bare,
    ])
}

/// Whatever has a number in `value` is a measurement.
fn without(topic: &[BinaryMessage]) -> Vec<f64> {
    let json = topic
        .iter()
        .filter_map(|message| serde_json::from_slice::<serde_json::Value>(&message.body).ok());
    json.filter_map(|data| data["value"].as_f64()).collect()
}

fn with(topic: &[BinaryMessage]) -> Vec<f64> {
    let mut seen = HashSet::new();
    let mut read = Vec::new();
    for message in topic {
        match read_one(message) {
            // The same event again: its id says so.
            Ok(Some((id, _))) if !seen.insert(id) => println!("again:   ignored"),
            Ok(Some((_, measured))) => read.push(measured.value),
            Ok(None) => println!("other:   ignored"),
            Err(error) => println!("parked:  {error}"),
        }
    }
    read
}

// region: read
/// The id of the event in a message and its measurement; nothing if it is an event of another type.
fn read_one(message: &BinaryMessage) -> Result<Option<(Uuid, MeasuredV2)>, EnvelopeError> {
    let headers = message
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    // In whichever mode it came. The attributes are checked as a whole; the data is not looked at yet.
    let event = RawEvent::from_message(KAFKA_PREFIX, headers, &message.body)?;
    let measured = match event.event_type.as_str() {
        MeasuredV2::TYPE => event.decode::<MeasuredV2>()?.data,
        MeasuredV1::TYPE => upcast(event.decode::<MeasuredV1>()?.data),
        // A version that is not known yet is no other event: passed over, it would be lost.
        _ => {
            let unknown = event.unknown_version(&[MeasuredV2::TYPE, MeasuredV1::TYPE]);
            return unknown.map_or(Ok(None), Err);
        }
    };
    Ok(Some((event.id, measured)))
}
// endregion: read
