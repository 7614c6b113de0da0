//! The errors of a JSON body.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use deserr::{
    DeserializeError, ErrorKind, IntoValue, MergeWithError, ValueKind, ValuePointerRef,
    take_cf_content,
};

use crate::problem::{ERRORS_MAX, FieldError, Problem};

/// The longest JSON pointer that is reported, in bytes. The names in it come from the client: without a limit, an
/// answer could repeat a name of a megabyte a hundred times.
const POINTER_BYTES_MAX: usize = 256;

/// All errors of a body, for [`super::Json`]. At most [`ERRORS_MAX`] are kept, the others are counted.
///
/// [`deserr::Deserr`] implementations create it through [`DeserializeError`]; use [`BodyErrors::at`] to create one by
/// hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyErrors {
    listed: Vec<FieldError>,
    /// The number of errors that are not listed.
    more: usize,
}

impl BodyErrors {
    /// One error at one place of the document.
    #[must_use]
    pub fn at(place: ValuePointerRef<'_>, detail: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(place, detail);
        errors
    }

    /// The errors of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let room = ERRORS_MAX - self.listed.len();
        self.more += other.more + other.listed.len().saturating_sub(room);
        self.listed.extend(other.listed.into_iter().take(room));
        self
    }

    /// Whether there are no errors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    pub(super) fn add(&mut self, place: ValuePointerRef<'_>, detail: impl Into<String>) {
        if self.listed.len() < ERRORS_MAX {
            self.listed.push(FieldError::new(pointer(place), detail));
        } else {
            self.more += 1;
        }
    }
}

impl From<BodyErrors> for Problem {
    fn from(errors: BodyErrors) -> Self {
        let BodyErrors { listed, more } = errors;
        Self::unprocessable(listed).and_more(more)
    }
}

impl MergeWithError<Self> for BodyErrors {
    fn merge(known: Option<Self>, other: Self, _: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        ControlFlow::Continue(match known {
            Some(known) => known.and(other),
            None => other,
        })
    }
}

impl DeserializeError for BodyErrors {
    fn error<V: IntoValue>(
        known: Option<Self>,
        error: ErrorKind<'_, V>,
        at: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        let wrong = match error {
            ErrorKind::IncorrectValueKind { actual, accepted } => {
                Self::at(at, must_be(accepted, actual.kind()))
            }
            // The pointer names the missing field, so that a form can show the error there; deserr only points at its
            // parent.
            ErrorKind::MissingField { field } => Self::at(at.push_key(field), "is missing"),
            ErrorKind::UnknownKey { key, accepted } => Self::at(
                at.push_key(key),
                format!("is not known: known are {}", accepted.join(", ")),
            ),
            ErrorKind::UnknownValue { accepted, .. } => {
                Self::at(at, format!("must be one of {}", accepted.join(", ")))
            }
            ErrorKind::BadSequenceLen { expected, .. } => {
                Self::at(at, format!("must have {expected} items"))
            }
            ErrorKind::Unexpected { msg } => Self::at(at, msg),
        };
        Self::merge(known, wrong, at)
    }
}

impl BodyErrors {
    /// An error for a value that is of another kind than `accepted`, for manual implementations of [`deserr::Deserr`].
    #[must_use]
    pub fn kind<V: IntoValue>(
        actual: deserr::Value<V>,
        accepted: &[ValueKind],
        at: ValuePointerRef<'_>,
    ) -> Self {
        take_cf_content(Self::error(
            None,
            ErrorKind::IncorrectValueKind { actual, accepted },
            at,
        ))
    }
}

fn must_be(accepted: &[ValueKind], actual: ValueKind) -> String {
    let signed = accepted.contains(&ValueKind::NegativeInteger);
    let mut names: Vec<_> = accepted.iter().map(|kind| name(*kind, signed)).collect();
    names.dedup();
    let mut text = format!("must be {}", names.join(" or "));
    // The text says so because "is null" and "is missing" are often confused, and differ here.
    if actual == ValueKind::Null {
        text.push_str(", not null");
    }
    text
}

fn name(kind: ValueKind, signed: bool) -> &'static str {
    match kind {
        ValueKind::Null => "null",
        ValueKind::Boolean => "true or false",
        ValueKind::Integer if !signed => "a whole number that is not negative",
        ValueKind::Integer | ValueKind::NegativeInteger => "a whole number",
        ValueKind::Float => "a number",
        ValueKind::String => "a string",
        ValueKind::Sequence => "a list",
        ValueKind::Map => "an object",
    }
}

/// A pointer by RFC 6901; one longer than [`POINTER_BYTES_MAX`] is cut and ends with an ellipsis.
fn pointer(place: ValuePointerRef<'_>) -> String {
    let mut text = String::new();
    write(place, &mut text);
    if text.len() > POINTER_BYTES_MAX {
        text.truncate(text.floor_char_boundary(POINTER_BYTES_MAX));
        text.push('…');
    }
    text
}

/// Recurses as deep as a document may be nested (serde_json's limit: 128).
fn write(place: ValuePointerRef<'_>, text: &mut String) {
    match place {
        ValuePointerRef::Origin => {}
        ValuePointerRef::Key { key, prev } => {
            write(*prev, text);
            text.push('/');
            // Names come from the client: only the first part is copied, not the whole name for each error.
            let key = &key[..key.floor_char_boundary(POINTER_BYTES_MAX)];
            text.push_str(&key.replace('~', "~0").replace('/', "~1"));
        }
        ValuePointerRef::Index { index, prev } => {
            write(*prev, text);
            // Writing to a string cannot fail.
            let _ = write!(text, "/{index}");
        }
    }
}
