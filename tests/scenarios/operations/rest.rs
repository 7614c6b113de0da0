//! The REST operations, as the OpenAPI documents have them, each with the statuses that the document has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chassis::openapi::operations;
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, Shop, shop};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CALLERS, Cast};

/// What the id in a path is of.
#[derive(Clone, Copy)]
enum Id {
    None,
    User,
    Order,
    /// The same, in the query.
    Orders,
    /// One that can change no more, so that the stream of its changes ends.
    Cancelled,
    Product,
    /// Users, in the query.
    Users,
}

/// The body that is sent.
#[derive(Clone, Copy)]
enum Body {
    None,
    Order,
    SignUp,
    SignIn,
}

use Body::{Order as AnOrder, SignIn, SignUp};
use Id::{Cancelled, Order, Orders, Product, User, Users};

/// An operation and the status that each of [`CALLERS`] gets.
type Row = (&'static str, Id, Body, [u16; 6]);

/// It makes no difference who asks.
const OPEN: [u16; 6] = [200; 6];
/// The owner's; for others it does not exist.
const OWNERS: [u16; 6] = [401, 401, 401, 404, 200, 200];
/// Each has their own.
const SIGNED_IN: [u16; 6] = [401, 401, 401, 200, 200, 200];
/// Each places their own.
const PLACED: [u16; 6] = [401, 401, 401, 201, 201, 201];

const GATEWAY_V1: &[Row] = &[
    ("getKeys", Id::None, Body::None, OPEN),
    ("signUp", Id::None, SignUp, [201; 6]),
    ("signIn", Id::None, SignIn, [201; 6]),
    (
        "listUsers",
        Id::None,
        Body::None,
        [401, 401, 401, 403, 403, 200],
    ),
    ("getMe", Id::None, Body::None, SIGNED_IN),
    ("getUser", User, Body::None, OWNERS),
    ("listUserOrders", User, Body::None, OWNERS),
    ("getDashboard", User, Body::None, OWNERS),
    ("placeOrder", Id::None, AnOrder, PLACED),
    ("listOrders", Id::None, Body::None, SIGNED_IN),
    ("getOrder", Order, Body::None, OWNERS),
    ("cancelOrder", Order, Body::None, OWNERS),
    ("deleteOrder", Order, Body::None, OWNERS),
    ("watchOrder", Cancelled, Body::None, OWNERS),
    ("listProducts", Id::None, Body::None, OPEN),
    ("getProduct", Product, Body::None, OPEN),
];

/// Every operation of version 1 has its successor, with the same answers.
const GATEWAY_V2: &[Row] = GATEWAY_V1;

const ORDERS: &[Row] = &[
    ("placeOrder", Id::None, AnOrder, PLACED),
    ("listOrders", Id::None, Body::None, SIGNED_IN),
    ("getOrder", Order, Body::None, OWNERS),
    ("cancelOrder", Order, Body::None, OWNERS),
    ("deleteOrder", Order, Body::None, OWNERS),
    ("watchOrder", Cancelled, Body::None, OWNERS),
    ("listUserOrders", User, Body::None, OWNERS),
    // Whose orders the caller may not see is left out of the answer.
    ("listOrdersOfUsers", Users, Body::None, SIGNED_IN),
];

const ORDERS_V2: &[Row] = &[
    ("placeOrder", Id::None, AnOrder, PLACED),
    ("listOrders", Id::None, Body::None, SIGNED_IN),
    ("getOrder", Order, Body::None, OWNERS),
    ("cancelOrder", Order, Body::None, OWNERS),
    ("deleteOrder", Order, Body::None, OWNERS),
    ("watchOrder", Cancelled, Body::None, OWNERS),
    ("listUserOrders", User, Body::None, OWNERS),
    ("listOrdersOfUsers", Users, Body::None, SIGNED_IN),
    ("getOrders", Orders, Body::None, SIGNED_IN),
];

const PRODUCTS: &[Row] = &[
    ("listProducts", Id::None, Body::None, OPEN),
    ("getProduct", Product, Body::None, OPEN),
];

/// The documents, each with the door that it is of.
const DOCUMENTS: &[(&str, &str, &[Row])] = &[
    ("openapi-gateway-v1.json", "gateway", GATEWAY_V1),
    ("openapi-gateway-v2.json", "gateway", GATEWAY_V2),
    ("openapi-orders.json", "orders", ORDERS),
    ("openapi-orders-v2.json", "orders", ORDERS_V2),
    ("openapi-products.json", "products", PRODUCTS),
    ("openapi-products-v2.json", "products", PRODUCTS),
];

pub(super) fn check(marketplace: &Embedded, cast: &Cast) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/interfaces");
    let listed = DOCUMENTS.iter().map(|(file, ..)| (*file).to_owned());
    let listed: BTreeSet<_> = listed.collect();
    assert_eq!(committed(&folder), listed, "each document has its table");

    let mut wrong = Vec::new();
    for (file, door, rows) in DOCUMENTS {
        let text = std::fs::read(folder.join(file)).expect("a document");
        let document: Value = serde_json::from_slice(&text).expect("JSON");
        let door = Shop::new(&marketplace.endpoint(door));
        let mut rows: BTreeMap<_, _> = rows.iter().map(|row| (row.0, row)).collect();
        for (path, method, operation) in operations(&document) {
            let id = operation["operationId"].as_str().expect("an id");
            let at = format!("{file}: {id}");
            let (_, of, body, expected) =
                rows.remove(id).unwrap_or_else(|| panic!("{at} has no row"));
            let called = Called {
                door: &door,
                method,
                path,
                id: *of,
                body: *body,
            };
            let answered: Vec<_> = cast
                .callers
                .iter()
                .map(|token| called.by(cast, token.as_deref()))
                .collect();
            for ((caller, status), expected) in CALLERS.iter().zip(answered).zip(expected) {
                if status != *expected {
                    wrong.push(format!("{at}, {caller}: {status} and not {expected}"));
                }
                if operation["responses"].get(status.to_string()).is_none() {
                    wrong.push(format!("{at}, {caller}: {status} is not documented"));
                }
            }
        }
        assert!(rows.is_empty(), "{file} has no {:?}", rows.keys());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The OpenAPI documents that there are.
fn committed(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("the documents");
    entries
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.into_string().expect("text")
        })
        .filter(|name| name.starts_with("openapi-"))
        .collect()
}

