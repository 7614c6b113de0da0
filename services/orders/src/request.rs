//! The body of `POST /v1/orders`, parsed so that all of its errors are reported at once.

mod v2;

use chassis::extract::BodyErrors;
use chassis::problem::FieldError;
use deserr::{Deserr, IntoValue, Sequence as _, Value, ValueKind, ValuePointerRef};
use uuid::Uuid;

pub(crate) use v2::OrderRequestV2;

use crate::domain::{Address, Basket, MAX_LINES, MAX_QUANTITY, PricingError, Quantity};

/// A valid request for an order. Unknown members are ignored.
#[derive(Debug, Deserr)]
#[deserr(error = BodyErrors)]
pub(crate) struct OrderRequest {
    items: Items,
    /// Not part of version 1.
    #[deserr(skip)]
    shipping_address: Option<Address>,
}

/// The lines, read one by one.
#[derive(Debug)]
struct Items {
    /// Lines of the same product are added up.
    basket: Basket,
    /// The product of each item as the client wrote it, for the JSON pointers of products that do not exist.
    written: Vec<Uuid>,
}

#[derive(Deserr)]
#[deserr(error = BodyErrors)]
struct Item {
    product_id: Product,
    quantity: Pieces,
}

struct Product(Uuid);

struct Pieces(Quantity);

impl OrderRequest {
    /// The products and quantities.
    pub(crate) fn basket(&self) -> &Basket {
        &self.items.basket
    }

    /// The shipping address, if there is one.
    pub(crate) fn shipping_address(&self) -> Option<&Address> {
        self.shipping_address.as_ref()
    }

    /// The errors to report to the client if the basket cannot be priced.
    ///
    /// # Errors
    /// Returns [`PricingError::Inconsistent`], which is not the client's fault.
    pub(crate) fn unpriced(&self, why: PricingError) -> Result<Vec<FieldError>, PricingError> {
        match why {
            PricingError::Unknown(unknown) => Ok((0..)
                .zip(&self.items.written)
                .filter(|(_, product)| unknown.contains(product))
                .map(|(n, _)| FieldError::new(format!("/items/{n}/product_id"), "no such product"))
                .collect()),
            PricingError::Empty | PricingError::TooExpensive => {
                Ok(vec![FieldError::new("/items", why.to_string())])
            }
            PricingError::Inconsistent => Err(why),
        }
    }
}

impl Deserr<BodyErrors> for Items {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        at: ValuePointerRef<'_>,
    ) -> Result<Self, BodyErrors> {
        let list = match value {
            Value::Sequence(list) if list.is_empty() => {
                return Err(BodyErrors::at(at, "must have at least one item"));
            }
            Value::Sequence(list) if list.len() > MAX_LINES => {
                let detail = format!("must have at most {MAX_LINES} items");
                return Err(BodyErrors::at(at, detail));
            }
            Value::Sequence(list) => list,
            other => return Err(BodyErrors::kind(other, &[ValueKind::Sequence], at)),
        };
        let mut items = Self {
            basket: Basket::default(),
            written: Vec::with_capacity(list.len()),
        };
        let mut errors = BodyErrors::default();
        for (n, item) in list.into_iter().enumerate() {
            let at = at.push_index(n);
            let taken = Item::deserialize_from_value(item.into_value(), at)
                .and_then(|item| items.take(item, at));
            if let Err(wrong) = taken {
                errors = errors.and(wrong);
            }
        }
        if errors.is_empty() {
            Ok(items)
        } else {
            Err(errors)
        }
    }
}

impl Items {
    fn take(&mut self, item: Item, at: ValuePointerRef<'_>) -> Result<(), BodyErrors> {
        let Item {
            product_id: Product(product),
            quantity: Pieces(quantity),
        } = item;
        self.written.push(product);
        self.basket.add(product, quantity).map_err(|_| {
            let detail =
                format!("with the lines above more than {MAX_QUANTITY} pieces of one product");
            BodyErrors::at(at.push_key("quantity"), detail)
        })
    }
}

impl Deserr<BodyErrors> for Product {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        at: ValuePointerRef<'_>,
    ) -> Result<Self, BodyErrors> {
        match value {
            Value::String(text) => Uuid::try_parse(&text)
                .map(Self)
                .map_err(|_| BodyErrors::at(at, "must be a UUID")),
            _ => Err(BodyErrors::at(at, "must be a string that holds a UUID")),
        }
    }
}

impl Deserr<BodyErrors> for Pieces {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        at: ValuePointerRef<'_>,
    ) -> Result<Self, BodyErrors> {
        match value {
            Value::Integer(pieces) => Quantity::new(pieces)
                .map(Self)
                .map_err(|error| BodyErrors::at(at, error.to_string())),
            // A negative number and one of more than 64 bits have other kinds.
            _ => {
                let detail = format!("must be a whole number from 1 to {MAX_QUANTITY}");
                Err(BodyErrors::at(at, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::problem::Problem;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{FieldError, MAX_LINES, OrderRequest, PricingError, Quantity};

    const A: &str = "0190163d-8694-739b-aea5-966c26f8ad91";
    const B: &str = "0190163d-8694-739b-aea5-966c26f8ad92";

    fn parse(body: &Value) -> Result<OrderRequest, Vec<FieldError>> {
        deserr::deserialize(body.clone())
            .map_err(|errors: super::BodyErrors| Problem::from(errors).errors().to_vec())
    }

    fn pointers(body: &Value) -> Vec<String> {
        let errors = parse(body).unwrap_err();
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn a_good_body_becomes_a_basket() {
        let body = json!({"items": [
            {"product_id": A, "quantity": 2}, {"product_id": B, "quantity": 1, "colour": "red"},
            {"product_id": A, "quantity": 3}]});
        let lines: Vec<_> = parse(&body).unwrap().basket().lines().collect();
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
                "/items/4/quantity",
                "/items/4/product_id",
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
        assert!(parse(&json!({"items": vec![item; MAX_LINES]})).is_ok());
    }

    #[test]
    fn an_unknown_product_is_pointed_at_wherever_it_is_written() {
        let item = |id| json!({"product_id": id, "quantity": 1});
        let request = parse(&json!({"items": [item(A), item(B), item(A)]})).unwrap();
        let errors = request
            .unpriced(PricingError::Unknown(vec![A.parse().unwrap()]))
            .unwrap();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/items/0/product_id", "/items/2/product_id"]);
    }

    /// Any JSON, often nearly valid.
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
        /// No body causes a panic; a refusal has at least one error, and each error points at a member that exists or whose parent
        /// does.
        #[test]
        fn any_json_is_answered(body in any_json()) {
            if let Err(errors) = parse(&body) {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    let parent = error.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                    prop_assert!(body.pointer(&error.pointer).or_else(|| body.pointer(parent)).is_some());
                }
            }
        }
    }
}
