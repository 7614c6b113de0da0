//! The fields that a GraphQL request begins with, as the schema has them.

use std::collections::BTreeSet;
use std::path::Path;

use scenarios::reader::End;
use scenarios::subscriber::{Over, Subscriber};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rest::cancelled;
use super::{CALLERS, Cast};

/// What a field answers where it is answered.
const FINE: &str = "";
const NOT_SIGNED_IN: &str = "unauthorized";
const NOTHING: &str = "not-found";

/// A field, what is asked of it, and the code of the error that each of [`CALLERS`] gets.
type Row = (&'static str, &'static str, [&'static str; 6]);

/// It makes no difference who asks.
const OPEN: [&str; 6] = [FINE; 6];
/// The owner's; for others it does not exist.
const OWNERS: [&str; 6] = [
    NOT_SIGNED_IN,
    NOT_SIGNED_IN,
    NOT_SIGNED_IN,
    NOTHING,
    FINE,
    FINE,
];
/// Each has their own.
const SIGNED_IN: [&str; 6] = [
    NOT_SIGNED_IN,
    NOT_SIGNED_IN,
    NOT_SIGNED_IN,
    FINE,
    FINE,
    FINE,
];
const ADMINS: [&str; 6] = [
    NOT_SIGNED_IN,
    NOT_SIGNED_IN,
    NOT_SIGNED_IN,
    "forbidden",
    "forbidden",
    FINE,
];

/// `$user`, `$order`, `$product`, `$new` (an address of nobody), `$email` and `$password` stand for values of the cast.
const ROWS: &[Row] = &[
    ("Query.me", "{ me { id } }", SIGNED_IN),
    ("Query.user", "{ user(id: $user) { id } }", OWNERS),
    (
        "Query.users",
        "{ users(first: 1) { edges { node { id } } } }",
        ADMINS,
    ),
    ("Query.order", "{ order(id: $order) { id } }", OWNERS),
    (
        "Query.orders",
        "{ orders(first: 1) { edges { node { id } } } }",
        SIGNED_IN,
    ),
    ("Query.product", "{ product(id: $product) { id } }", OPEN),
    (
        "Query.products",
        "{ products(first: 1) { edges { node { id } } } }",
        OPEN,
    ),
    (
        "Mutation.signUp",
        "mutation { signUp(email: $new, name: \"Grace\", password: $password) { id } }",
        OPEN,
    ),
    (
        "Mutation.signIn",
        "mutation { signIn(email: $email, password: $password) { tokenType } }",
        OPEN,
    ),
    (
        "Mutation.placeOrder",
        "mutation { placeOrder(items: [{productId: $product, quantity: 1}]) { id } }",
        SIGNED_IN,
    ),
    (
        "Mutation.cancelOrder",
        "mutation { cancelOrder(id: $order) { id } }",
        OWNERS,
    ),
];

/// Subscriptions, over both transports. A socket is closed (4403) if it is opened with a token that is no good.
const LIVE: &[(&str, Over, [&str; 6])] = &[
    ("Subscription.orderChanged", Over::Events, OWNERS),
    (
        "Subscription.orderChanged",
        Over::Socket,
        [NOT_SIGNED_IN, "4403", "4403", NOTHING, FINE, FINE],
    ),
];

pub(super) fn check(cast: &Cast) {
    let asked = ROWS.iter().map(|(field, ..)| *field);
    let listed = asked.chain(LIVE.iter().map(|(field, ..)| *field));
    let listed: BTreeSet<_> = listed.map(str::to_owned).collect();
    assert_eq!(declared(), listed, "each field has its row");
    let mut wrong = Vec::new();
    // It can change no more, so that they end.
    let order = cancelled(cast);
    for (field, over, expected) in LIVE {
        for ((caller, token), expected) in CALLERS.iter().zip(&cast.callers).zip(expected) {
            let subscriber = Subscriber::new(*over, &order, token.as_deref());
            let code = match subscriber.read(&cast.shop) {
                End::Over if !subscriber.seen().is_empty() => FINE.to_owned(),
                End::Refused(code) => code,
                other => format!("{other:?}"),
            };
            if code != *expected {
                wrong.push(format!(
                    "{field}, {over:?}, {caller}: {code:?} and not {expected:?}"
                ));
            }
        }
    }
    for (field, query, expected) in ROWS {
        for ((caller, token), expected) in CALLERS.iter().zip(&cast.callers).zip(expected) {
            let code = ask(cast, query, token.as_deref());
            if code != *expected {
                wrong.push(format!("{field}, {caller}: {code:?} and not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The fields of the types that requests begin with.
fn declared() -> BTreeSet<String> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/interfaces/schema.graphql");
    let schema = std::fs::read_to_string(schema).expect("the schema");
    let mut fields = BTreeSet::new();
    for root in ["Query", "Mutation", "Subscription"] {
        let (_, body) = schema.split_once(&format!("type {root} {{\n")).expect(root);
        let (body, _) = body.split_once("\n}").expect("its end");
        // Arguments are further in.
        let mut is_described = false;
        let names = body.lines().filter_map(|line| line.strip_prefix('\t'));
        let names = names.filter(|line| {
            is_described ^= line.starts_with("\"\"\"");
            !is_described
        });
        let names = names.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        fields.extend(names.map(|line| {
            let end = line.find(['(', ':']).expect("a field");
            format!("{root}.{}", &line[..end])
        }));
    }
    fields
}

/// The code of the first error, or none.
fn ask(cast: &Cast, query: &str, token: Option<&str>) -> String {
    let query = query
        .replace("$user", &quoted(&cast.owner.id))
        .replace("$product", &quoted(&cast.product));
    let query = query
        .replace("$email", &quoted(&cast.owner.email))
        .replace("$password", &quoted(&cast.owner.password));
    let query = query.replace(
        "$new",
        &quoted(&format!("{}@example.org", Uuid::new_v4().simple())),
    );
    let query = if query.contains("$order") {
        // Of its own each time: that it is cancelled already is another test's to see.
        query.replace(
            "$order",
            &quoted(
                &cast
                    .shop
                    .order(&cast.owner, &cast.product, 1)
                    .expect(201)
                    .id(),
            ),
        )
    } else {
        query
    };
    let answer = cast
        .shop
        .post("/graphql", token, &json!({ "query": query }));
    let error = &answer.json["errors"][0];
    if *error == Value::Null {
        assert!(answer.json["data"].is_object(), "{query}: {answer:?}");
        return FINE.to_owned();
    }
    error["extensions"]["code"]
        .as_str()
        .expect("a code")
        .to_owned()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
