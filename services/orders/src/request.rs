//! The body of `POST /v1/orders`, read so that the client hears of every mistake in it at once.
//!
//! A derived `Deserialize` stops at the first wrong type. So the body comes in as a JSON value, and is
//! parsed by hand, item by item; what is wrong is named by a JSON pointer (RFC 6901).

use chassis::problem::FieldError;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{Basket, MAX_LINES, MAX_QUANTITY, PricingError, Quantity};

/// A valid wish for an order.
#[derive(Debug)]
pub(crate) struct OrderRequest {
    /// What to buy; lines of the same product are added up.
    pub(crate) basket: Basket,
    /// The product of each item as the client wrote them, to point at when one turns out not to exist.
    written: Vec<Uuid>,
}

impl OrderRequest {
    /// Parses a body.
    ///
    /// # Errors
    /// Everything that is wrong with it. Members that are not known are ignored.
    pub(crate) fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let Some(body) = body.as_object() else {
            return Err(vec![error(String::new(), "must be an object with `items`")]);
        };
        let items = match body.get("items") {
            None => return Err(vec![error("/items", "is missing")]),
            Some(Value::Array(items)) if items.is_empty() => {
                return Err(vec![error("/items", "must have at least one item")]);
            }
            Some(Value::Array(items)) if items.len() > MAX_LINES => {
                return Err(vec![error(
                    "/items",
                    format!("must have at most {MAX_LINES} items"),
                )]);
            }
            Some(Value::Array(items)) => items,
            Some(_) => return Err(vec![error("/items", "must be an array")]),
        };

        let mut request = Self {
            basket: Basket::default(),
            written: Vec::with_capacity(items.len()),
        };
        let mut errors = Vec::new();
        for (n, item) in items.iter().enumerate() {
            request.take(n, item, &mut errors);
        }
        if errors.is_empty() {
            Ok(request)
        } else {
            Err(errors)
        }
    }

    fn take(&mut self, n: usize, item: &Value, errors: &mut Vec<FieldError>) {
        let Some(item) = item.as_object() else {
            errors.push(error(
                format!("/items/{n}"),
                "must be an object with `product_id` and `quantity`",
            ));
            return;
        };
        let product = parse_product(item.get("product_id"));
        let quantity = parse_quantity(item.get("quantity"));
        match (product, quantity) {
            (Ok(product), Ok(quantity)) => {
                self.written.push(product);
                if self.basket.add(product, quantity).is_err() {
                    errors.push(error(
                        format!("/items/{n}/quantity"),
                        format!(
                            "with the lines above more than {MAX_QUANTITY} pieces of one product"
                        ),
                    ));
                }
            }
            (product, quantity) => {
                let mut push =
                    |member, detail| errors.push(error(format!("/items/{n}/{member}"), detail));
                if let Err(detail) = product {
                    push("product_id", detail);
                }
                if let Err(detail) = quantity {
                    push("quantity", detail);
                }
            }
        }
    }

    /// What to tell the client when the basket has no price.
    ///
    /// # Errors
    /// [`PricingError::Inconsistent`] comes back: it is not the client's fault.
    pub(crate) fn unpriced(&self, why: PricingError) -> Result<Vec<FieldError>, PricingError> {
        match why {
            PricingError::Unknown(unknown) => Ok((0..)
                .zip(&self.written)
                .filter(|(_, product)| unknown.contains(product))
                .map(|(n, _)| error(format!("/items/{n}/product_id"), "no such product"))
                .collect()),
            PricingError::Empty | PricingError::TooExpensive => {
                Ok(vec![error("/items", why.to_string())])
            }
            PricingError::Inconsistent => Err(why),
        }
    }
}

fn parse_product(value: Option<&Value>) -> Result<Uuid, String> {
    match value {
        None => Err("is missing".into()),
        Some(Value::String(text)) => text.parse().map_err(|_| "must be a UUID".into()),
        Some(_) => Err("must be a string that holds a UUID".into()),
    }
}

