//! Binding of ports, with errors that say how to fix them. [`listeners`](crate::listeners) declares those of a service.

use std::io::{self, ErrorKind};
use std::time::Duration;

pub use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::Fatal;

/// How long a port is waited for that a connection has taken. One that has ended keeps its port for a minute.
const TAKEN_MAX: Duration = Duration::from_secs(65);
/// How often it is tried meanwhile.
const LOOK: Duration = Duration::from_millis(100);
/// How long a listener may take to let in who looks whether it is there.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Declares the ports of a service as a struct of bound listeners: its doors, and the admin port that all services have.
/// They are bound before any other step of the start, so that the one who starts the service knows its addresses.
///
/// The configuration has the field `service` ([`config::Service`](crate::config::Service)), a port for each door, and
/// `admin_port`. The port of the door `http` is set by `--http-port` and `HTTP_PORT`.
///
/// ```
/// use chassis::config;
///
/// pub struct Config {
///     pub service: config::Service,
///     pub http_port: u16,
///     pub admin_port: u16,
/// }
///
/// chassis::listeners! {
///     /// The ports of the service.
///     pub struct Listeners for Config {
///         /// REST.
///         http: http_port,
///     }
/// }
///
/// # async fn start(config: Config) -> Result<(), chassis::Fatal> {
/// let listeners = Listeners::bind(&config).await?;
/// listeners.announce();
/// let address = listeners.http.local_addr()?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! listeners {
    (
        $(#[$about:meta])+
        $visibility:vis struct $listeners:ident for $config:ty {
            $($(#[$door:meta])+ $name:ident: $port:ident,)*
        }
    ) => {
        $(#[$about])+
        #[derive(Debug)]
        $visibility struct $listeners {
            $($(#[$door])+ pub $name: $crate::listen::TcpListener,)*
            /// `/livez`, `/readyz`, `/metrics` and what else operators ask.
            pub admin: $crate::listen::TcpListener,
        }

        impl $listeners {
            /// Binds the ports that are configured.
            ///
            /// # Errors
            /// One line that names the port that cannot be bound, and its flag.
            pub async fn bind(config: &$config) -> Result<Self, $crate::Fatal> {
                let service = &config.service;
                Ok(Self {
                    $($name: service.bind(stringify!($name), config.$port).await?,)*
                    admin: service.bind("admin", config.admin_port).await?,
                })
            }

            /// Logs the address of each port.
            pub fn announce(&self) {
                $($crate::listen::announce(stringify!($name), &self.$name);)*
                $crate::listen::announce("admin", &self.admin);
            }
        }
    };
}

/// Logs where a port is.
pub fn announce(port: &'static str, listener: &TcpListener) {
    // A bound socket has an address.
    if let Ok(address) = listener.local_addr() {
        tracing::info!(port, %address, "listening");
    }
}

/// Binds `host:port`; port 0 takes any free one (read it from `local_addr`).
///
/// `flag` (`"--http-port"`) and `env` (`"HTTP_PORT"`) are the settings that the error names.
///
/// Systems take the ports of outgoing connections from a range in which services may have theirs: 32768 to 60999 on Linux. If a
/// connection has taken the port and nobody listens on it, it is waited for, for a minute and a bit.
///
/// # Errors
/// One line that names the port and the flag.
pub async fn bind(host: &str, port: u16, flag: &str, env: &str) -> Result<TcpListener, Fatal> {
    bind_to((host, "--bind-host or BIND_HOST"), port, flag, env).await
}

/// Like [`bind`], for the admin port, whose host is a separate setting.
pub(crate) async fn bind_admin(
    host: &str,
    port: u16,
    flag: &str,
    env: &str,
) -> Result<TcpListener, Fatal> {
    let setting = "--admin-bind-host or ADMIN_BIND_HOST";
    bind_to((host, setting), port, flag, env).await
}

/// `host` comes with the name of the setting that it was read from.
async fn bind_to(
    (host, setting): (&str, &str),
    port: u16,
    flag: &str,
    env: &str,
) -> Result<TcpListener, Fatal> {
    listener(host, port).await.map_err(|error| {
        Fatal::new(match error.kind() {
            ErrorKind::AddrInUse => format!(
                "port {port} is in use: stop what holds it, or choose another with {flag} or {env} (0 takes any free one)"
            ),
            ErrorKind::PermissionDenied => {
                format!("port {port} needs more rights than this process has: choose one above 1023 with {flag} or {env}")
            }
            ErrorKind::AddrNotAvailable => {
                format!("{host} is not an address of this machine: change {setting}")
            }
            _ => format!("cannot listen on {host}:{port} ({setting}, {flag}): {error}"),
        })
    })
}

async fn listener(host: &str, port: u16) -> io::Result<TcpListener> {
    let end = Instant::now() + TAKEN_MAX;
    let mut is_told = false;
    loop {
        // tokio sets SO_REUSEADDR on Unix, so that connections in TIME_WAIT of the previous run do not block the port.
        let bound = TcpListener::bind((host, port)).await;
        let is_taken = matches!(&bound, Err(error) if error.kind() == ErrorKind::AddrInUse);
        if !is_taken || Instant::now() >= end || is_listening(host, port).await {
            return bound;
        }
        if !is_told {
            tracing::warn!(port, "a connection has taken the port: waiting for its end");
            is_told = true;
        }
        sleep(LOOK).await;
    }
}

/// Whether somebody listens there. One who does not even let in is somebody, too.
async fn is_listening(host: &str, port: u16) -> bool {
    let asked = timeout(ANSWER_MAX, TcpStream::connect((host, port))).await;
    !matches!(asked, Ok(Err(_)))
}
