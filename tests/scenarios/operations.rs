//! Every operation of every door, asked by everybody: what each is answered stands in a table, and an operation that is added
//! to an OpenAPI document, to a proto or to the GraphQL schema fails until it has its row.

mod graphql;
mod grpc;
mod rest;
mod tokens;

use scenarios::embedded::Embedded;
use scenarios::{Customer, Marketplace, Shop};

use tokens::Tokens;

/// Who asks. The columns of the tables, in this order.
const CALLERS: [&str; 6] = [
    "nobody",
    "an expired token",
    "a token for another audience",
    "another customer",
    "the owner",
    "an administrator",
];

/// What the operations are about, and who asks.
struct Cast {
    shop: Shop,
    owner: Customer,
    product: String,
    /// As the columns of the tables.
    callers: [Option<String>; 6],
}

pub(crate) fn answer_each_caller_as_listed(marketplace: &mut Embedded) {
    let cast = Cast::of(marketplace);
    rest::check(marketplace, &cast);
    grpc::check(marketplace, &cast);
    graphql::check(&cast);
}

impl Cast {
    fn of(marketplace: &Embedded) -> Self {
        let shop = marketplace.shop();
        let (owner, other) = (shop.customer(), shop.customer());
        let (email, password) = marketplace.administrator();
        let admin = shop.sign_in(&email, &password);
        let tokens = Tokens::of(marketplace, &owner);
        let product = shop.product();
        Self {
            shop,
            product,
            callers: [
                None,
                Some(tokens.expired()),
                Some(tokens.for_another_audience()),
                Some(other.token),
                Some(owner.token.clone()),
                Some(admin),
            ],
            owner,
        }
    }
}
