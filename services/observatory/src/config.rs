//! The observatory's settings: flags and environment.

use std::str::FromStr;

use chassis::admin::{AdminToken, HostName};
use chassis::config::{Server, Service};
use clap::Parser;
use client::Address;

/// The most services that can be observed.
const OBSERVED_MAX: usize = 64;

/// Agora's observatory: what happens between services, drawn from their admin ports.
#[derive(Parser, Clone, Debug)]
#[command(name = "observatory", version)]
pub struct Config {
    /// The settings of every service.
    #[command(flatten)]
    pub service: Service,

    /// The limits of requests.
    #[command(flatten)]
    pub server: Server,

    /// Port of traces, state and switches; 0 takes any free one.
    #[arg(long, env = "HTTP_PORT", default_value_t = 8095)]
    pub http_port: u16,

    /// Port of /livez, /readyz and /metrics; 0 takes any free one.
    #[arg(long, env = "ADMIN_PORT", default_value_t = 8096)]
    pub admin_port: u16,

    /// The admin ports to look at: name=address, separated by semicolons; all replicas behind an address are found.
    #[arg(
        long,
        env = "OBSERVED",
        value_name = "NAME=URL;...",
        default_value = "gateway=http://127.0.0.1:8090;orders=http://127.0.0.1:8091;products=http://127.0.0.1:8092;users=http://127.0.0.1:8093;notifications=http://127.0.0.1:8094"
    )]
    pub observed: Observed,

    /// The ADMIN_TOKEN of the observed services, and of whoever has the switches.
    #[arg(
        long,
        env = "OBSERVED_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub observed_token: Option<AdminToken>,

    /// Where the process that runs the system has its switches, such as http://127.0.0.1:8097; unset: engines and services cannot be
    /// taken away here.
    #[arg(long, env = "SWITCHES_URL", value_name = "URL")]
    pub switches_url: Option<Address>,

    /// Names or addresses, separated by commas, that this port answers to, beside localhost: the one that the gateway calls it by.
    #[arg(long, env = "HTTP_HOSTS", value_name = "HOSTS", value_delimiter = ',')]
    pub http_hosts: Vec<HostName>,

    /// Bearer token that each request to this port needs, so that nobody gets around the gateway; without it the port is on the
    /// loopback only.
    #[arg(
        long,
        env = "OBSERVATORY_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub observatory_token: Option<AdminToken>,

    /// The most memory for traces, in MiB.
    #[arg(long, env = "TRACES_MIB_MAX", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub traces_mib_max: u32,
}

/// The services whose admin ports are polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed(pub Vec<(String, Address)>);

impl FromStr for Observed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut services: Vec<(String, Address)> = Vec::new();
        // An address may be a list with commas.
        let entries = text.split(';').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let (name, address) = entry
                .split_once('=')
                .ok_or_else(|| format!("{entry:?} is not of the form name=http://host:port"))?;
            let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
                return Err(format!("{name:?}: names are made of a-z, 0-9 and -"));
            }
            if services.iter().any(|(other, _)| other == name) {
                return Err(format!("{name} is there twice"));
            }
            services.push((name.to_owned(), address.parse()?));
        }
        if services.len() > OBSERVED_MAX {
            return Err(format!(
                "{} services, at most {OBSERVED_MAX} are allowed",
                services.len()
            ));
        }
        Ok(Self(services))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_public_face() {
        let config: Config = chassis::config::try_from_args(["observatory"]).unwrap();
        assert_eq!((config.http_port, config.admin_port), (8095, 8096));
        assert_eq!(config.observed.0.len(), 5);
    }

    #[test]
    fn a_bad_list_says_what_is_allowed() {
        for (bad, hint) in [
            ("orders", "name=http://"),
            ("Orders=http://a:1", "a-z"),
            ("a=b", "such as http://"),
            ("a=http://a:1;a=http://b:1", "twice"),
        ] {
            let error = bad.parse::<Observed>().unwrap_err();
            assert!(error.contains(hint), "{bad}: {error}");
        }
        let two: Observed = "a=http://10.0.0.1:1,http://10.0.0.2:1;b=http://b:2"
            .parse()
            .unwrap();
        assert_eq!(two.0.len(), 2);
        assert_eq!("".parse::<Observed>().unwrap().0, []);
    }
}
