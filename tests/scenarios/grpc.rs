//! The gRPC face of users, as another system would call it.

use contracts::users::v1 as pb;
use contracts::users::v1::user_service_client::UserServiceClient;

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

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let users = open.marketplace.endpoint("users");
    let (mut found, pages) = runtime.block_on(async {
        let channel = tonic::transport::Endpoint::from_shared(users).expect("a URL");
        let channel = channel.connect().await.expect("the users' door");
        let mut client = UserServiceClient::new(channel);
        let (mut found, mut pages, mut token) = (Vec::new(), 0, String::new());
        loop {
            let mut request = tonic::Request::new(pb::GetUserOrdersRequest {
                user_id: customer.id.clone(),
                page_size: 2,
                page_token: token.clone(),
            });
            let bearer = format!("Bearer {}", customer.token).parse().expect("ASCII");
            request.metadata_mut().insert("authorization", bearer);
            let page = client
                .get_user_orders(request)
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
