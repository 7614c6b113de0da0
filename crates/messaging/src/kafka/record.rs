//! A record as our own type.

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers};

use crate::Message;

/// Copies the message out of librdkafka's memory. The body is exact. Keys and headers that are not UTF-8 are read with
/// replacement characters, and stay so where the message is parked: a dead letter of a binary key may lie in another
/// partition than its original would, and two such keys can become one. The types of this crate have text, which is what CloudEvents has.
pub(super) fn to_message(record: &BorrowedMessage<'_>) -> Message {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = record.headers().map_or_else(Vec::new, |headers| {
        // By index, which tells how many there are: the iterator does not, and the list would grow.
        (0..headers.count())
            .map(|at| headers.get(at))
            .map(|h| (h.key.to_owned(), text(h.value.unwrap_or_default())))
            .collect()
    });
    Message {
        key: record.key().map(text),
        headers,
        payload: Bytes::copy_from_slice(record.payload().unwrap_or_default()),
    }
}
