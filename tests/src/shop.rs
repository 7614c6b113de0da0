//! The public face of the marketplace, a verb for each thing that a customer does.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::wait;

/// The longest a single call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read into memory, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An HTTP answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header names in lower case with their values.
    pub headers: Vec<(String, String)>,
    /// The body as JSON; `Null` when it is empty or not JSON.
    pub json: Value,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// The value of a header, `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Asserts the status and hands the answer on.
    ///
    /// # Panics
    /// When the status differs; the message shows the whole answer.
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "unexpected answer: {self:?}");
        self
    }

    /// Asserts that this is a complete problem document with this status.
    ///
    /// # Panics
    /// When it is not; the message shows the whole answer.
    #[must_use]
    pub fn expect_problem(self, status: u16) -> Self {
        assert_eq!(self.status, status, "unexpected answer: {self:?}");
        let media_type = self.header("content-type").unwrap_or_default();
        assert!(
            media_type.starts_with("application/problem+json"),
            "not a problem: {self:?}"
        );
        assert_eq!(self.json["status"], status, "{self:?}");
        for member in ["type", "title", "instance", "trace_id"] {
            let text = self.json[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "a problem needs `{member}`: {self:?}");
        }
        // RFC 9110 section 11.6.1.
        assert!(
            status != 401 || self.header("www-authenticate").is_some(),
            "a 401 says how to sign in: {self:?}"
        );
        self
    }

    /// The `id` member of the body.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn id(&self) -> String {
        self.json["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id in {self:?}"))
            .to_owned()
    }
}

/// Somebody who has signed up and signed in.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The user's id.
    pub id: String,
    /// The address that mails go to.
    pub email: String,
    /// What they sign in with.
    pub password: String,
    /// The access token of their last sign-in.
    pub token: String,
}

/// A client of one gateway.
#[derive(Debug, Clone)]
pub struct Shop {
    /// The gateway's base URL, without a slash at its end.
    pub base: String,
    agent: ureq::Agent,
}

impl Shop {
    /// A client of the gateway at `base`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(CALL_TIMEOUT))
            .build();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            agent: ureq::Agent::new_with_config(config),
        }
    }

    /// One call with any method, headers and body.
    ///
    /// # Errors
    /// When no answer came: the connection was refused, reset or timed out.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = match body {
            Some(body) => self.agent.run(request.body(body)?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let headers = answer
            .headers()
            .iter()
            .map(|(n, v)| {
                (
                    n.as_str().to_owned(),
                    String::from_utf8_lossy(v.as_bytes()).into_owned(),
                )
            })
            .collect();
        let status = answer.status().as_u16();
        let text = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer {
            status,
            headers,
            json,
            text,
        })
    }

    /// A `GET`, with a token if there is one.
    ///
    /// # Panics
    /// When no answer came.
    #[must_use]
    pub fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let bearer = token.map(|t| format!("Bearer {t}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|b| ("authorization", b.as_str()))
            .collect();
        self.call("GET", path, &headers, None)
            .unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }

    /// A `POST` of JSON, with a token if there is one.
    ///
    /// # Panics
    /// When no answer came.
    #[must_use]
    pub fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        self.try_post(path, token, &[], body)
            .unwrap_or_else(|e| panic!("POST {path}: {e}"))
    }

    /// A `POST` of JSON that may find nobody at home.
    ///
    /// # Errors
    /// When no answer came.
    pub fn try_post(
        &self,
        path: &str,
        token: Option<&str>,
        more: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer, ureq::Error> {
        let bearer = token.map(|t| format!("Bearer {t}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(bearer.iter().map(|b| ("authorization", b.as_str())));
        headers.extend(more);
        self.call("POST", path, &headers, Some(body.to_string().as_bytes()))
    }

    /// A new customer, signed up and signed in.
    #[must_use]
    pub fn customer(&self) -> Customer {
        let email = format!("{}@example.org", Uuid::new_v4().simple());
        let password = "correct horse battery".to_owned();
        let body = json!({"email": email, "name": "Ada Example", "password": password});
        let id = self.post("/api/users", None, &body).expect(201).id();
        let token = self.sign_in(&email, &password);
        Customer {
            id,
            email,
            password,
            token,
        }
    }

    /// A fresh access token.
    #[must_use]
    pub fn sign_in(&self, email: &str, password: &str) -> String {
        let body = json!({"email": email, "password": password});
        let answer = self.post("/api/sessions", None, &body).expect(201);
        answer.json["access_token"]
            .as_str()
            .expect("an access token")
            .to_owned()
    }

    /// The id of some product, for scenarios to which all are alike.
    ///
    /// # Panics
    /// When there is nothing for sale.
    #[must_use]
    pub fn product(&self) -> String {
        let goods = self.catalogue();
        let id = goods.first().and_then(|good| good["id"].as_str());
        id.expect("a product").to_owned()
    }

    /// The whole catalogue, over all of its pages.
    #[must_use]
    pub fn catalogue(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let mut path = "/api/products?page_size=10".to_owned();
        loop {
            let page = self.get(&path, None).expect(200).json;
            all.extend(
                page["products"]
                    .as_array()
                    .expect("products")
                    .iter()
                    .cloned(),
            );
            match page["next_page_token"].as_str() {
                Some(token) if !token.is_empty() => {
                    path = format!("/api/products?page_size=10&page_token={token}");
                }
                _ => return all,
            }
        }
    }

    /// How many pieces of a product can still be bought.
    #[must_use]
    pub fn available(&self, product_id: &str) -> i64 {
        let answer = self
            .get(&format!("/api/products/{product_id}"), None)
            .expect(200);
        answer.json["available"]
            .as_i64()
            .expect("a number of pieces")
    }

    /// Orders one line; whatever the answer is.
    #[must_use]
    pub fn order(&self, by: &Customer, product_id: &str, quantity: i64) -> Answer {
        self.post(
            "/api/orders",
            Some(&by.token),
            &one_line(product_id, quantity),
        )
    }

    /// Waits until an order is no longer pending and returns it.
    #[must_use]
    pub fn settled(&self, by: &Customer, order_id: &str) -> Value {
        wait::until(&format!("order {order_id} to leave `pending`"), || {
            let order = self
                .get(&format!("/api/orders/{order_id}"), Some(&by.token))
                .expect(200);
            (order.json["status"] != "pending").then_some(order.json)
        })
    }
}

/// The body of an order with one line.
#[must_use]
pub fn one_line(product_id: &str, quantity: i64) -> Value {
    json!({"items": [{"product_id": product_id, "quantity": quantity}]})
}
