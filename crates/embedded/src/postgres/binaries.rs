//! Where PostgreSQL's programs are.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest major version that is used.
pub const MAJOR_MIN: u32 = 15;

/// Directories with one directory a version in them, and what is below each version.
const VERSIONED: [(&str, &str, &str); 6] = [
    // Debian and Ubuntu.
    ("/usr/lib/postgresql", "", "bin"),
    // Homebrew on Apple silicon, on Intel, and on Linux.
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
    // Fedora and the PostgreSQL project's own RPMs.
    ("/usr", "pgsql-", "bin"),
    // Postgres.app.
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A directory with `initdb` and `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The directory of the programs.
    pub directory: PathBuf,
    /// The major version, such as 17.
    pub major: u32,
    /// The minor version, such as 6.
    pub minor: u32,
}

impl Binaries {
    /// All versions installed on this machine that are new enough, newest first.
    #[must_use]
    pub fn find_installed() -> Vec<Self> {
        Self::find_in(&installed_directories())
    }

    /// The versions in these directories that are new enough, newest first.
    #[must_use]
    pub fn find_in(directories: &[PathBuf]) -> Vec<Self> {
        let mut seen = BTreeSet::new();
        let mut found: Vec<_> = directories
            .iter()
            .filter_map(|directory| fs::canonicalize(directory).ok())
            .filter(|directory| seen.insert(directory.clone()))
            .filter_map(|directory| Self::at(&directory))
            .filter(|binaries| binaries.major >= MAJOR_MIN)
            .collect();
        // A stable sort: of two equal versions the one that was named first wins.
        found.sort_by_key(|b| std::cmp::Reverse((b.major, b.minor)));
        found
    }

    /// What is in one directory, if it can make and run a cluster.
    #[must_use]
    pub fn at(directory: &Path) -> Option<Self> {
        // `initdb` is missing where only a client was installed.
        let postgres = directory.join("postgres");
        if !directory.join("initdb").is_file() || !postgres.is_file() {
            return None;
        }
        let answer = Command::new(postgres).arg("--version").output().ok()?;
        let (major, minor) = version(&String::from_utf8_lossy(&answer.stdout))?;
        Some(Self {
            directory: directory.to_owned(),
            major,
            minor,
        })
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The directories of this machine that may hold PostgreSQL's programs.
#[must_use]
pub fn installed_directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    if let Ok(answer) = Command::new("pg_config").arg("--bindir").output() {
        directories.push(PathBuf::from(
            String::from_utf8_lossy(&answer.stdout).trim(),
        ));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    directories.extend(std::env::split_paths(&path));
    for (parent, prefix, below) in VERSIONED {
        let Ok(entries) = fs::read_dir(parent) else {
            continue;
        };
        let versions = entries.flatten().map(|entry| entry.file_name());
        directories.extend(
            versions
                .filter(|name| is_version(name, prefix))
                .map(|name| Path::new(parent).join(name).join(below)),
        );
    }
    directories
}

fn is_version(name: &OsStr, prefix: &str) -> bool {
    name.to_str()
        .and_then(|name| name.strip_prefix(prefix))
        .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; a beta is `18beta2`.
fn version(answer: &str) -> Option<(u32, u32)> {
    let number = answer.split_whitespace().nth(2)?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    let minor = parts
        .next()
        .and_then(|minor| minor.parse().ok())
        .unwrap_or(0);
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn reads_versions() {
        let cases = [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some((15, 18)),
            ),
            ("postgres (PostgreSQL) 17.6\n", Some((17, 6))),
            ("postgres (PostgreSQL) 18beta2\n", Some((18, 0))),
            ("postgres (PostgreSQL) 19devel\n", Some((19, 0))),
            ("bash: postgres: command not found", None),
            ("", None),
        ];
        for (answer, expected) in cases {
            assert_eq!(version(answer), expected, "{answer}");
        }
    }

    #[test]
    fn newest_first_and_none_that_is_too_old_or_half() {
        let top = tempfile::tempdir().expect("a directory");
        let mut directories = Vec::new();
        for (name, with_initdb) in [
            ("14.20", true),
            ("15.3", true),
            ("16.1", true),
            ("15.9", true),
            ("18.1", false),
        ] {
            let directory = top.path().join(name);
            fs::create_dir(&directory).expect("a directory");
            program(
                &directory.join("postgres"),
                &format!("echo 'postgres (PostgreSQL) {name}'"),
            );
            if with_initdb {
                program(&directory.join("initdb"), "exit 1");
            }
            directories.push(directory.clone());
            directories.push(directory);
        }
        directories.push(top.path().join("missing"));
        let found: Vec<_> = Binaries::find_in(&directories)
            .iter()
            .map(|b| (b.major, b.minor))
            .collect();
        assert_eq!(found, [(16, 1), (15, 9), (15, 3)]);
    }

    fn program(path: &Path, script: &str) {
        fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
}
