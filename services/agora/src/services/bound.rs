//! The ports of one service: the bound listeners, and the addresses to bind them again.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// The bound ports of one service.
#[derive(Debug)]
pub(crate) enum Bound {
    Gateway(gateway::Listeners),
    Orders(orders::Listeners),
    Products(products::Listeners),
    Users(users::Listeners),
    Notifications(notifications::Listeners),
    Observatory(observatory::Listeners),
}

/// Where a service listens.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    /// The service's name.
    pub(crate) name: &'static str,
    /// Its doors: HTTP first, then gRPC.
    pub(crate) doors: Vec<SocketAddr>,
    /// Its admin port.
    pub(crate) admin: SocketAddr,
}

impl Bound {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gateway(_) => "gateway",
            Self::Orders(_) => "orders",
            Self::Products(_) => "products",
            Self::Users(_) => "users",
            Self::Notifications(_) => "notifications",
            Self::Observatory(_) => "observatory",
        }
    }

    pub(crate) fn ports(&self) -> io::Result<Ports> {
        let (doors, admin) = match self {
            Self::Gateway(it) => (vec![&it.http], &it.admin),
            Self::Orders(it) => (vec![&it.http], &it.admin),
            Self::Products(it) => (vec![&it.http, &it.grpc], &it.admin),
            Self::Users(it) => (vec![&it.grpc], &it.admin),
            Self::Notifications(it) => (Vec::new(), &it.admin),
            Self::Observatory(it) => (vec![&it.http], &it.admin),
        };
        let doors = doors.into_iter().map(TcpListener::local_addr);
        Ok(Ports {
            name: self.name(),
            doors: doors.collect::<io::Result<_>>()?,
            admin: admin.local_addr()?,
        })
    }
}

impl Ports {
    /// Binds them again, after their last owner has ended.
    pub(super) async fn bind(&self) -> io::Result<Bound> {
        let mut doors = Vec::new();
        for door in &self.doors {
            doors.push(TcpListener::bind(door).await?);
        }
        let admin = TcpListener::bind(self.admin).await?;
        let mut doors = doors.into_iter();
        let mut door = || {
            doors
                .next()
                .ok_or_else(|| io::Error::other(format!("{} has no such port", self.name)))
        };
        Ok(match self.name {
            "gateway" => Bound::Gateway(gateway::Listeners {
                http: door()?,
                admin,
            }),
            "orders" => Bound::Orders(orders::Listeners {
                http: door()?,
                admin,
            }),
            "products" => Bound::Products(products::Listeners {
                http: door()?,
                grpc: door()?,
                admin,
            }),
            "users" => Bound::Users(users::Listeners {
                grpc: door()?,
                admin,
            }),
            "notifications" => Bound::Notifications(notifications::Listeners { admin }),
            "observatory" => Bound::Observatory(observatory::Listeners {
                http: door()?,
                admin,
            }),
            other => return Err(io::Error::other(format!("{other} is no service"))),
        })
    }
}
