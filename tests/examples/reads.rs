//! The same read by every door: bytes, the gateway's CPU, and how long it takes at an equal rate.
//!
//! ```text
//! cargo run --release -p scenarios --example reads [-- RATE SECONDS]
//! ```
//!
//! A customer with ten orders of ten goods reads who they are, their orders and the goods in them: over REST in three
//! calls, over both versions; over GraphQL in one; over gRPC in three calls to the services themselves, since the
//! gateway has no gRPC. Then the dashboard, and what it is made of asked by GraphQL: as many orders, and as many goods as the
//! gateway picks the recommended ones from. All services but the gateway are one process, so that the gateway's CPU can be told
//! apart; in each row it is also compared with that of the same read over REST v1. A read's time counts from when it was due, also
//! if its caller was still busy.
#![allow(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::net::TcpListener;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use chassis::{Shutdown, config};
use contracts::products::v1::GetProductsRequest;
use contracts::products::v1::catalog_service_client::CatalogServiceClient;
use contracts::users::v1::user_service_client::UserServiceClient;
use contracts::users::v1::{GetUserOrdersRequest, GetUserRequest};
use parking_lot::Mutex;
use prost::Message as _;
use scenarios::embedded::{CHILD, Embedded};
use scenarios::{Customer, Marketplace, Shop, wait};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

/// With this in its environment the executable is a gateway.
const GATEWAY: &str = "AGORA_READS_GATEWAY";
/// Orders of the customer, each of another product.
const ORDERS: usize = 10;
/// Callers who share the rate.
const CALLERS: usize = 16;

const READ: &str = "{ me { id email name orders(first: 10) { edges { node {
    id status total { amount currency } createdAt updatedAt
    items { quantity unitPrice { amount } product { id name price { amount currency } available } } } } } } }";
/// As many products as `CANDIDATES` of the gateway's dashboard.
const DASHBOARD: &str = "{ me { id email name orders(first: 10) { edges { node {
    id status total { amount currency } createdAt updatedAt items { productId quantity unitPrice { amount } } } } } }
    products(first: 50) { edges { node { id name price { amount currency } available } } } }";

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return agora::main();
    }
    if std::env::var_os(GATEWAY).is_some() {
        return be_gateway();
    }
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        arguments
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    let (rate, seconds) = (number(100), number(20));
    let marketplace = Embedded::start(&[]);
    let gateway = Gateway::start(&marketplace);
    let reader = Reader::new(&marketplace, &gateway);
    println!(
        "way                     calls  bytes  CPU of the gateway  to REST       p50       p99"
    );
    let mut rest_us = f64::NAN;
    for way in Way::ALL {
        let _warm = measure(&reader, &gateway, way, rate, 2);
        let figures = measure(&reader, &gateway, way, rate, seconds);
        if matches!(way, Way::Rest | Way::Dashboard) {
            rest_us = figures.cpu_us;
        }
        println!(
            "{:<22} {:>6} {:>6} {:>16.0} us {:>6.2} × {:>6.2} ms {:>6.2} ms",
            way.name(),
            way.calls(),
            figures.bytes,
            figures.cpu_us,
            figures.cpu_us / rest_us,
            figures.p50_ms,
            figures.p99_ms
        );
    }
    ExitCode::SUCCESS
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Rest,
    RestV2,
    Graphql,
    Grpc,
    Dashboard,
    DashboardByGraphql,
}

impl Way {
    const ALL: [Self; 6] = [
        Self::Rest,
        Self::RestV2,
        Self::Graphql,
        Self::Grpc,
        Self::Dashboard,
        Self::DashboardByGraphql,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Rest => "REST v1",
            Self::RestV2 => "REST v2",
            Self::Graphql => "GraphQL",
            Self::Grpc => "gRPC, past the gateway",
            Self::Dashboard => "dashboard, REST v1",
            Self::DashboardByGraphql => "dashboard, GraphQL",
        }
    }

    fn calls(self) -> usize {
        match self {
            Self::Rest | Self::RestV2 | Self::Grpc => 3,
            Self::Graphql | Self::Dashboard | Self::DashboardByGraphql => 1,
        }
    }
}

/// The customer, and where the doors are.
struct Reader {
    customer: Customer,
    gateway: String,
    users: String,
    products: String,
    product_ids: Vec<String>,
}

