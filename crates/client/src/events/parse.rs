//! The format of an event stream.
//!
//! Written here: of the crates that read it, `sse-stream` hands out an event that was cut off in the middle, which the standard
//! says to drop, and none that is kept up bounds how long an event may be.

use std::collections::VecDeque;
use std::time::Duration;

/// The most bytes of an event.
const EVENT_BYTES_MAX: usize = 64 * 1024;
/// The end of a line is looked for in so many bytes at once.
const BLOCK_BYTES: usize = 32;

/// What came until an empty line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: Option<String>,
    pub(super) data: Option<String>,
    pub(super) retry: Option<Duration>,
}

/// An event is longer than may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Makes events of the pieces in which they come. What is not ended by an empty line is none.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    /// The line before ended with CR: a LF that follows belongs to it.
    after_cr: bool,
    event: Event,
    event_bytes: usize,
    whole: VecDeque<Event>,
}

impl Parser {
    /// The next event that has come whole.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.whole.pop_front()
    }

    /// Takes a piece, of any length, cut anywhere.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Result<(), TooLong> {
        while let Some(&first) = piece.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                piece = &piece[1..];
                continue;
            }
            let (text, rest) = piece.split_at(line_end(piece).unwrap_or(piece.len()));
            self.add(text)?;
            piece = rest;
            if let Some((&end, rest)) = rest.split_first() {
                self.after_cr = end == b'\r';
                self.end_line();
                piece = rest;
            }
        }
        Ok(())
    }

    /// A part of a line.
    fn add(&mut self, text: &[u8]) -> Result<(), TooLong> {
        self.event_bytes += text.len();
        if self.event_bytes > EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        self.line.extend_from_slice(text);
        Ok(())
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        match std::str::from_utf8(&line) {
            Ok(text) => self.read(text),
            Err(_) => self.read(&String::from_utf8_lossy(&line)),
        }
        // The next line needs no memory of its own.
        line.clear();
        self.line = line;
    }

    fn read(&mut self, line: &str) {
        if line.is_empty() {
            self.event_bytes = 0;
            let event = std::mem::take(&mut self.event);
            // Comments alone are none.
            if event != Event::default() {
                self.whole.push_back(event);
            }
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => match &mut self.event.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.event.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" => self.event.retry = value.parse().ok().map(Duration::from_millis),
            // A comment, the event's name (the data says as much), or what is not known yet.
            _ => {}
        }
    }
}

/// Where the first line of a piece ends. A block without an end is passed over whole: the processor compares all of it at once,
/// if no byte may end the comparison. An event's data is a line of some 800 bytes.
fn line_end(piece: &[u8]) -> Option<usize> {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let has_end =
        |block: &[u8; BLOCK_BYTES]| block.iter().fold(false, |has, byte| has | is_end(byte));
    let (blocks, _) = piece.as_chunks::<BLOCK_BYTES>();
    let passed = blocks.iter().take_while(|block| !has_end(block)).count() * BLOCK_BYTES;
    let end = piece[passed..].iter().position(is_end)?;
    Some(passed + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry:1000\n\n:\n\nid: 1\nevent: a\ndata: {\"x\":\ndata: 1}\nnew: field\n\n\
                          id:2\r\ndata:\r\n\r\ndata\r\rid:3\ndata:cut off";

    fn event(id: Option<&str>, data: Option<&str>) -> Event {
        Event {
            id: id.map(str::to_owned),
            data: data.map(str::to_owned),
            retry: None,
        }
    }

    #[test]
    fn wherever_it_is_cut_it_reads_the_same() {
        for length in 1..=STREAM.len() {
            let mut parser = Parser::default();
            for piece in STREAM.as_bytes().chunks(length) {
                parser.push(piece).unwrap();
            }
            let events: Vec<_> = std::iter::from_fn(|| parser.next()).collect();
            let retry = Event {
                retry: Some(Duration::from_secs(1)),
                ..Event::default()
            };
            let expected = [
                retry,
                event(Some("1"), Some("{\"x\":\n1}")),
                event(Some("2"), Some("")),
                event(None, Some("")),
            ];
            assert_eq!(events, expected, "in pieces of {length}");
        }
    }

    #[test]
    fn a_line_ends_wherever_its_end_is() {
        for length in 0..3 * BLOCK_BYTES {
            let line = "x".repeat(length);
            assert_eq!(line_end(line.as_bytes()), None);
            for end in ["\n", "\r\n", "\rx"] {
                assert_eq!(line_end(format!("{line}{end}").as_bytes()), Some(length));
            }
        }
    }

    #[test]
    fn an_event_is_bounded_and_a_stream_is_not() {
        let mut parser = Parser::default();
        for _ in 0..EVENT_BYTES_MAX {
            parser.push(b":alive\n\n").unwrap();
        }
        assert_eq!(parser.next(), None);
        let long = vec![b'x'; EVENT_BYTES_MAX];
        parser.push(&long).unwrap();
        assert_eq!(parser.push(b"x"), Err(TooLong));
        // In lines, too.
        let mut parser = Parser::default();
        let lines = "data:x\n".repeat(EVENT_BYTES_MAX);
        assert_eq!(parser.push(lines.as_bytes()), Err(TooLong));
    }
}
