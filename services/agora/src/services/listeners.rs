//! All ports of all services, bound before anything starts: a port that is in use is reported at once, and every service gets
//! the addresses of the others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use chassis::listen;
use tokio::net::TcpListener;

use super::bound::Bound;
use crate::cli::Up;
use crate::failure::Failure;

/// The loopback address.
const LOOPBACK: &str = "127.0.0.1";

/// The addresses of all ports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) gateway: SocketAddr,
    pub(crate) gateway_admin: SocketAddr,
    pub(crate) orders: SocketAddr,
    pub(crate) orders_admin: SocketAddr,
    pub(crate) products: SocketAddr,
    pub(crate) products_grpc: SocketAddr,
    pub(crate) products_admin: SocketAddr,
    pub(crate) users: SocketAddr,
    pub(crate) users_admin: SocketAddr,
    pub(crate) notifications_admin: SocketAddr,
    pub(crate) observatory: SocketAddr,
    pub(crate) observatory_admin: SocketAddr,
    pub(crate) switches: SocketAddr,
}

/// The bound ports of each service.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) gateway: gateway::Listeners,
    pub(crate) orders: orders::Listeners,
    pub(crate) products: products::Listeners,
    pub(crate) users: users::Listeners,
    pub(crate) notifications: notifications::Listeners,
    pub(crate) observatory: observatory::Listeners,
    /// The port of this process's switches.
    pub(crate) switches: TcpListener,
}

impl Listeners {
    /// Binds all of them.
    pub(crate) async fn bind(up: &Up) -> Result<Self, Failure> {
        let (on, ports) = (Binder(up), &up.ports);
        Ok(Self {
            gateway: gateway::Listeners {
                http: on.door(ports.gateway_port, 8080, "gateway-port").await?,
                admin: on
                    .admin(ports.gateway_admin_port, 8090, "gateway-admin-port")
                    .await?,
            },
            orders: orders::Listeners {
                http: on.door(ports.orders_port, 8081, "orders-port").await?,
                admin: on
                    .admin(ports.orders_admin_port, 8091, "orders-admin-port")
                    .await?,
            },
            products: on.products().await?,
            users: users::Listeners {
                grpc: on.door(ports.users_port, 50051, "users-port").await?,
                admin: on
                    .admin(ports.users_admin_port, 8093, "users-admin-port")
                    .await?,
            },
            notifications: notifications::Listeners {
                admin: on
                    .admin(
                        ports.notifications_admin_port,
                        8094,
                        "notifications-admin-port",
                    )
                    .await?,
            },
            observatory: observatory::Listeners {
                http: on
                    .hidden(ports.observatory_port, 8095, "observatory-port")
                    .await?,
                admin: on
                    .admin(ports.observatory_admin_port, 8096, "observatory-admin-port")
                    .await?,
            },
            switches: on
                .hidden(ports.switches_port, 8097, "switches-port")
                .await?,
        })
    }

    /// Those of the services, in the order in which they start, and the one of this process.
    pub(crate) fn split(self) -> ([Bound; 6], TcpListener) {
        let services = [
            Bound::Observatory(self.observatory),
            Bound::Users(self.users),
            Bound::Notifications(self.notifications),
            Bound::Products(self.products),
            Bound::Orders(self.orders),
            Bound::Gateway(self.gateway),
        ];
        (services, self.switches)
    }

    /// The addresses at which clients on this machine reach them.
    pub(crate) fn addresses(&self) -> Result<Addresses, Failure> {
        Ok(Addresses {
            gateway: reachable(&self.gateway.http)?,
            gateway_admin: reachable(&self.gateway.admin)?,
            orders: reachable(&self.orders.http)?,
            orders_admin: reachable(&self.orders.admin)?,
            products: reachable(&self.products.http)?,
            products_grpc: reachable(&self.products.grpc)?,
            products_admin: reachable(&self.products.admin)?,
            users: reachable(&self.users.grpc)?,
            users_admin: reachable(&self.users.admin)?,
            notifications_admin: reachable(&self.notifications.admin)?,
            observatory: reachable(&self.observatory.http)?,
            observatory_admin: reachable(&self.observatory.admin)?,
            switches: reachable(&self.switches)?,
        })
    }
}

/// Binds ports as the command line says: each is set by the flag of its name and by the variable of the same name.
struct Binder<'a>(&'a Up);

impl Binder<'_> {
    async fn products(&self) -> Result<products::Listeners, Failure> {
        let ports = &self.0.ports;
        let grpc = "products-grpc-port";
        let admin = "products-admin-port";
        Ok(products::Listeners {
            http: self
                .door(ports.products_port, 8082, "products-port")
                .await?,
            grpc: self.door(ports.products_grpc_port, 50052, grpc).await?,
            admin: self.admin(ports.products_admin_port, 8092, admin).await?,
        })
    }

    /// A port for clients.
    async fn door(
        &self,
        port: Option<u16>,
        default: u16,
        name: &str,
    ) -> Result<TcpListener, Failure> {
        let (flag, variable) = setting(name);
        let host = &self.0.service.bind_host;
        let bound = listen::bind(host, self.chosen(port, default), &flag, &variable);
        bound.await.map_err(Failure::from)
    }

    /// The admin port of a service.
    async fn admin(
        &self,
        port: Option<u16>,
        default: u16,
        name: &str,
    ) -> Result<TcpListener, Failure> {
        let (flag, variable) = setting(name);
        let service = &self.0.service;
        let bound = service.bind_admin(self.chosen(port, default), &flag, &variable);
        bound.await.map_err(Failure::from)
    }

    /// A port on the loopback interface only, which is reached through the gateway.
    async fn hidden(
        &self,
        port: Option<u16>,
        default: u16,
        name: &str,
    ) -> Result<TcpListener, Failure> {
        let (flag, variable) = setting(name);
        let bound = listen::bind(LOOPBACK, self.chosen(port, default), &flag, &variable);
        bound.await.map_err(Failure::from)
    }

    fn chosen(&self, port: Option<u16>, default: u16) -> u16 {
        let any = self.0.ports.any_port;
        port.unwrap_or(if any { 0 } else { default })
    }
}

/// The flag and the variable of this name.
fn setting(name: &str) -> (String, String) {
    (
        format!("--{name}"),
        name.replace('-', "_").to_ascii_uppercase(),
    )
}

impl Addresses {
    /// Addresses without listeners, to check a configuration with.
    pub(crate) fn placeholder() -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        Self {
            gateway: nowhere,
            gateway_admin: nowhere,
            orders: nowhere,
            orders_admin: nowhere,
            products: nowhere,
            products_grpc: nowhere,
            products_admin: nowhere,
            users: nowhere,
            users_admin: nowhere,
            notifications_admin: nowhere,
            observatory: nowhere,
            observatory_admin: nowhere,
            switches: nowhere,
        }
    }
}

/// `http://` and the address, without a slash at its end.
pub(crate) fn http(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Replaces the unspecified address, to which clients cannot connect, by the loopback address.
fn reachable(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    let mut address = listener
        .local_addr()
        .map_err(|e| Failure::new(format!("a port was lost: {e}")))?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
}