fn parse_quantity(value: Option<&Value>) -> Result<Quantity, String> {
    let value = value.ok_or("is missing")?;
    // A float, a negative number and one above 64 bits are all not a u64.
    let pieces = value
        .as_u64()
        .ok_or_else(|| format!("must be a whole number from 1 to {MAX_QUANTITY}"))?;
    Quantity::new(pieces).map_err(|error| error.to_string())
}

fn error(pointer: impl Into<String>, detail: impl Into<String>) -> FieldError {
    FieldError::new(pointer, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const A: &str = "0190163d-8694-739b-aea5-966c26f8ad91";
    const B: &str = "0190163d-8694-739b-aea5-966c26f8ad92";

    fn pointers(body: &Value) -> Vec<String> {
        OrderRequest::parse(body)
            .unwrap_err()
            .into_iter()
            .map(|error| error.pointer)
            .collect()
    }

    #[test]
    fn a_good_body_becomes_a_basket() {
        let body = json!({"items": [
            {"product_id": A, "quantity": 2}, {"product_id": B, "quantity": 1, "colour": "red"},
            {"product_id": A, "quantity": 3}]});
        let lines: Vec<_> = OrderRequest::parse(&body).unwrap().basket.lines().collect();
        let expected =
            [(A, 5), (B, 1)].map(|(id, n)| (id.parse().unwrap(), Quantity::new(n).unwrap()));
        assert_eq!(lines, expected);
    }

    #[test]
    fn every_mistake_is_named() {
        let body = json!({"items": [
            {"product_id": "x", "quantity": 0},
            {"product_id": A, "quantity": 1},
            {"product_id": 7},
            "A",
            {"quantity": -1},
            {"product_id": B, "quantity": 1.5},
            {"product_id": B, "quantity": 1001},
            {"product_id": B, "quantity": "2"},
            {"product_id": B, "quantity": 99_999_999_999_999_999_999_f64},
            {"product_id": A, "quantity": 1000},
        ]});
        assert_eq!(
            pointers(&body),
            [
                "/items/0/product_id",
                "/items/0/quantity",
                "/items/2/product_id",
                "/items/2/quantity",
                "/items/3",
                "/items/4/product_id",
                "/items/4/quantity",
                "/items/5/quantity",
                "/items/6/quantity",
                "/items/7/quantity",
                "/items/8/quantity",
                "/items/9/quantity",
            ]
        );
    }

    #[test]
    fn the_shape_of_the_whole_is_checked() {
        for (body, pointer) in [
            (json!([]), ""),
            (json!(null), ""),
            (json!({}), "/items"),
            (json!({"items": null}), "/items"),
            (json!({"items": {}}), "/items"),
            (json!({"items": []}), "/items"),
        ] {
            assert_eq!(pointers(&body), [pointer], "{body}");
        }
        let item = json!({"product_id": A, "quantity": 1});
        assert_eq!(
            pointers(&json!({"items": vec![item.clone(); MAX_LINES + 1]})),
            ["/items"]
        );
        assert!(OrderRequest::parse(&json!({"items": vec![item; MAX_LINES]})).is_ok());
    }

    #[test]
    fn an_unknown_product_is_pointed_at_wherever_it_is_written() {
        let item = |id| json!({"product_id": id, "quantity": 1});
        let request = OrderRequest::parse(&json!({"items": [item(A), item(B), item(A)]})).unwrap();
        let errors = request
            .unpriced(PricingError::Unknown(vec![A.parse().unwrap()]))
            .unwrap();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/items/0/product_id", "/items/2/product_id"]);
    }

    /// Any JSON, often of nearly the right shape.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z0-9-]{0,12}".prop_map(Value::from),
            Just(Value::from(A)),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            let name = prop_oneof![
                Just("items"),
                Just("product_id"),
                Just("quantity"),
                Just("x")
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(name.prop_map(String::from), inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// No body makes it panic; what is refused has at least one error, and each error points at
        /// something that is there or whose parent is.
        #[test]
        fn any_json_is_answered(body in any_json()) {
            if let Err(errors) = OrderRequest::parse(&body) {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    let parent = error.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                    prop_assert!(body.pointer(&error.pointer).or_else(|| body.pointer(parent)).is_some());
                }
            }
        }
    }
}
