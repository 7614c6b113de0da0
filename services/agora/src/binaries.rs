//! The binaries of a private PostgreSQL: those on this machine, or fetched ones.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use embedded::Error;
use embedded::postgres::{
    Binaries, FETCHED_MAJOR, MAJOR_MIN, cached, fetch, installed_directories,
};

use crate::failure::Failure;
use crate::files::places;

/// Where the binaries of a private PostgreSQL come from.
#[derive(Args, Clone, Debug)]
pub(crate) struct BinaryArgs {
    /// Which PostgreSQL binaries to use: those on this machine, or fetched ones (PostgreSQL 17, 15 MB, kept
    /// in the cache directory). Without it: those on this machine, newest first, else fetched ones.
    #[arg(long, env = "AGORA_POSTGRES", value_name = "WHICH")]
    pub(crate) postgres: Option<Which>,

    /// Directories to search for PostgreSQL's binaries, separated like those of PATH. Without it: what
    /// `pg_config --bindir` says, PATH, /usr/lib/postgresql/*/bin, Homebrew's.
    #[arg(long, env = "AGORA_POSTGRES_SEARCH", value_name = "DIRS")]
    pub(crate) postgres_search: Option<OsString>,

    /// Where fetched binaries are kept [default: $XDG_CACHE_HOME/agora or ~/.cache/agora (macOS:
    /// ~/Library/Caches/agora); /var/cache/agora for root].
    #[arg(
        long,
        env = "AGORA_CACHE_DIR",
        value_name = "DIR",
        verbatim_doc_comment
    )]
    pub(crate) cache_dir: Option<PathBuf>,
}

/// Which PostgreSQL binaries to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Those on this machine.
    Installed,
    /// Fetched ones.
    Fetched,
}

/// Fetches the binaries of a new cluster, unless there are some: for who wants to know how long a start takes without that.
pub(crate) async fn provide(asked: &BinaryArgs) -> Result<(), Failure> {
    find(asked, None).await.map(drop)
}

/// Those for the cluster that the major version `made_by` created; for a new one, the newest available.
///
/// # Errors
/// Says what to install, if there are none and none can be fetched.
pub(crate) async fn find(asked: &BinaryArgs, made_by: Option<u32>) -> Result<Binaries, Failure> {
    find_with(asked, made_by, || cache(asked)).await
}

fn cache(asked: &BinaryArgs) -> Result<PathBuf, Failure> {
    asked.cache_dir.clone().map_or_else(places::cache, Ok)
}

/// `cache` is where fetched ones are kept; it is asked for only if installed ones will not do, since who has no home directory has no default for it.
async fn find_with(
    asked: &BinaryArgs,
    made_by: Option<u32>,
    cache: impl FnOnce() -> Result<PathBuf, Failure>,
) -> Result<Binaries, Failure> {
    if asked.postgres != Some(Which::Fetched) {
        let directories = asked
            .postgres_search
            .as_ref()
            .map_or_else(installed_directories, |dirs| {
                std::env::split_paths(dirs).collect()
            });
        let found = Binaries::find_in(&directories);
        let fits = |binaries: &&Binaries| made_by.is_none_or(|major| binaries.major == major);
        if let Some(binaries) = found.iter().find(fits) {
            return Ok(binaries.clone());
        }
        if asked.postgres == Some(Which::Installed) {
            return Err(not_installed(made_by, &found));
        }
    }
    let cache = cache()?;
    let major = made_by.unwrap_or(FETCHED_MAJOR);
    if let Some(binaries) = cached(&cache, major) {
        return Ok(binaries);
    }
    // The bar is only drawn on a terminal, and only once the download has begun.
    let _ = writeln!(
        std::io::stderr(),
        "Fetching PostgreSQL {major} (15 MB, once) into {}",
        cache.display()
    );
    fetch(&cache, major).await.map_err(|error| match error {
        Error::Fetch { reason, .. } => no_postgres(&cache, made_by, &reason),
        other => explain(&other),
    })
}

fn not_installed(made_by: Option<u32>, found: &[Binaries]) -> Failure {
    let found: Vec<_> = found
        .iter()
        .map(|b| format!("{}.{}", b.major, b.minor))
        .collect();
    let found = if found.is_empty() {
        "none".to_owned()
    } else {
        found.join(", ")
    };
    Failure::new(match made_by {
        Some(major) => format!(
            "the data was written by PostgreSQL {major}, and of this machine's ({found}) none can read it: \
             install PostgreSQL {major}, or leave --postgres out and it is fetched"
        ),
        None => format!(
            "no PostgreSQL {MAJOR_MIN} or later is on this machine: install it, or leave --postgres out \
             and it is fetched"
        ),
    })
}

fn no_postgres(cache: &Path, made_by: Option<u32>, reason: &str) -> Failure {
    let major = made_by.unwrap_or(FETCHED_MAJOR);
    let (lacking, install) = match made_by {
        Some(major) => (
            format!("The data was written by PostgreSQL {major}, which alone can read it and is not on this machine"),
            format!("install PostgreSQL {major}, or begin with other data: --data-dir DIR"),
        ),
        None => (
            "There is no PostgreSQL on this machine that can be used".to_owned(),
            "install it, for example: apt install postgresql, dnf install postgresql-server, brew install postgresql@17"
                .to_owned(),
        ),
    };
    Failure::new(format!(
        "{lacking}, and fetching PostgreSQL {major} failed: {reason}\n\
         \n\
         Three ways out:\n\
         \x20 1. {install}\n\
         \x20 2. start once with a network (HTTPS_PROXY is honoured): it is kept in {}\n\
         \x20 3. use a server of yours: DATABASE_URL=postgres://user:password@host:5432/postgres agora up",
        cache.display()
    ))
}

/// Adds the flags of this command to an error of the library.
pub(crate) fn explain(error: &Error) -> Failure {
    Failure::new(match error {
        Error::Unreachable { .. } => {
            format!(
                "{error}; choose another place with --data-dir (and --cache-dir), such as /var/lib/agora"
            )
        }
        Error::NotACluster(_) => {
            format!("{error}: move it away, or choose another directory with --data-dir")
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Told {
        #[command(flatten)]
        binaries: BinaryArgs,
    }

    #[tokio::test]
    async fn installed_binaries_need_no_cache() {
        let flags = ["up", "--postgres=installed", "--postgres-search=/nowhere"];
        let told = Told::try_parse_from(flags).expect("flags");
        let nowhere = || Err(Failure::new("you have no home directory"));
        let found = find_with(&told.binaries, None, nowhere).await;
        let failure = found.expect_err("nothing is installed there").to_string();
        assert!(failure.starts_with("no PostgreSQL"), "{failure}");
    }

    #[test]
    fn what_to_install_is_what_reads_the_data() {
        let told = |made_by| no_postgres(Path::new("/cache"), made_by, "no network").to_string();
        let (new, old) = (told(None), told(Some(15)));
        assert!(new.contains("apt install postgresql,"), "{new}");
        let fetched = format!("PostgreSQL {FETCHED_MAJOR} failed: no network");
        assert!(new.contains(&fetched), "{new}");
        assert!(!old.contains("apt install"), "{old}");
        for part in [
            "written by PostgreSQL 15",
            "install PostgreSQL 15",
            "PostgreSQL 15 failed",
        ] {
            assert!(old.contains(part), "no {part} in {old}");
        }
    }
}
