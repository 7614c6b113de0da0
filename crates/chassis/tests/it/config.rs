//! Configuration: what is wrong is said in one line.

use std::ffi::OsString;
use std::time::Duration;

use chassis::config;
use chassis::limits::Limits;
use chassis::proxies::TrustedProxies;
use chassis::telemetry::LogFormat;
use clap::Parser;

use crate::support::hello;

/// Sells.
#[derive(Parser, Debug)]
#[command(name = "shop", version)]
struct Shop {
    #[command(flatten)]
    service: config::Service,
    #[command(flatten)]
    server: config::Server,
    #[command(flatten)]
    database: config::Database,
    #[command(flatten)]
    till: Till,
    /// Port of the shop.
    #[arg(long, env = "SHOP_HTTP_PORT", default_value = "8080")]
    http_port: u16,
    /// Where the shelves are.
    #[arg(long, env = "SHOP_SHELVES_URL", default_value = "http://127.0.0.1:1", value_parser = config::url)]
    shelves_url: url::Url,
}

/// A group of another crate.
#[derive(clap::Args)]
struct Till {
    /// URL of a till; unset: there is a drawer.
    #[arg(long, env = "TILL_URL", value_parser = config::url)]
    till_url: Option<url::Url>,
    /// URL of the drawer; not used when there is a TILL_URL.
    #[arg(long, env = "DRAWER_URL", required_unless_present = "till_url")]
    drawer_url: Option<String>,
    /// Account at the till.
    #[arg(long, env = "TILL_USERNAME", requires = "till_password")]
    till_username: Option<String>,
    /// Password of TILL_USERNAME.
    #[arg(
        long,
        env = "TILL_PASSWORD",
        hide_env_values = true,
        requires = "till_username"
    )]
    till_password: Option<String>,
}

impl std::fmt::Debug for Till {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Till").finish_non_exhaustive()
    }
}

const DATABASES: [&str; 3] = ["--database-url", "postgres://a:b@c/d", "--drawer-url=here"];

fn shop(more: &[&str]) -> Result<Shop, String> {
    config::try_from_args::<Shop>(["shop"].iter().chain(&DATABASES).chain(more).copied())
}

fn shop_with(flag: &str) -> Shop {
    shop(&[flag]).unwrap()
}

#[test]
fn defaults() {
    let shop = shop(&[]).unwrap();
    assert_eq!(shop.service.bind_host, "127.0.0.1");
    assert_eq!(shop.service.admin_bind_host, "127.0.0.1");
    assert!(shop.service.admin_hosts.is_empty() && shop.service.admin_token.is_none());
    assert_eq!(shop.service.log_format, LogFormat::Pretty);
    assert_eq!(shop.service.otlp_endpoint, None);
    assert_eq!(shop.service.shutdown_deadline, Duration::from_secs(4));
    assert!(!shop.service.allow_faults && shop.service.faults().is_none());
    for allowed in ["--allow-faults", "--allow-faults=true"] {
        assert!(shop_with(allowed).service.faults().is_some());
    }
    assert!(shop_with("--allow-faults=false").service.faults().is_none());
    assert_eq!(shop.server.trusted_proxies, TrustedProxies::loopback());
    let limits = shop.server.limits().unwrap();
    assert_eq!(limits.timeout, Limits::default().timeout);
    let load = limits.load.unwrap().snapshot();
    assert_eq!((load.limit, load.max_waiting), (512, 256));
    assert_eq!(load, Limits::default().load.unwrap().snapshot());
    assert_eq!(shop.database.database_url, "postgres://a:b@c/d");
    assert_eq!(shop.database.max_connections, 10);
    assert!(
        !format!("{shop:?}").contains("a:b@c"),
        "Debug must not tell passwords"
    );
}

