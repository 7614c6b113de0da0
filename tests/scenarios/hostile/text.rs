//! Text of any bytes and length that still can be read when it is printed.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;

/// Some bytes, and then one byte many times.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text {
    lead: Vec<u8>,
    fill: u8,
    times: usize,
}

impl Text {
    pub(super) fn of(text: &str) -> Self {
        Self {
            lead: text.as_bytes().to_vec(),
            fill: b' ',
            times: 0,
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.lead.clone();
        bytes.resize(self.lead.len() + self.times, self.fill);
        bytes
    }

    /// The same with so many bytes more.
    pub(super) fn longer(self, more: usize) -> Self {
        Self {
            times: self.times + more,
            ..self
        }
    }

    /// As a value of a header: without what ends a line, which would make it another request.
    pub(super) fn in_header(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes.retain(|byte| !matches!(byte, b'\r' | b'\n'));
        bytes
    }

    /// As a part of a query. What has a meaning in a URI is encoded, the rest goes as it is.
    pub(super) fn in_query(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for byte in self.bytes() {
            match byte {
                b'!'..=b'~' if !b"#%&+=?".contains(&byte) => text.push(char::from(byte)),
                _ => write!(text, "%{byte:02X}").expect("a string takes all"),
            }
        }
        text
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.lead.escape_ascii())?;
        match self.times {
            0 => Ok(()),
            times => write!(f, " + {times} × {:?}", char::from(self.fill)),
        }
    }
}

/// `lead`, and then one of the bytes many times: short as often as long.
pub(super) fn filled(
    lead: &'static str,
    fills: &'static [u8],
    times: usize,
) -> impl Strategy<Value = Text> {
    let steps = times.ilog2();
    (0..=steps, 0..usize::MAX, proptest::sample::select(fills)).prop_map(
        move |(step, more, fill)| Text {
            lead: lead.as_bytes().to_vec(),
            fill,
            // Of each order of magnitude as many.
            times: ((1 << step) + more % (1 << step)).min(times),
        },
    )
}

/// Anything.
pub(super) fn any_text() -> impl Strategy<Value = Text> {
    const FILLS: &[u8] = b"a'\"%0\x00\x7f\x80\xff<{[,;";
    let bytes = vec(any::<u8>(), 0..48).prop_map(|lead| Text {
        lead,
        fill: b' ',
        times: 0,
    });
    prop_oneof![
        4 => "[ -~]{0,40}".prop_map(|text| Text::of(&text)),
        2 => bytes,
        3 => filled("", FILLS, 1 << 16),
        1 => "\\PC{0,20}".prop_map(|text| Text::of(&text)),
    ]
}
