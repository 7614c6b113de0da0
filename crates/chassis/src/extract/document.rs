//! Parses a JSON body, first into a document and then into a type, and reports all errors at once.

use deserr::{Deserr, ValuePointerRef};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

use super::BodyErrors;
use crate::problem::{FieldError, Problem};

/// From here on, 2⁵³, a floating point number stands for several integers (RFC 8259 section 6): which one was meant is unknown.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Parses a body that was already collected, with the refusals of [`super::Json`].
///
/// # Errors
/// 400 if it is not a JSON document; 422 with all errors if the document is invalid.
pub fn from_json<T: Deserr<BodyErrors>>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.is_empty() {
        return Err(Problem::bad_request(
            "the body is empty: send a JSON document",
        ));
    }
    if std::str::from_utf8(bytes).is_err() {
        return Err(Problem::bad_request("the body is not UTF-8"));
    }
    // Duplicate members are lost once the document is a map, so they are recorded while it is parsed.
    let mut errors = BodyErrors::default();
    let value = read(bytes, &mut errors).map_err(|error| syntax(&error))?;
    match deserr::deserialize(value) {
        Ok(read) if errors.is_empty() => Ok(read),
        Ok(_) => Err(errors.into()),
        Err(wrong) => Err(errors.and(wrong).into()),
    }
}

/// The integer that a number of a document is, if it has no fraction. To JSON Schema, and so to who goes by our documents, it is one
/// however it is written: some languages write `2.0` or `2e0` where others write `2`.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < EXACT_MAX).then_some(number as i64)
}

/// Any JSON value, as a part of what serde parses. As in a body of [`super::Json`] no object may have a member twice, and a number
/// without a fraction is an integer however it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Document(pub Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let mut errors = BodyErrors::default();
        let node = Node {
            at: ValuePointerRef::Origin,
            errors: &mut errors,
        };
        let value = node.deserialize(input)?;
        match Problem::from(errors).errors().first() {
            Some(FieldError { pointer, detail }) => {
                Err(D::Error::custom(format_args!("{pointer} {detail}")))
            }
            None => Ok(Self(value)),
        }
    }
}

fn read(bytes: &[u8], errors: &mut BodyErrors) -> serde_json::Result<Value> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let at = ValuePointerRef::Origin;
    let value = Node { at, errors }.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

fn syntax(error: &serde_json::Error) -> Problem {
    Problem::bad_request(format!("the body is not valid JSON: {error}"))
}

/// Parses one value of the document, of any type.
struct Node<'a> {
    at: ValuePointerRef<'a>,
    errors: &'a mut BodyErrors,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if let Some(integer) = whole(value) {
            return Ok(integer.into());
        }
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Node {
            at: self.at.push_index(list.len()),
            errors: &mut *self.errors,
        })? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let at = self.at.push_key(&name);
            let errors = &mut *self.errors;
            let value = members.next_value_seed(Node { at, errors })?;
            if object.contains_key(&name) {
                // It is undefined which of them counts, and two readers of one document may choose differently.
                self.errors.add(at, "is given more than once");
            }
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_that_is_given_twice_is_refused_wherever_it_is() {
        for (text, pointer) in [
            (r#"{"a": 1, "a": 1}"#, "/a"),
            (r#"{"a": [{}, {"b": 1, "c": 2, "b": 3}]}"#, "/a/1/b"),
        ] {
            let refused = serde_json::from_str::<Document>(text).unwrap_err();
            let refused = refused.to_string();
            let expected = format!("{pointer} is given more than once");
            assert!(refused.starts_with(&expected), "{refused}");
        }
        let read: Document =
            serde_json::from_str(r#"[{"a": 2.0}, {"a": 2e0}, {"a": 2.5}]"#).unwrap();
        assert_eq!(read.0, json!([{"a": 2}, {"a": 2}, {"a": 2.5}]));
    }
}