#[test]
fn one_line_that_names_variable_flag_value_and_what_is_allowed() {
    let cases = [
        (
            &["--http-port", "eighty"][..],
            "SHOP_HTTP_PORT (or --http-port) cannot be \"eighty\": it takes a number from 0 to 65535",
        ),
        (
            &["--http-port", "70000"],
            "SHOP_HTTP_PORT (or --http-port) cannot be \"70000\": it takes a number from 0 to 65535",
        ),
        (
            &["--http-port", ""],
            "SHOP_HTTP_PORT (or --http-port) is empty: it takes a number from 0 to 65535",
        ),
        (
            &["--request-timeout", "0"],
            "REQUEST_TIMEOUT (or --request-timeout) cannot be \"0\": it takes a duration above zero such as 500ms, 30s, 15m",
        ),
        (
            &["--max-in-flight", "0"],
            "MAX_IN_FLIGHT (or --max-in-flight) cannot be \"0\": 0 is not in 1..=100000",
        ),
        (
            &["--trusted-proxies", "10.0.0.0/33"],
            "TRUSTED_PROXIES (or --trusted-proxies) cannot be \"10.0.0.0/33\": it takes addresses and networks such as 10.0.0.5,192.168.0.0/16,fd00::/8, or none",
        ),
        (
            &["--allow-faults=perhaps"],
            "ALLOW_FAULTS (or --allow-faults) cannot be \"perhaps\": it takes true or false",
        ),
        (
            &["--log-format", "xml"],
            "LOG_FORMAT (or --log-format) cannot be \"xml\": it takes pretty or json",
        ),
        (
            &["--shutdown-deadline", "5"],
            "SHUTDOWN_DEADLINE (or --shutdown-deadline) cannot be \"5\": it takes a duration such as 500ms, 30s, 15m, 1h, 30d or 0",
        ),
        (
            &["--shelves-url", "localhost:1"],
            "SHOP_SHELVES_URL (or --shelves-url) cannot be \"localhost:1\": it takes a URL such as http://127.0.0.1:8080",
        ),
        (
            &["--database-max-connections", "0"],
            "DATABASE_MAX_CONNECTIONS (or --database-max-connections) cannot be \"0\": 0 is not in 1..=1000",
        ),
        (
            &["--otlp-endpoint", "https://x:4317"],
            "OTEL_EXPORTER_OTLP_ENDPOINT (or --otlp-endpoint) cannot be \"https://x:4317\": it takes a URL such as http://127.0.0.1:4317 (for TLS put a collector beside the service)",
        ),
        (
            &["--nonsense", "1"],
            "there is no --nonsense: shop --help lists what there is",
        ),
        (
            &["--shelves-url", "two\nlines"],
            "SHOP_SHELVES_URL (or --shelves-url) cannot be \"two\\nlines\": it takes a URL such as http://127.0.0.1:8080",
        ),
    ];
    for (args, line) in cases {
        assert_eq!(shop(args).unwrap_err(), line);
    }
}

/// Reads a variable that every process has.
#[derive(Parser)]
struct Way {
    /// Where programs are.
    #[arg(long, env = "PATH")]
    way: Option<OsString>,
}

#[test]
fn a_variable_can_be_left_to_other_programs() {
    let read = config::try_from_args::<Way>(["way"]).unwrap();
    assert_eq!(read.way, std::env::var_os("PATH"));
    let left = config::try_from_args_without::<Way>(["way"], &["PATH"]).unwrap();
    assert_eq!(left.way, None);
    let told = config::try_from_args_without::<Way>(["way", "--way=here"], &["PATH"]).unwrap();
    assert_eq!(told.way, Some(OsString::from("here")));
}

