//! The configurations of the services, built from the flags of their own command lines; everything that is not set here, and is
//! not in `NOT_READ`, comes from the environment or is the service's default.

use std::path::Path;
use std::time::Duration;

use chassis::config::try_from_args_without;

use super::listeners::{Addresses, http};
use crate::cli::Up;
use crate::engines::Databases;
use crate::failure::Failure;
use crate::files::Admin;

/// The drain time of the gateway. It is the first to stop, and all services together have 5 s.
const GATEWAY_DRAIN_MAX: Duration = Duration::from_millis(2500);
/// The drain time of each other service, which gets no new requests by then.
const SERVICE_DRAIN_MAX: Duration = Duration::from_secs(1);
/// How old events may be that are published again after a restart, since the in-memory Kafka has lost them.
const REPLAY_WINDOW: &str = "10m";
/// The in-memory Kafka answers a fetch that finds nothing after this time, whatever is published meanwhile: half of it is what an
/// event of a quiet shop waits on each of its ways. Shorter waits are more fetches of a shop that does nothing.
const FETCH_WAIT: &str = "5ms";
/// Mails that are written to the data directory at a time, the most that notifications takes: those that are on their way
/// together share statements, and no mail server has to bear them.
const FILES_AT_ONCE: &str = "64";

/// The trusted proxies of the services behind the gateway: the gateway, which is in this process and calls from the loopback
/// address unless `BIND_HOST` is another one. `TRUSTED_PROXIES` of `agora up` applies to the gateway only.
const INSIDE_PROXIES: &str = "127.0.0.0/8,::1/128";

/// Variables that no service reads here. Jobs and dead letters are where the switches and `agora dlq` look for them, whatever broker
/// or database a shell names for other programs; and a service that waited for a sidecar would never be ready.
const NOT_READ: [&str; 3] = ["AMQP_URL", "DEAD_LETTERS_DATABASE_URL", "SIDECAR"];

/// The configurations of all services.
pub(crate) struct Configs {
    pub(crate) gateway: gateway::Config,
    pub(crate) orders: orders::Config,
    pub(crate) products: products::Config,
    pub(crate) users: users::Config,
    pub(crate) notifications: notifications::Config,
    pub(crate) observatory: observatory::Config,
}

/// The input for the configurations.
pub(crate) struct Wiring<'a> {
    pub(crate) up: &'a Up,
    pub(crate) addresses: Addresses,
    pub(crate) databases: &'a Databases,
    pub(crate) kafka_brokers: &'a str,
    /// Whether the broker loses everything at a restart.
    pub(crate) kafka_forgets: bool,
    pub(crate) admin: &'a Admin,
    pub(crate) mail: &'a Path,
}

/// Validates all settings, before anything is started.
pub(crate) fn check(up: &Up) -> Result<(), Failure> {
    let kafka_forgets = up.engines.kafka_brokers.is_none();
    // Services that speak TLS to it would never be ready.
    if kafka_forgets && is_set("KAFKA_CA") {
        let why = "KAFKA_CA is for KAFKA_BROKERS, which is not set: the Kafka in memory has no TLS";
        return Err(Failure::configuration(why));
    }
    if up.service.sidecar.is_some() {
        let why = "--sidecar is for a service that runs alone: those of agora up call each other without one";
        return Err(Failure::configuration(why));
    }
    let wiring = Wiring {
        up,
        addresses: Addresses::placeholder(),
        databases: &Databases::placeholder(),
        kafka_brokers: "127.0.0.1:1",
        kafka_forgets,
        admin: &Admin::given(&up.admin).unwrap_or_else(Admin::make_up),
        mail: Path::new("mail"),
    };
    wiring.configs().map(drop)
}

