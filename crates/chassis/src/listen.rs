//! Binding of ports, with errors that say how to fix them. [`listeners`](crate::listeners) declares those of a service.

use std::io::ErrorKind;

pub use tokio::net::TcpListener;

use crate::Fatal;

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
    // tokio sets SO_REUSEADDR on Unix, so that connections in TIME_WAIT of the previous run do not block the port.
    TcpListener::bind((host, port)).await.map_err(|error| {
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
