//! The same read by every door.

mod wire;

use contracts::products::v1::GetProductsRequest;
use contracts::products::v1::catalog_service_client::CatalogServiceClient;
use contracts::users::v1::user_service_client::UserServiceClient;
use contracts::users::v1::{GetUserOrdersRequest, GetUserRequest};
use scenarios::embedded::Embedded;
use scenarios::{Customer, Marketplace, Shop, wait};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use wire::Wire;

/// Orders of the customer, each of another product.
const ORDERS: usize = 10;
/// Reads whose bytes are counted.
const COUNTED: usize = 20;

const READ: &str = "{ me { id email name orders(first: 10) { edges { node {
    id status total { amount currency } createdAt updatedAt
    items { quantity unitPrice { amount } product { id name price { amount currency } available } } } } } } }";
/// As many products as `CANDIDATES` of the gateway's dashboard.
const DASHBOARD: &str = "{ me { id email name orders(first: 10) { edges { node {
    id status total { amount currency } createdAt updatedAt items { productId quantity unitPrice { amount } } } } } }
    products(first: 50) { edges { node { id name price { amount currency } available } } } }";

/// How the read gets there.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    Rest,
    RestV2,
    Graphql,
    Grpc,
    Dashboard,
    DashboardByGraphql,
}

impl Way {
    pub(crate) const ALL: [Self; 6] = [
        Self::Rest,
        Self::RestV2,
        Self::Graphql,
        Self::Grpc,
        Self::Dashboard,
        Self::DashboardByGraphql,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rest => "REST v1",
            Self::RestV2 => "REST v2",
            Self::Graphql => "GraphQL",
            Self::Grpc => "gRPC, past the gateway",
            Self::Dashboard => "dashboard, REST v1",
            Self::DashboardByGraphql => "dashboard, GraphQL",
        }
    }

    /// The way of the same read over REST v1.
    pub(crate) fn compared_with(self) -> usize {
        let first = match self {
            Self::Rest | Self::RestV2 | Self::Graphql | Self::Grpc => Self::Rest,
            Self::Dashboard | Self::DashboardByGraphql => Self::Dashboard,
        };
        first as usize
    }

    pub(crate) fn calls(self) -> usize {
        match self {
            Self::Rest | Self::RestV2 | Self::Grpc => 3,
            Self::Graphql | Self::Dashboard | Self::DashboardByGraphql => 1,
        }
    }
}

/// The customer, and where the doors are.
pub(crate) struct Reader {
    customer: Customer,
    gateway: String,
    users: String,
    products: String,
    product_ids: Vec<String>,
}

impl Reader {
    pub(crate) fn new(marketplace: &Embedded, gateway: &str) -> Self {
        let shop = Shop::new(gateway);
        wait::until("the gateway", || {
            let answer = shop.call("GET", "/api/products", &[], None).ok()?;
            (answer.status == 200).then_some(())
        });
        let customer = shop.customer();
        let mut product_ids = Vec::new();
        for product in shop.catalogue().into_iter().take(ORDERS) {
            let product = product["id"].as_str().expect("an id").to_owned();
            let order = shop.order(&customer, &product, 1).expect(201).id();
            let _ = shop.settled(&customer, &order);
            product_ids.push(product);
        }
        Self {
            customer,
            gateway: gateway.to_owned(),
            users: marketplace.endpoint("users"),
            products: marketplace.endpoint("products_grpc"),
            product_ids,
        }
    }

    /// The bytes of one read, both directions, for each way.
    pub(crate) fn bytes(&self) -> Vec<usize> {
        let doors = [&self.gateway, &self.users, &self.products].map(|url| Wire::to(url));
        let through = Self {
            customer: self.customer.clone(),
            gateway: doors[0].url.clone(),
            users: doors[1].url.clone(),
            products: doors[2].url.clone(),
            product_ids: self.product_ids.clone(),
        };
        let passed = || doors.iter().map(Wire::bytes).sum::<usize>();
        let mut caller = through.connect();
        let of = |way| {
            caller.read(way);
            let before = passed();
            for _ in 0..COUNTED {
                caller.read(way);
            }
            (passed() - before) / COUNTED
        };
        Way::ALL.map(of).to_vec()
    }

    pub(crate) fn connect(&self) -> Caller<'_> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let to = |url: &str| {
            let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
            runtime.block_on(endpoint.connect()).expect("a connection")
        };
        let (users, products) = (to(&self.users), to(&self.products));
        Caller {
            reader: self,
            shop: Shop::new(&self.gateway),
            users: UserServiceClient::new(users),
            products: CatalogServiceClient::new(products),
            runtime,
        }
    }
}

/// One of those who read, with connections of its own.
pub(crate) struct Caller<'a> {
    reader: &'a Reader,
    shop: Shop,
    users: UserServiceClient<Channel>,
    products: CatalogServiceClient<Channel>,
    runtime: Runtime,
}

impl Caller<'_> {
    /// One read.
    pub(crate) fn read(&mut self, way: Way) {
        match way {
            Way::Rest => self.rest("/api/v1"),
            Way::RestV2 => self.rest("/api/v2"),
            Way::Graphql => self.graphql(READ),
            Way::Grpc => self.grpc(),
            Way::Dashboard => {
                let id = &self.reader.customer.id;
                self.get(&format!("/api/v1/dashboard/{id}"))
            }
            Way::DashboardByGraphql => self.graphql(DASHBOARD),
        }
    }

    fn get(&self, path: &str) {
        let token = Some(self.reader.customer.token.as_str());
        let _ = self.shop.get(path, token).expect(200);
    }

    fn rest(&self, base: &str) {
        let id = &self.reader.customer.id;
        self.get(&format!("{base}/users/{id}"));
        self.get(&format!("{base}/users/{id}/orders?page_size={ORDERS}"));
        self.get(&format!("{base}/products?page_size={ORDERS}"));
    }

    fn graphql(&self, query: &str) {
        let token = Some(self.reader.customer.token.as_str());
        let answer = self
            .shop
            .post("/graphql", token, &json!({ "query": query }));
        let answer = answer.expect(200);
        assert_eq!(answer.json["errors"], Value::Null, "{answer:?}");
    }

    fn grpc(&mut self) {
        let Customer { id, token, .. } = &self.reader.customer;
        let bearer = format!("Bearer {token}");
        let user = signed(
            &bearer,
            GetUserRequest {
                user_id: id.clone(),
            },
        );
        let orders = signed(
            &bearer,
            GetUserOrdersRequest {
                user_id: id.clone(),
                page_size: i32::try_from(ORDERS).expect("few"),
                page_token: String::new(),
            },
        );
        let ids = self.reader.product_ids.clone();
        let products = signed(&bearer, GetProductsRequest { ids });
        let (users, catalog) = (&mut self.users, &mut self.products);
        self.runtime.block_on(async {
            users.get_user(user).await.expect("a user");
            users.get_user_orders(orders).await.expect("orders");
            catalog.get_products(products).await.expect("products");
        });
    }
}

fn signed<T>(bearer: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = bearer.parse().expect("a header's value");
    request.metadata_mut().insert("authorization", bearer);
    request
}
