//! The gRPC face of users, as another system would call it.

use contracts::users::v1 as pb;
use contracts::users::v1::user_service_client::UserServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::stage::Open;

/// Orders of the one customer; more than fit into two pages of two.
const ORDERS: usize = 5;

pub(crate) fn pages_through_a_users_orders(open: &Open<'_>) {
    let shop = open.shop();
    let (product, _) = open.product(10);
    let customer = shop.customer();
    let mut placed: Vec<_> = (0..ORDERS)
        .map(|_| shop.order(&customer, &product, 1).expect(201).id())
        .collect();

    let (mut found, pages) = at_the_door(open, async |mut client| {
        let (mut found, mut pages, mut token) = (Vec::new(), 0, String::new());
        loop {
            let request = pb::GetUserOrdersRequest {
                user_id: customer.id.clone(),
                page_size: 2,
                page_token: token.clone(),
            };
            let page = client
                .get_user_orders(signed(request, &customer.token))
                .await
                .expect("a page")
                .into_inner();
            found.extend(page.orders.into_iter().map(|order| order.id));
            pages += 1;
            token = page.next_page_token;
            if token.is_empty() {
                return (found, pages);
            }
        }
    });
    assert_eq!(pages, 3);
    found.sort();
    placed.sort();
    assert_eq!(found, placed);
}

/// What the users' own door says to somebody who asks it for another user, for that user's orders and for all
/// users. The gateway would not even pass these on.
pub(crate) fn refusals(open: &Open<'_>, stranger: &str, user_id: &str) -> [Code; 3] {
    let user = pb::GetUserRequest {
        user_id: user_id.to_owned(),
    };
    let orders = pb::GetUserOrdersRequest {
        user_id: user_id.to_owned(),
        ..Default::default()
    };
    let all = pb::ListUsersRequest::default();
    at_the_door(open, async |mut client| {
        [
            code(client.get_user(signed(user, stranger)).await),
            code(client.get_user_orders(signed(orders, stranger)).await),
            code(client.list_users(signed(all, stranger)).await),
        ]
    })
}

fn at_the_door<T>(open: &Open<'_>, call: impl AsyncFnOnce(UserServiceClient<Channel>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let users = open.marketplace.endpoint("users");
    runtime.block_on(async {
        let channel = Channel::from_shared(users).expect("a URL");
        let channel = channel.connect().await.expect("the users' door");
        call(UserServiceClient::new(channel)).await
    })
}

/// A call on behalf of a token's user.
fn signed<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().expect("ASCII");
    request.metadata_mut().insert("authorization", bearer);
    request
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.err().map_or(Code::Ok, |status| status.code())
}
