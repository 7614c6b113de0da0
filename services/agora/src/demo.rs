//! The demo customer, created through the public API.

use std::net::SocketAddr;

use client::{CallContext, CallError, Peer, RestClient};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The credentials of the demo customer. They are no secret: they are printed at every start and are a customer's, and by
/// default the shop can only be reached from this machine.
pub(crate) const EMAIL: &str = "demo@agora.example";
pub(crate) const PASSWORD: &str = "shopping-for-olives";

const NAME: &str = "Demo Customer";
/// A long deadline: one call hashes a password twice, in a debug build without optimisation.
const PATIENT: &str = "deadline=20s,attempt=20s";

/// The demo customer, and a product to buy.
#[derive(Debug)]
pub(crate) struct Demo {
    pub(crate) customer_id: String,
    /// The id and the name of a product that is in stock, if there is one.
    pub(crate) product: Option<(String, String)>,
}

/// Signs the demo customer up, unless an earlier start did.
pub(crate) async fn ensure(gateway: SocketAddr) -> Result<Demo, Failure> {
    let patient = PATIENT.parse().map_err(Failure::new)?;
    let shop = RestClient::new(Peer::new("gateway", gateway, patient).called_by("agora"));
    let nobody = CallContext::default();
    let new = json!({"email": EMAIL, "name": NAME, "password": PASSWORD});
    let customer_id = match shop.post::<_, Value>("/api/users", &new, &nobody).await {
        Ok(user) => text(&user, "id"),
        Err(CallError::Problem(problem)) if problem.status == 409 => known(&shop).await?,
        Err(error) => return Err(failed(&error)),
    };
    let page: Value = shop
        .get("/api/products?page_size=100", &nobody)
        .await
        .map_err(|e| failed(&e))?;
    Ok(Demo {
        customer_id,
        product: most_available(&page),
    })
}

async fn known(shop: &RestClient) -> Result<String, Failure> {
    let credentials = json!({"email": EMAIL, "password": PASSWORD});
    let session: Value = shop
        .post("/api/sessions", &credentials, &CallContext::default())
        .await
        .map_err(|error| failed(&error))?;
    let me = CallContext::bearer(text(&session, "access_token"));
    let user: Value = shop
        .get("/api/users/me", &me)
        .await
        .map_err(|error| failed(&error))?;
    Ok(text(&user, "id"))
}

fn most_available(page: &Value) -> Option<(String, String)> {
    let products = page["products"].as_array()?;
    let available = |product: &&Value| product["available"].as_i64().unwrap_or(0);
    let product = products
        .iter()
        .filter(|product| available(product) > 0)
        .max_by_key(available)?;
    Some((text(product, "id"), text(product, "name")))
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

fn failed(error: &CallError) -> Failure {
    Failure::new(format!("the demo customer cannot be signed up: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_what_there_is_most_of() {
        let page = json!({"products": [
            {"id": "1", "name": "Olives", "available": 3},
            {"id": "2", "name": "Soap", "available": 40},
            {"id": "3", "name": "Amphora", "available": 0},
        ]});
        assert_eq!(
            most_available(&page),
            Some(("2".to_owned(), "Soap".to_owned()))
        );
        assert_eq!(
            most_available(&json!({"products": [{"id": "3", "available": 0}]})),
            None
        );
    }
}
