//! The body of `POST /v2/orders`: that of version 1, and a shipping address.

use chassis::extract::BodyErrors;
use deserr::{Deserr, IntoValue, Value, ValuePointerRef};

use super::{Items, OrderRequest};
use crate::domain::{Address, AddressLine, Country};

/// A valid request for an order. Unknown members are ignored.
#[derive(Debug, Deserr)]
#[deserr(error = BodyErrors)]
pub(crate) struct OrderRequestV2 {
    items: Items,
    #[deserr(default)]
    shipping_address: Option<ShippingAddress>,
}

#[derive(Debug, Deserr)]
#[deserr(error = BodyErrors)]
struct ShippingAddress {
    name: Parsed<AddressLine>,
    street: Parsed<AddressLine>,
    #[deserr(default)]
    postal_code: Option<Parsed<AddressLine>>,
    city: Parsed<AddressLine>,
    country: Parsed<Country>,
}

/// A string that is parsed.
#[derive(Debug)]
struct Parsed<T>(T);

impl<T: std::str::FromStr<Err: std::fmt::Display>> Deserr<BodyErrors> for Parsed<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        at: ValuePointerRef<'_>,
    ) -> Result<Self, BodyErrors> {
        match value {
            Value::String(text) => text
                .parse()
                .map(Self)
                .map_err(|error: T::Err| BodyErrors::at(at, error.to_string())),
            _ => Err(BodyErrors::at(at, "must be a string")),
        }
    }
}

impl From<OrderRequestV2> for OrderRequest {
    fn from(v2: OrderRequestV2) -> Self {
        let address = v2.shipping_address.map(|address| Address {
            name: address.name.0,
            street: address.street.0,
            postal_code: address.postal_code.map(|code| code.0),
            city: address.city.0,
            country: address.country.0,
        });
        Self {
            items: v2.items,
            shipping_address: address,
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::problem::Problem;
    use serde_json::{Value, json};

    use super::*;

    fn parse(address: Value) -> Result<OrderRequest, Vec<String>> {
        let item = json!({"product_id": "0190163d-8694-739b-aea5-966c26f8ad91", "quantity": 1});
        let body = json!({"items": [item], "shipping_address": address});
        let parsed: Result<OrderRequestV2, BodyErrors> = deserr::deserialize(body);
        let errors = |errors: BodyErrors| Problem::from(errors).errors().to_vec();
        parsed.map(OrderRequest::from).map_err(|wrong| {
            let pointers = errors(wrong).into_iter().map(|error| error.pointer);
            pointers.collect()
        })
    }

    fn ada() -> Value {
        json!({"name": "Ada", "street": "1 St James's Square", "city": "London", "country": "GB"})
    }

    #[test]
    fn an_address_may_be_left_out_but_not_its_parts() {
        assert_eq!(parse(Value::Null).unwrap().shipping_address(), None);
        let request = parse(ada()).unwrap();
        assert_eq!(
            request.shipping_address().unwrap().city.to_string(),
            "London"
        );
        let wrong = json!({"name": "", "street": 1, "postal_code": "\n", "country": "gb"});
        let mut pointers = parse(wrong).unwrap_err();
        pointers.sort();
        let expected = ["city", "country", "name", "postal_code", "street"];
        assert_eq!(
            pointers,
            expected.map(|part| format!("/shipping_address/{part}"))
        );
        assert_eq!(parse(json!("London")).unwrap_err(), ["/shipping_address"]);
    }
}