/// One operation.
struct Called<'a> {
    door: &'a Shop,
    method: &'a str,
    path: &'a str,
    id: Id,
    body: Body,
}

impl Called<'_> {
    fn by(&self, cast: &Cast, token: Option<&str>) -> u16 {
        let id = match self.id {
            Id::None => "",
            User | Users => &cast.owner.id,
            // Of its own each time: that it is cancelled already is another test's to see.
            Order | Orders => &cast
                .shop
                .order(&cast.owner, &cast.product, 1)
                .expect(201)
                .id(),
            Cancelled => &cancelled(cast),
            Product => &cast.product,
        };
        let mut path = self.path.replace("{id}", id).replace("{user_id}", id);
        if matches!(self.id, Users | Orders) {
            path = format!("{path}?ids={id}");
        }
        let body = match self.body {
            Body::None => None,
            AnOrder => Some(shop::one_line(&cast.product, 1)),
            SignUp => Some(sign_up()),
            SignIn => Some(json!({"email": cast.owner.email, "password": cast.owner.password})),
        };
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers: Vec<_> = bearer
            .iter()
            .map(|bearer| ("authorization", bearer.as_str()))
            .collect();
        headers.extend(body.as_ref().map(|_| ("content-type", "application/json")));
        let body = body.map(|body| body.to_string());
        let method = self.method.to_uppercase();
        let body = body
            .as_deref()
            .or((method == "POST").then_some(""))
            .map(str::as_bytes);
        let answer = self.door.call(&method, &path, &headers, body);
        answer
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
            .status
    }
}

/// An order that was taken back.
pub(super) fn cancelled(cast: &Cast) -> String {
    let order = cast
        .shop
        .order(&cast.owner, &cast.product, 1)
        .expect(201)
        .id();
    let path = format!("/api/orders/{order}/cancel");
    let _ = cast
        .shop
        .post(&path, Some(&cast.owner.token), &Value::Null)
        .expect(200);
    order
}

/// Somebody new.
pub(super) fn sign_up() -> Value {
    let email = format!("{}@example.org", Uuid::new_v4().simple());
    json!({"email": email, "name": "Grace", "password": "correct horse battery"})
}
