//! Binding of ports, with errors that say how to fix them.

use std::io::ErrorKind;

use tokio::net::TcpListener;

use crate::Fatal;

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
