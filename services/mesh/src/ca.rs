//! The mesh's own authority: gives each service a certificate of one hour, replaces it at half of its life, and replaces
//! itself while old and new are trusted.
//!
//! It reads only names that it has written itself, never a certificate: a directory's name says who has issued what, and
//! when. So a restart goes on where the last run stopped.
//!
//! | where | what |
//! |---|---|
//! | `args.rs` | what can be asked for |
//! | `authority.rs` | a key that signs, and what it signs |
//! | `authorities.rs` | the authorities on disk: which one signs, which ones are trusted |
//! | `kept.rs` | what an authority's directory is called |
//! | `credentials.rs` | a service's directory, replaced by one rename |
//! | `files.rs` | writing files that only their owner reads |

mod args;
mod authorities;
mod authority;
mod credentials;
mod files;
mod kept;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use chassis::{Fatal, Signals};

pub use args::{AFTER_HELP, Ca};
pub use authorities::Authorities;
pub use authority::{Authority, Issued, Life};
pub use credentials::Credentials;

use crate::table::{self, SERVICES};
use authorities::Chosen;

/// The longest wait between two looks; an authority that another process has added is found as soon.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(5);
/// Looks in a quarter of a certificate's life, at least: a certificate is replaced soon after half of its life.
const LOOKS_A_QUARTER: u32 = 4;

/// Does what was asked for: one pass, or one after the other until it is told to stop.
///
/// # Errors
/// When it is the only pass and fails, or the first one. A later one that fails is tried again: certificates live twice as
/// long as they are used.
pub async fn run(ca: Ca) -> Result<(), Fatal> {
    ca.check_settings()?;
    if ca.check {
        return check(&ca, seconds_now());
    }
    let authorities = Authorities::open(&ca.state)?;
    files::ensure_directory(&ca.certificates)
        .map_err(|error| Fatal::from(error).context(ca.certificates.display()))?;
    if ca.rotate_authority {
        // Whoever keeps the certificates fresh takes it over. Two that write them would be in each other's way.
        return authorities.add(seconds_now(), ca.authority_life);
    }
    let _held = authorities.hold()?;
    authorities.remove_unfinished(seconds_now())?;
    if ca.once {
        return pass(&ca, &authorities, seconds_now());
    }
    // Before the first pass: the kernel spares process 1 of a container what it has no handler for.
    let mut signals = Signals::listen()?;
    pass(&ca, &authorities, seconds_now())?;
    let every = (ca.life / (4 * LOOKS_A_QUARTER)).clamp(Duration::from_millis(250), LOOK_EVERY_MAX);
    loop {
        tokio::select! {
            _ = signals.next() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
        if let Err(error) = pass(&ca, &authorities, seconds_now()) {
            tell(&error);
        }
    }
}

/// Looks once at everything, and replaces what is due at `now` (seconds since 1970).
///
/// # Errors
/// When a file cannot be read or written; what does not need it is done all the same.
pub fn pass(ca: &Ca, authorities: &Authorities, now: u64) -> Result<(), Fatal> {
    let mut chosen = authorities.choose(now, ca)?;
    let mut first = chosen.trouble.take();
    let mut are_all_told = true;
    for service in SERVICES {
        if let Err(error) = refresh(ca, &chosen, service, now) {
            first.get_or_insert(error);
            are_all_told = false;
        }
    }
    // Whoever was not told of a new authority would refuse what it signs.
    if are_all_told && let Err(error) = authorities.note_trusted(&chosen.new, now) {
        first.get_or_insert(error);
    }
    first.map_or(Ok(()), Err)
}

/// Gives a service another certificate, if it is time for one.
fn refresh(ca: &Ca, chosen: &Chosen, service: &str, now: u64) -> Result<(), Fatal> {
    let path = directory(ca, service);
    let credentials = Credentials::at(&path);
    if !credentials.is_due(chosen, now, ca.life) {
        return Ok(());
    }
    let life = Life::starting(now, ca.life);
    let identity = table::identity(service);
    let issued = chosen.signer.issue(&identity, &names(service), life)?;
    let written = credentials.replace(chosen, &issued, now, ca.life);
    written.map_err(|error| {
        let doing = format!("writing certificates to {}", path.display());
        Fatal::from(error).context(doing)
    })
}

/// Whether each service has a certificate that is still good.
fn check(ca: &Ca, now: u64) -> Result<(), Fatal> {
    for service in SERVICES {
        if !Credentials::at(&directory(ca, service)).are_good(now) {
            return Err(Fatal::new(format!(
                "{service} has no certificate that is still good"
            )));
        }
    }
    Ok(())
}

fn directory(ca: &Ca, service: &str) -> PathBuf {
    ca.certificates.join(service)
}

/// The names under which a service's sidecars are called.
fn names(service: &str) -> Vec<String> {
    let instances = table::instances(service).into_iter();
    let mut names: Vec<String> = instances.map(|name| format!("{name}-net")).collect();
    names.push(service.to_owned());
    names
}

fn seconds_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // A clock before 1970 makes certificates that nobody accepts; they say so.
    now.map_or(0, |now| now.as_secs())
}

/// One line for whoever runs it; it has no other log.
fn tell(error: &Fatal) {
    // Certificates are kept fresh whether or not somebody reads it.
    let _ = writeln!(std::io::stderr(), "{error}; it is tried again");
}
