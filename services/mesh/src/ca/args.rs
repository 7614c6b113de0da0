//! What can be asked of the authority.

use std::path::PathBuf;
use std::time::Duration;

use chassis::Fatal;
use chassis::config::positive_duration;
use clap::Args;

/// What stands below its `--help`.
pub const AFTER_HELP: &str = "\
Files:
  CERTIFICATES/SERVICE/certificate.pem  the service's certificate, spiffe://agora/SERVICE
  CERTIFICATES/SERVICE/key.pem          its key, mode 0600; never the same one twice
  CERTIFICATES/SERVICE/authorities.pem  whom it has to trust: one authority, or two while one replaces the other
  STATE/SECONDS-SECONDS/                the authorities, by the times when they were made and when they end
  STATE/lock                            held by whoever keeps the certificates fresh: one process at a time

A service's three files are links to one directory, which is replaced by one rename: nobody reads a new key beside an
old certificate.

Examples:
  agora mesh-ca --certificates ./certificates --state ./state          keep them fresh
  agora mesh-ca --certificates ./certificates --state ./state --once   look once, and end
  docker compose -f docker-compose.yml -f deploy/mesh/compose.yml exec mesh-ca mesh ca --rotate-authority
                                                                       replace the authority of a mesh that runs";

/// The longest life of anything: ten years of 365 days.
const LIFE_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The settings of the authority.
#[derive(Args, Clone, Debug)]
pub struct Ca {
    /// Where certificates go: a directory in it for each service.
    #[arg(long, env = "MESH_CERTIFICATES", value_name = "DIR")]
    pub certificates: PathBuf,

    /// Where the authorities are kept, with their keys; for nobody else to read.
    #[arg(long, env = "MESH_STATE", value_name = "DIR")]
    pub state: PathBuf,

    /// How long a certificate is good; it is replaced at half of that.
    #[arg(long, env = "MESH_LIFE", default_value = "1h", value_parser = positive_duration)]
    pub life: Duration,

    /// How long an authority is good; another one takes over at half of that.
    #[arg(long, env = "MESH_AUTHORITY_LIFE", default_value = "30days", value_parser = positive_duration)]
    pub authority_life: Duration,

    /// How long a new authority is trusted before it signs: longer than sidecars take to read a changed file.
    #[arg(long, env = "MESH_TRUST_FIRST", default_value = "30s", value_parser = positive_duration)]
    pub trust_first: Duration,

    /// Only add an authority. The process that keeps the certificates fresh takes it over, and trusts the old one until its
    /// last certificate has ended.
    #[arg(long)]
    pub rotate_authority: bool,

    /// Look once, and end.
    #[arg(long, conflicts_with = "rotate_authority")]
    pub once: bool,

    /// Only say whether each service has a certificate that is still good.
    #[arg(long, conflicts_with_all = ["rotate_authority", "once"])]
    pub check: bool,
}

impl Ca {
    /// Settings that contradict each other would make certificates that outlive their authority, or none in time.
    pub(super) fn check_settings(&self) -> Result<(), Fatal> {
        if self.life < Duration::from_secs(2) {
            return Err(Fatal::new("--life (MESH_LIFE) has to be 2s or more"));
        }
        if self.authority_life > LIFE_MAX {
            return Err(Fatal::new(
                "--authority-life (MESH_AUTHORITY_LIFE) has to be ten years or less",
            ));
        }
        // The old one signs until the new one may; what it signed last has to end before it does.
        let once = self.life.saturating_add(self.trust_first);
        let needed = once.saturating_mul(4);
        if self.authority_life < needed {
            return Err(Fatal::new(format!(
                "--authority-life (MESH_AUTHORITY_LIFE) has to be {needed:?} or more: four times what --life and \
                 --trust-first are together"
            )));
        }
        Ok(())
    }
}