impl Wiring<'_> {
    /// Builds all of them; an error is one line that names the invalid setting.
    pub(crate) fn configs(&self) -> Result<Configs, Failure> {
        Ok(Configs {
            gateway: self.gateway()?,
            orders: self.orders()?,
            products: self.products()?,
            users: self.users()?,
            notifications: self.notifications()?,
            observatory: self.observatory()?,
        })
    }

    fn gateway(&self) -> Result<gateway::Config, Failure> {
        let at = &self.addresses;
        read(self.common("gateway", GATEWAY_DRAIN_MAX).and([
            ("http-port", "0"),
            ("users-url", &http(at.users)),
            ("orders-url", &http(at.orders)),
            ("products-url", &http(at.products)),
            ("products-grpc-url", &http(at.products_grpc)),
            ("observatory-url", &http(at.observatory)),
        ]))
    }

    fn orders(&self) -> Result<orders::Config, Failure> {
        let (at, proxies) = (&self.addresses, self.inside_proxies());
        let flags = self.service("orders", &self.databases.orders).and([
            ("trusted-proxies", proxies.as_str()),
            ("http-port", "0"),
            ("users-url", &http(at.users)),
            ("products-grpc-url", &http(at.products_grpc)),
        ]);
        read(flags.and(self.stream()).and(self.outbox()))
    }

    fn products(&self) -> Result<products::Config, Failure> {
        let proxies = self.inside_proxies();
        let flags = self.service("products", &self.databases.products).and([
            ("trusted-proxies", proxies.as_str()),
            ("http-port", "0"),
            ("grpc-port", "0"),
            ("users-url", &http(self.addresses.users)),
        ]);
        read(flags.and(self.stream()).and(self.outbox()))
    }

    fn users(&self) -> Result<users::Config, Failure> {
        let proxies = self.inside_proxies();
        let flags = self.service("users", &self.databases.users).and([
            ("trusted-proxies", proxies.as_str()),
            ("grpc-port", "0"),
            (
                "queue-database-url",
                &self.databases.inside(&self.databases.queue),
            ),
            ("orders-url", &http(self.addresses.orders)),
            ("admin-email", &self.admin.email),
            ("admin-password", &self.admin.password),
        ]);
        read(flags.and(self.stream()).and(self.outbox()))
    }

    fn notifications(&self) -> Result<notifications::Config, Failure> {
        let queue = self.databases.inside(&self.databases.queue);
        let flags = self
            .service("notifications", &self.databases.notifications)
            .and([("queue-database-url", queue.as_str())]);
        let mail = flags.and([self.mail()]).and(self.mails_at_once());
        read(mail.and(self.stream()))
    }

    fn observatory(&self) -> Result<observatory::Config, Failure> {
        // The user may want other ports to be followed, or none (";").
        let observed = (!is_set("OBSERVED")).then(|| self.observed());
        let observed = observed.as_deref().map(|ports| ("observed", ports));
        // Or other switches.
        let switches = (!is_set("SWITCHES_URL")).then(|| http(self.addresses.switches));
        let switches = switches.as_deref().map(|url| ("switches-url", url));
        let flags = self
            .common("observatory", SERVICE_DRAIN_MAX)
            .and([("http-port", "0")]);
        let flags = flags.and(observed).and(switches);
        read(flags.and(self.token("observed-token")))
    }

    /// The addresses from which the gateway calls. Who connects to an address of the own machine comes from that address.
    fn inside_proxies(&self) -> String {
        let host = self.addresses.orders.ip();
        match host.is_loopback() {
            true => INSIDE_PROXIES.to_owned(),
            false => format!("{INSIDE_PROXIES},{host}"),
        }
    }

    /// The admin ports of all others.
    fn observed(&self) -> String {
        let at = &self.addresses;
        let ports = [
            ("gateway", at.gateway_admin),
            ("orders", at.orders_admin),
            ("products", at.products_admin),
            ("users", at.users_admin),
            ("notifications", at.notifications_admin),
        ];
        let ports = ports.map(|(name, port)| format!("{name}={}", http(port)));
        ports.join(";")
    }

    fn token(&self, flag: &'static str) -> Option<(&'static str, &str)> {
        let token = self.up.service.admin_token.as_ref()?;
        Some((flag, token.reveal()))
    }

    fn common(&self, name: &str, drain_max: Duration) -> Flags {
        let service = &self.up.service;
        let deadline = service.shutdown_deadline.min(drain_max);
        let hosts: Vec<_> = service
            .admin_hosts
            .iter()
            .map(ToString::to_string)
            .collect();
        let hosts = hosts.join(",");
        let hosts = (!hosts.is_empty()).then_some(("admin-hosts", hosts.as_str()));
        let token = self.token("admin-token");
        Flags(vec![name.to_owned()]).and(hosts).and(token).and([
            ("bind-host", service.bind_host.as_str()),
            ("admin-bind-host", service.admin_bind_host.as_str()),
            ("admin-port", "0"),
            ("shutdown-deadline", &format!("{}ms", deadline.as_millis())),
            ("allow-faults", &service.allow_faults.to_string()),
        ])
    }

    fn service(&self, name: &str, database: &str) -> Flags {
        let database = self.databases.inside(database);
        self.common(name, SERVICE_DRAIN_MAX)
            .and([("database-url", database.as_str())])
    }

    fn stream(&self) -> Vec<(&'static str, &str)> {
        let mut flags = vec![("kafka-brokers", self.kafka_brokers)];
        if self.kafka_forgets && !is_set("KAFKA_FETCH_WAIT") {
            flags.push(("kafka-fetch-wait", FETCH_WAIT));
        }
        // Parked messages must survive a restart of the broker.
        if self.kafka_forgets {
            flags.push(("dead-letters-database-url", &self.databases.queue));
        }
        let engines = &self.up.engines;
        if let (Some(username), Some(password)) = (&engines.kafka_username, &engines.kafka_password)
        {
            flags.extend([
                ("kafka-username", username.as_str()),
                ("kafka-password", password),
            ]);
        }
        flags
    }

    fn outbox(&self) -> Option<(&'static str, &'static str)> {
        (self.kafka_forgets && !is_set("OUTBOX_REPLAY_WINDOW"))
            .then_some(("outbox-replay-window", REPLAY_WINDOW))
    }

    fn mail(&self) -> (&'static str, &str) {
        match &self.up.engines.smtp_url {
            Some(url) => ("smtp-url", url),
            None => ("mail-dir", self.mail.to_str().unwrap_or("mail")),
        }
    }

    fn mails_at_once(&self) -> Option<(&'static str, &'static str)> {
        (self.up.engines.smtp_url.is_none() && !is_set("EMAIL_WORKERS"))
            .then_some(("email-workers", FILES_AT_ONCE))
    }
}

