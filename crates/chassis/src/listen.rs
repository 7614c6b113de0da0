//! Binding ports, with errors that say what to do.

use std::io::ErrorKind;

use tokio::net::TcpListener;

use crate::Fatal;

/// Binds `host:port`; port 0 takes any free one (read it from `local_addr`).
///
/// `flag` (`"--http-port"`) and `env` (`"HTTP_PORT"`) are what the reader of the error can change.
///
/// # Errors
/// One line that names the port and the flag.
pub async fn bind(host: &str, port: u16, flag: &str, env: &str) -> Result<TcpListener, Fatal> {
    bind_to((host, "--bind-host or BIND_HOST"), port, flag, env).await
}

/// The same for the admin port, whose host is a setting of its own.
pub(crate) async fn bind_admin(
    host: &str,
    port: u16,
    flag: &str,
    env: &str,
) -> Result<TcpListener, Fatal> {
    let setting = "--admin-bind-host or ADMIN_BIND_HOST";
    bind_to((host, setting), port, flag, env).await
}

/// `host` comes with the setting that it is from.
async fn bind_to(
    (host, setting): (&str, &str),
    port: u16,
    flag: &str,
    env: &str,
) -> Result<TcpListener, Fatal> {
    // tokio sets SO_REUSEADDR on Unix, so connections of the last run in TIME_WAIT do not hold the port.
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
