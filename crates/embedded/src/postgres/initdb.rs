//! Making a cluster: all of it or nothing.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use uuid::Uuid;

use super::account::{self, Account};
use super::binaries::Binaries;
use super::password;
use crate::Error;
use crate::error::Context;

/// The owner of every database in the cluster.
pub(crate) const SUPERUSER: &str = "agora";
/// The first major version whose Unicode rules do not depend on the operating system.
const BUILTIN_LOCALE_SINCE: u32 = 17;

/// Where a cluster keeps what.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) top: PathBuf,
}

impl Layout {
    pub(crate) fn data(&self) -> PathBuf {
        self.top.join("data")
    }

    pub(crate) fn password(&self) -> PathBuf {
        self.top.join("password")
    }

    /// The directory of the server's Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.top.join("socket")
    }

    /// Only there while the cluster is made.
    fn verifier(&self) -> PathBuf {
        self.top.join("verifier")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.top.join("server.log")
    }

    /// A sibling in which a cluster is made. Each time another: an `initdb` whose parent was killed goes
    /// on for a moment, and must not write into the directory of the next one.
    fn unfinished(&self) -> Self {
        let mut name = self.unfinished_prefix();
        name.push(Uuid::new_v4().simple().to_string());
        Self {
            top: self.top.with_file_name(name),
        }
    }

    /// How the names of such siblings begin; the watchdog knows it too.
    fn unfinished_prefix(&self) -> OsString {
        let mut prefix = self.top.file_name().unwrap_or_default().to_owned();
        prefix.push(".unfinished-");
        prefix
    }

    /// Removes what killed runs left of their attempts.
    pub(crate) fn remove_unfinished(&self) {
        let prefix = self.unfinished_prefix();
        let entries = self
            .top
            .parent()
            .and_then(|parent| fs::read_dir(parent).ok());
        for entry in entries.into_iter().flatten().flatten() {
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(prefix.as_encoded_bytes())
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                // Its `initdb` still writes; there is another look later.
                tracing::debug!(%error, directory = %entry.path().display(), "cannot be removed yet");
            }
        }
    }

    /// The major version that made the cluster; `None` when there is no cluster yet.
    pub(crate) fn major(&self) -> Result<Option<u32>, Error> {
        let path = self.data().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => text
                .trim()
                .parse()
                .map(Some)
                .map_err(|_| Error::NotACluster(self.top.clone())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("read", &path),
        }
    }
}

/// Makes a cluster at `layout`, unless there is one.
///
/// It is made in a sibling directory and renamed, so a kill in the middle leaves only that sibling, which
/// the next start removes. `watch` is told the process that works on it, and when that has ended.
pub(crate) fn ensure(
    binaries: &Binaries,
    layout: &Layout,
    account: Option<&Account>,
    durable: bool,
    watch: &mut dyn FnMut(Option<u32>),
) -> Result<(), Error> {
    if let Some(cluster) = layout.major()? {
        let directory = layout.top.clone();
        return if cluster == binaries.major {
            Ok(())
        } else {
            Err(Error::Major {
                directory,
                cluster,
                binaries: binaries.major,
            })
        };
    }
    let unfinished = layout.unfinished();
    layout.remove_unfinished();
    make(binaries, &unfinished, account, durable, watch)?;
    match fs::rename(&unfinished.top, &layout.top) {
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
            return Err(Error::NotACluster(layout.top.clone()));
        }
        renamed => renamed.context("create", &layout.top)?,
    }
    if durable && let Some(parent) = layout.top.parent() {
        let directory = fs::File::open(parent).context("open", parent)?;
        directory.sync_all().context("flush", parent)?;
    }
    Ok(())
}

fn make(
    binaries: &Binaries,
    layout: &Layout,
    account: Option<&Account>,
    durable: bool,
    watch: &mut dyn FnMut(Option<u32>),
) -> Result<(), Error> {
    fs::create_dir_all(&layout.top).context("create", &layout.top)?;
    // Others may pass through but not look around; what is secret inside is closed on its own.
    let mode = if account.is_some() { 0o711 } else { 0o700 };
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(&layout.top, permissions).context("change the mode of", &layout.top)?;
    let password = password::random();
    write(&layout.password(), &password, durable)?;
    let verifier = layout.verifier();
    write(&verifier, &password::verifier(&password), false)?;
    // `initdb` reads it as the user it runs as.
    account::give(&verifier, account)?;

    let mut attempts = locales(binaries.major).into_iter().peekable();
    while let Some(locale) = attempts.next() {
        let data = layout.data();
        fs::create_dir(&data).context("create", &data)?;
        account::give(&data, account)?;
        match run(binaries, layout, account, durable, locale, watch) {
            Ok(()) => return fs::remove_file(&verifier).context("remove", &verifier),
            // `initdb` itself only removes what is in a directory that it was given.
            Err(_) if attempts.peek().is_some() => {
                fs::remove_dir_all(&data).context("remove", &data)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn run(
    binaries: &Binaries,
    layout: &Layout,
    account: Option<&Account>,
    durable: bool,
    locale: &[&str],
    watch: &mut dyn FnMut(Option<u32>),
) -> Result<(), Error> {
    let program = binaries.program("initdb");
    let mut command = account::command(&program, &layout.data(), account);
    command
        .arg("--pgdata")
        .arg(layout.data())
        .arg("--pwfile")
        .arg(layout.verifier())
        .args([
            "--username",
            SUPERUSER,
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
        ])
        .args(["--no-instructions"])
        .args(locale)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-C is for us to deal with.
        .process_group(0);
    if !durable {
        command.arg("--no-sync");
    }
    let child = command.spawn().context("run", &program)?;
    watch(Some(child.id()));
    let outcome = child.wait_with_output().context("run", &program);
    watch(None);
    let outcome = outcome?;
    if outcome.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&outcome.stderr);
    Err(Error::Initdb(said.trim().to_owned()))
}

/// Byte order for comparisons (fast, and the same everywhere), Unicode for upper and lower case. Not every
/// system has the locale `C.UTF-8`; plain `C` knows only ASCII letters, but is always there.
fn locales(major: u32) -> Vec<&'static [&'static str]> {
    if major >= BUILTIN_LOCALE_SINCE {
        return vec![&[
            "--locale",
            "C",
            "--locale-provider",
            "builtin",
            "--builtin-locale",
            "C.UTF-8",
        ]];
    }
    vec![
        &["--locale", "C", "--lc-ctype", "C.UTF-8"],
        &["--no-locale"],
    ]
}

fn write(path: &Path, text: &str, durable: bool) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .context("create", path)?;
    file.write_all(text.as_bytes()).context("write", path)?;
    if durable {
        file.sync_all().context("flush", path)?;
    }
    Ok(())
}