#[test]
fn secrets_are_never_shown() {
    let line = config::try_from_args::<Shop>(["shop", "--database-url", "mysql://u:hunter2@h/d"])
        .unwrap_err();
    assert_eq!(
        line,
        "DATABASE_URL (or --database-url) holds a value (not shown) that cannot be used: it takes a URL such as postgres://user:password@127.0.0.1:5432/database"
    );
    // A parser that quotes its input does not tell either.
    let output = hello::run(&["--password", "hunter2"], &[]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(
        !line.contains("hunter2") && line.contains("HELLO_PASSWORD (or --password)"),
        "{line}"
    );
}

#[test]
fn what_is_missing_is_named_with_its_meaning() {
    assert_eq!(
        config::try_from_args::<Shop>(["shop"]).unwrap_err(),
        "DATABASE_URL (or --database-url) (URL of the service's PostgreSQL database), DRAWER_URL (or --drawer-url) (URL of the drawer; not used when there is a TILL_URL) are missing and have no default"
    );
    let till = [
        "shop",
        "--database-url",
        "postgres://a:b@c/d",
        "--till-url",
        "http://till",
    ];
    let whole = config::try_from_args::<Shop>(till).unwrap();
    assert!(whole.till.till_url.is_some() && whole.till.drawer_url.is_none());
    let one = config::try_from_args::<Shop>(["shop", "--database-url", "postgres://a:b@c/d"])
        .unwrap_err();
    assert!(one.ends_with("is missing and has no default"), "{one}");
}

#[test]
fn what_belongs_together_is_given_together() {
    const NAME: &str = "--till-username=shop";
    const PASSWORD: &str = "--till-password=hunter2";
    let till = shop(&[NAME, PASSWORD]).unwrap().till;
    assert_eq!(
        till.till_username.zip(till.till_password).unwrap().1,
        "hunter2"
    );
    assert_eq!(
        shop(&[NAME]).unwrap_err(),
        "TILL_PASSWORD (or --till-password) (Password of TILL_USERNAME) is missing and has no default"
    );
    let line = shop(&[PASSWORD]).unwrap_err();
    assert!(
        line.starts_with("TILL_USERNAME (or --till-username)") && !line.contains("hunter2"),
        "{line}"
    );
}

#[test]
fn as_a_process_it_exits_2_with_one_line_before_it_binds() {
    let output = hello::run(&[], &[("HTTP_PORT", "eighty")]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "HTTP_PORT (or --http-port) cannot be \"eighty\": it takes a number from 0 to 65535\n"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn help_and_version_still_work() {
    let help = hello::run(
        &["--help"],
        &[("HTTP_PORT", "eighty"), ("HELLO_PASSWORD", "hunter2")],
    );
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(
        text.contains("--http-port") && text.contains("HTTP_PORT") && !text.contains("hunter2"),
        "{text}"
    );
    let version = hello::run(&["--version"], &[]);
    assert_eq!(
        (version.status.code(), version.stdout),
        (Some(0), b"hello 0.1.0\n".to_vec())
    );
}

/// The admin port stays on the loopback when the doors are opened.
#[test]
fn the_admin_port_has_a_host_of_its_own() {
    let open = shop_with("--bind-host=0.0.0.0").service;
    assert_eq!(open.admin_bind_host, "127.0.0.1");
    let names = |flags: &[&str]| {
        let access = shop(flags).unwrap().service.admin_access();
        let names: Vec<_> = access.hosts.iter().map(ToString::to_string).collect();
        names.join(" ")
    };
    assert_eq!(names(&[]), "127.0.0.1");
    // Nobody is asked as "all addresses", so that adds no name.
    assert_eq!(names(&["--admin-bind-host=0.0.0.0"]), "");
    assert_eq!(names(&["--admin-bind-host=::"]), "");
    assert_eq!(
        names(&[
            "--admin-bind-host=10.0.0.7",
            "--admin-hosts=Orders, orders.internal."
        ]),
        "orders orders.internal 10.0.0.7"
    );
}

#[test]
fn bad_admin_settings_are_one_line_and_no_secret() {
    let line = shop(&["--admin-hosts=orders,orders:8091"]).err().unwrap();
    for part in [
        "ADMIN_HOSTS (or --admin-hosts)",
        "orders:8091",
        "without a port",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let line = shop(&["--admin-token=hunter2"]).err().unwrap();
    assert!(
        line.contains("ADMIN_TOKEN (or --admin-token)") && line.contains("16 to 512"),
        "{line}"
    );
    assert!(!line.contains("hunter2"), "{line}");
    let service = shop_with("--admin-token=hunter2hunter2hunter2").service;
    assert!(!format!("{service:?}").contains("hunter2"));
}
