//! Who PostgreSQL runs as. It refuses root, so root's clusters belong to another user.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::Error;
use crate::error::Context;

/// The users that a cluster of root's may belong to, the best first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The user to run PostgreSQL as on the data directory `data`; `None` is the user of this process. A cluster that is there
    /// stays its owner's: an installation of PostgreSQL brings a better candidate, who cannot open what `nobody` has made.
    pub(crate) fn for_postgres(data: &Path) -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let path = Path::new("/etc/passwd");
        let users = fs::read_to_string(path).context("read", path)?;
        let owner = fs::metadata(data)
            .ok()
            .and_then(|data| owner(&users, data.uid(), data.gid()));
        owner
            .or_else(|| CANDIDATES.iter().find_map(|name| parse(&users, name)))
            .map(Some)
            .ok_or(Error::NoAccount)
    }

    /// Fails unless this user may enter `directory` and everything above it.
    pub(crate) fn must_reach(&self, directory: &Path) -> Result<(), Error> {
        let full = fs::canonicalize(directory).context("open", directory)?;
        for barrier in full.ancestors() {
            let metadata = fs::metadata(barrier).context("open", barrier)?;
            if !self.may_enter(&metadata) {
                return Err(Error::Unreachable {
                    user: self.name.clone(),
                    barrier: barrier.to_owned(),
                    directory: full.clone(),
                });
            }
        }
        Ok(())
    }

    fn may_enter(&self, directory: &Metadata) -> bool {
        let class = match (directory.uid() == self.uid, directory.gid() == self.gid) {
            (true, _) => 0o100,
            (_, true) => 0o010,
            _ => 0o001,
        };
        directory.permissions().mode() & class != 0
    }
}

/// Makes a file or directory belong to the user that PostgreSQL runs as.
pub(crate) fn give(path: &Path, account: Option<&Account>) -> Result<(), Error> {
    let Some(account) = account else {
        return Ok(());
    };
    chown(path, Some(account.uid), Some(account.gid)).context("change the owner of", path)
}

/// Makes a program run as that user, with nothing of our environment that PostgreSQL would listen to.
pub(crate) fn command(program: &Path, directory: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    // Our own working directory may be closed to that user.
    command.current_dir(directory).env("LC_ALL", "C");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    if let Some(account) = account {
        command.gid(account.gid).uid(account.uid);
    }
    command
}

/// The owner of a cluster, whose name is only for messages; `None` for root, who cannot run a server.
fn owner(users: &str, uid: u32, gid: u32) -> Option<Account> {
    let is_owner = |line: &&str| {
        let number = line.split(':').nth(2);
        number.and_then(|number| number.parse::<u32>().ok()) == Some(uid)
    };
    let name = users.lines().find(is_owner);
    let name = name.and_then(|line| line.split(':').next());
    (uid != 0).then(|| Account {
        name: name.map_or_else(|| uid.to_string(), str::to_owned),
        uid,
        gid,
    })
}

/// Finds a user in the text of `/etc/passwd`. Reading it ourselves instead of asking the C library keeps
/// this free of `unsafe`; a user from a directory service is not found, which `nobody` makes up for.
fn parse(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account {
            name: name.to_owned(),
            uid,
            gid,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\n\
        nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n\
        broken\n\
        postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn finds_users() {
        let nobody = Account {
            name: "nobody".to_owned(),
            uid: 65534,
            gid: 65533,
        };
        assert_eq!(parse(USERS, "nobody"), Some(nobody));
        assert_eq!(
            parse(USERS, "postgres").map(|a| (a.uid, a.gid)),
            Some((101, 104))
        );
        assert_eq!(parse(USERS, "somebody"), None);
        assert_eq!(parse(USERS, "broken"), None);
    }

    #[test]
    fn a_cluster_stays_its_owners() {
        let name = |uid| owner(USERS, uid, 7).map(|account| account.name);
        assert_eq!(name(65534).as_deref(), Some("nobody"));
        assert_eq!(name(4_000_000).as_deref(), Some("4000000"));
        assert_eq!(name(0), None, "PostgreSQL refuses root");
    }

    #[test]
    fn a_closed_parent_is_named() {
        let top = tempfile::tempdir().expect("a directory");
        let stranger = Account {
            name: "stranger".to_owned(),
            uid: 4_000_000,
            gid: 4_000_000,
        };
        let inner = top.path().join("inner");
        fs::create_dir(&inner).expect("a directory");
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o711)).expect("a mode");
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o700)).expect("a mode");
        let error = stranger.must_reach(&inner).expect_err("closed");
        assert!(
            matches!(&error, Error::Unreachable { barrier, .. }
            if *barrier == fs::canonicalize(top.path()).expect("a path")),
            "{error}"
        );
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
        stranger.must_reach(&inner).expect("open");
    }
}
