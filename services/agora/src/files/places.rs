//! Default directories, as the platform defines them.

use std::path::PathBuf;

use crate::failure::Failure;

/// The default data directory. Root's is one that PostgreSQL's user can reach, which `/root` is not.
pub(crate) fn data() -> Result<PathBuf, Failure> {
    default("XDG_STATE_HOME", ".local/state", "/var/lib", "--data-dir")
}

/// The default cache directory.
pub(crate) fn cache() -> Result<PathBuf, Failure> {
    default("XDG_CACHE_HOME", ".cache", "/var/cache", "--cache-dir")
}

/// Whether this process is root's.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn default(variable: &str, below_home: &str, roots: &str, flag: &str) -> Result<PathBuf, Failure> {
    if is_root() {
        return Ok(PathBuf::from(roots).join("agora"));
    }
    // The XDG rules: a path that is not absolute is to be ignored.
    let xdg = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let below_home = match (cfg!(target_os = "macos"), flag) {
        (true, "--cache-dir") => "Library/Caches",
        (true, _) => "Library/Application Support",
        _ => below_home,
    };
    xdg.or_else(|| std::env::home_dir().map(|home| home.join(below_home)))
        .map(|directory| directory.join("agora"))
        .ok_or_else(|| {
            Failure::new(format!(
                "you have no home directory: say where to, with {flag}"
            ))
        })
}
