//! The overlay, ready to be measured.

use std::time::Duration;

use mesh::table::{self, SERVICES};
use scenarios::compose::Compose;
use scenarios::cpu;
use scenarios::figures::mebibytes;

use crate::caller::{CALL, Timed};

/// Calls a second: every part has time left.
pub(crate) const RATE: u32 = 200;
/// Whose namespace the calls come from; so they go through its sidecar.
const FROM: &str = "gateway";
/// Who is called, over REST.
const TO: &str = "products";
const PORT: u16 = 8082;
/// The image of the namespaces' owners.
const IMAGE: &str = "debian:trixie-slim";
/// The caller's program in its container.
const PROGRAM: &str = "/caller";
/// A new authority signs soon after it is asked for; certificates live as long as they do by default.
const TIMES: [(&str, &str); 1] = [("MESH_TRUST_FIRST", "5s")];
/// The parts of a second instance of who is called.
const SECOND: [&str; 3] = ["products-2", "products-2-sidecar", "products-2-net"];

/// The way of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    Sidecars,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::Direct, Self::Sidecars];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Sidecars => "through two sidecars with mutual TLS",
        }
    }
}

pub(crate) struct Stage {
    compose: Compose,
    started_in: Duration,
}

/// Seconds of CPU.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) service: f64,
    /// The sidecar of the caller and that of the service.
    pub(crate) sidecars: f64,
    pub(crate) authority: f64,
}

impl Stage {
    pub(crate) fn open() -> Self {
        let mut compose = Compose::start_meshed_with(&TIMES);
        let started_in = compose.started_in();
        // For the direct calls. The sidecars still call it at the loopback.
        compose.configure(&[("BIND_HOST", "0.0.0.0")]);
        let stage = Self {
            compose,
            started_in,
        };
        // Both ways lead to the same instance, whose CPU is counted.
        for part in SECOND {
            stage.compose.docker(&["stop", &stage.only(part)]);
        }
        stage
    }

    pub(crate) fn started_in(&self) -> Duration {
        self.started_in
    }

    /// So many seconds of calls.
    pub(crate) fn call(&self, way: Way, seconds: u32) -> Timed {
        let host = match way {
            Way::Direct => self.address(&format!("{TO}-net")),
            Way::Sidecars => "127.0.0.1".to_owned(),
        };
        let base = format!("http://{host}:{PORT}");
        let own = std::env::current_exe().expect("this program");
        let volume = format!("{}:{PROGRAM}:ro", own.display());
        let owner = self.only(&format!("{FROM}-net"));
        let network = format!("container:{owner}");
        let (rate, seconds) = (RATE.to_string(), seconds.to_string());
        let mut run = vec!["run", "--rm", "--cap-drop", "ALL"];
        run.extend(["--network", network.as_str(), "--volume", volume.as_str()]);
        run.extend([IMAGE, PROGRAM, CALL]);
        run.extend([base.as_str(), rate.as_str(), seconds.as_str()]);
        Timed::read(&self.compose.docker(&run))
    }

    /// Tells the authority to add another one, which takes its place.
    pub(crate) fn change_authority(&self) {
        let rotate = ["exec", "-T", "mesh-ca", "mesh", "ca", "--rotate-authority"];
        self.compose.run(&rotate);
    }

    /// Which authority has signed the certificate of the caller's sidecar, by the name of its directory:
    /// `..ISSUED.LIFE.SIGNER.TRUSTED`.
    pub(crate) fn signer(&self) -> String {
        let path = format!("/certificates/{FROM}/..data");
        let readlink = ["exec", "-T", "mesh-ca", "readlink", path.as_str()];
        let name = self.compose.run(&readlink);
        let mut parts = name.trim().trim_start_matches('.').split('.');
        parts.nth(2).expect("a signer").to_owned()
    }

    /// What was used until now.
    pub(crate) fn used(&self) -> Used {
        let by = |service: &str| cpu::seconds(self.pid(service));
        Used {
            service: by(TO),
            sidecars: [FROM, TO]
                .map(|of| by(&format!("{of}-sidecar")))
                .iter()
                .sum(),
            authority: by("mesh-ca"),
        }
    }

    /// Resident memory of each sidecar, in MiB, the least first.
    pub(crate) fn sidecars_mib(&self) -> Vec<f64> {
        let instances = SERVICES.into_iter().flat_map(table::instances);
        let sidecars = instances.map(|instance| format!("{instance}-sidecar"));
        let running = sidecars.filter(|sidecar| !SECOND.contains(&sidecar.as_str()));
        let mut all: Vec<f64> = running.map(|it| resident_mib(self.pid(&it))).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    fn only(&self, service: &str) -> String {
        let mut containers = self.compose.containers(service).into_iter();
        containers.next().expect("a container")
    }

    fn address(&self, service: &str) -> String {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        self.inspect(service, format)
    }

    /// The number of a container's first process on this machine.
    fn pid(&self, service: &str) -> u32 {
        let pid = self.inspect(service, "{{.State.Pid}}");
        pid.parse().expect("a process id")
    }

    fn inspect(&self, service: &str, format: &str) -> String {
        let container = self.only(service);
        let inspect = ["inspect", "--format", format, container.as_str()];
        self.compose.docker(&inspect).trim().to_owned()
    }
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.expect("a process of this machine");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = resident.and_then(|text| text.split_whitespace().next());
    let kib = number.and_then(|number| number.parse().ok());
    mebibytes(kib.expect("resident memory"))
}
