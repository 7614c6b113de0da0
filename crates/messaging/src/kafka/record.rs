//! A record as our own type.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers};

use crate::Message;

/// Copies the message out of librdkafka's memory. The body is exact. Keys and values of headers that are not UTF-8 are read with
/// replacement characters, and stay so where the message is parked: a dead letter of a binary key may lie in another
/// partition than its original would, and two such keys can become one. The types of this crate have text, which is what CloudEvents has.
pub(super) fn to_message(record: &BorrowedMessage<'_>) -> Message {
    Message {
        key: record.key().map(text),
        headers: record.headers().map_or_else(Vec::new, to_headers),
        payload: Bytes::copy_from_slice(record.payload().unwrap_or_default()),
    }
}

/// Leaves out a header whose name is not UTF-8: rust-rdkafka panics at it. The worker of the partition would end, and so would
/// each one after it, at the same record.
fn to_headers(headers: &impl Headers) -> Vec<(String, String)> {
    let count = headers.count();
    let mut list = Vec::with_capacity(count);
    for at in 0..count {
        if let Ok(header) = catch_unwind(AssertUnwindSafe(|| headers.get(at))) {
            let value = text(header.value.unwrap_or_default());
            list.push((header.key.to_owned(), value));
        }
    }
    list
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Header;

    use super::*;

    /// Reads as rust-rdkafka does, whose publisher cannot write such a name.
    struct OneNameIsBinary;

    impl Headers for OneNameIsBinary {
        fn count(&self) -> usize {
            3
        }

        fn try_get(&self, idx: usize) -> Option<Header<'_, &[u8]>> {
            let (key, value): (_, Option<&[u8]>) = match idx {
                0 => ("first", None),
                1 => panic!("a name that is not UTF-8"),
                2 => ("last", Some(&b"\xff"[..])),
                _ => return None,
            };
            Some(Header { key, value })
        }
    }

    #[test]
    fn a_header_whose_name_is_not_text_is_left_out() {
        let read = to_headers(&OneNameIsBinary);
        let read: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(read, [("first", ""), ("last", "\u{fffd}")]);
    }
}