impl Reader {
    fn new(marketplace: &Embedded, gateway: &Gateway) -> Self {
        let shop = Shop::new(&gateway.url);
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
            gateway: gateway.url.clone(),
            users: marketplace.endpoint("users"),
            products: marketplace.endpoint("products_grpc"),
            product_ids,
        }
    }

    fn connect(&self) -> Caller<'_> {
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
struct Caller<'a> {
    reader: &'a Reader,
    shop: Shop,
    users: UserServiceClient<Channel>,
    products: CatalogServiceClient<Channel>,
    runtime: Runtime,
}

impl Caller<'_> {
    /// One read: the bytes of its answers' bodies.
    fn read(&mut self, way: Way) -> usize {
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

    fn get(&self, path: &str) -> usize {
        let token = Some(self.reader.customer.token.as_str());
        self.shop.get(path, token).expect(200).text.len()
    }

    fn rest(&self, base: &str) -> usize {
        let id = &self.reader.customer.id;
        self.get(&format!("{base}/users/{id}"))
            + self.get(&format!("{base}/users/{id}/orders?page_size={ORDERS}"))
            + self.get(&format!("{base}/products?page_size={ORDERS}"))
    }

    fn graphql(&self, query: &str) -> usize {
        let token = Some(self.reader.customer.token.as_str());
        let answer = self
            .shop
            .post("/graphql", token, &json!({ "query": query }));
        let answer = answer.expect(200);
        assert_eq!(answer.json["errors"], Value::Null, "{answer:?}");
        answer.text.len()
    }

    fn grpc(&mut self) -> usize {
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
            let user = users.get_user(user).await.expect("a user").into_inner();
            let orders = users.get_user_orders(orders).await.expect("orders");
            let products = catalog.get_products(products).await.expect("products");
            user.encoded_len()
                + orders.into_inner().encoded_len()
                + products.into_inner().encoded_len()
        })
    }
}

fn signed<T>(bearer: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = bearer.parse().expect("a header's value");
    request.metadata_mut().insert("authorization", bearer);
    request
}

struct Figures {
    bytes: usize,
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Reads `rate` times a second for so many seconds, each read when it is due.
fn measure(reader: &Reader, gateway: &Gateway, way: Way, rate: u32, seconds: u32) -> Figures {
    let reads = rate * seconds;
    let (before, start) = (gateway.cpu(), Instant::now() + Duration::from_millis(200));
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let done = &done;
            scope.spawn(move || {
                let mut by = reader.connect();
                for n in (u32::try_from(caller).expect("few")..reads).step_by(CALLERS) {
                    let due = start + Duration::from_secs(1) / rate * n;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    let bytes = by.read(way);
                    done.lock().push((due.elapsed(), bytes));
                }
            });
        }
    });
    let mut done = done.into_inner();
    done.sort();
    let at = |part: usize| done[(done.len() - 1) * part / 100].0.as_secs_f64() * 1_000.0;
    Figures {
        bytes: done.iter().map(|(_, bytes)| bytes).sum::<usize>() / done.len(),
        cpu_us: (gateway.cpu() - before).as_secs_f64() * 1e6 / f64::from(reads),
        p50_ms: at(50),
        p99_ms: at(99),
    }
}

/// A gateway in a process of its own, in front of the marketplace's services. It ends when this is dropped.
struct Gateway {
    child: Child,
    url: String,
}

impl Gateway {
    fn start(marketplace: &Embedded) -> Self {
        let free = || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("an address").port()
        };
        let (http, admin) = (free(), free());
        let child = Command::new(std::env::current_exe().expect("a path"))
            .env(GATEWAY, "1")
            .env("HTTP_PORT", http.to_string())
            .env("ADMIN_PORT", admin.to_string())
            .env("USERS_URL", marketplace.endpoint("users"))
            .env("ORDERS_URL", marketplace.endpoint("orders"))
            .env("PRODUCTS_URL", marketplace.endpoint("products"))
            .env("PRODUCTS_GRPC_URL", marketplace.endpoint("products_grpc"))
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let url = format!("http://127.0.0.1:{http}");
        Self { child, url }
    }

    /// The CPU time that its threads have had, as the scheduler counts it.
    fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let nanoseconds = threads.expect("Linux").filter_map(|thread| {
            let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn be_gateway() -> ExitCode {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let config: gateway::Config = config::try_from_args(["gateway"]).expect("a configuration");
        let listeners = gateway::Listeners::bind(&config).await.expect("ports");
        let end = gateway::run(config, listeners, Shutdown::on_signals()).await;
        end.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
    })
}