/// A builder of a command line.
struct Flags(Vec<String>);

impl Flags {
    fn and<'a>(mut self, more: impl IntoIterator<Item = (&'static str, &'a str)>) -> Self {
        self.0.extend(
            more.into_iter()
                .map(|(flag, value)| format!("--{flag}={value}")),
        );
        self
    }
}

fn read<C: clap::Parser>(flags: Flags) -> Result<C, Failure> {
    try_from_args_without(flags.0, &NOT_READ).map_err(Failure::configuration)
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Told {
        #[command(flatten)]
        up: Up,
    }

    fn wired<T>(flags: &[&str], addresses: Addresses, read: impl FnOnce(&Wiring<'_>) -> T) -> T {
        let told = Told::try_parse_from(["up"].iter().chain(flags)).expect("flags");
        read(&Wiring {
            up: &told.up,
            addresses,
            databases: &Databases::placeholder(),
            kafka_brokers: "127.0.0.1:1",
            kafka_forgets: true,
            admin: &Admin::make_up(),
            mail: Path::new("mail"),
        })
    }

    fn mails_at_once(flags: &[&str]) -> u32 {
        wired(flags, Addresses::placeholder(), |wiring| {
            wiring.notifications().expect("settings").email_workers
        })
    }

    #[test]
    fn a_directory_gets_more_mails_at_once_than_a_mail_server() {
        assert_eq!(mails_at_once(&[]), 64);
        assert_eq!(mails_at_once(&["--smtp-url", "smtp://127.0.0.1:1"]), 16);
    }

    /// A service that does not believe the gateway counts all of its clients as one.
    #[test]
    fn the_gateway_is_believed_on_whatever_host_the_services_listen() {
        for host in ["127.0.0.1", "192.0.2.7", "2001:db8::7"] {
            let host: IpAddr = host.parse().expect("an address");
            let mut addresses = Addresses::placeholder();
            addresses.orders.set_ip(host);
            let proxies = wired(&[], addresses, |wiring| {
                let (orders, users) = (wiring.orders(), wiring.users());
                let products = wiring.products().expect("settings").server.trusted_proxies;
                let orders = orders.expect("settings").server.trusted_proxies;
                [
                    orders,
                    products,
                    users.expect("settings").server.trusted_proxies,
                ]
            });
            let stranger = IpAddr::from([192, 0, 2, 8]);
            for proxies in proxies {
                assert!(proxies.contains(host), "{host}");
                assert!(!proxies.contains(stranger), "{host}");
            }
        }
    }
}
