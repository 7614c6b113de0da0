//! The administrator's credentials: generated at the first start, and reused at later ones.

use std::fs::{self, File};
use std::path::Path;

use clap::Args;
use rand::Rng;
use rand::distr::Alphanumeric;
use serde::{Deserialize, Serialize};

use super::private_file;
use crate::failure::Failure;

const EMAIL: &str = "admin@agora.example";
/// The characters of a generated password: 142 bits.
const PASSWORD_LENGTH: usize = 24;

/// The configured administrator, if any.
#[derive(Args, Clone)]
#[command(next_help_heading = "Administrator")]
pub(crate) struct AdminArgs {
    /// Email of the administrator, with ADMIN_PASSWORD [default: one is made up and kept in admin.json].
    #[arg(
        long,
        env = "ADMIN_EMAIL",
        value_name = "EMAIL",
        requires = "admin_password"
    )]
    pub(crate) admin_email: Option<String>,

    /// Password of the administrator ADMIN_EMAIL, 8 to 128 characters.
    #[arg(
        long,
        env = "ADMIN_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true,
        requires = "admin_email"
    )]
    pub(crate) admin_password: Option<String>,
}

// The password must not get into a log.
impl std::fmt::Debug for AdminArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminArgs").finish_non_exhaustive()
    }
}

/// The administrator's credentials; the content of `admin.json`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Admin {
    pub(crate) email: String,
    pub(crate) password: String,
}

impl Admin {
    /// The configured one, else the one in `file`, else a new one. It is written to `file`.
    pub(crate) fn ensure(given: &AdminArgs, file: &Path) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| Failure::new(format!("{}: {error}", file.display()));
        let known = match fs::read(file) {
            Ok(bytes) => Some(serde_json::from_slice::<Self>(&bytes).map_err(|error| {
                Failure::new(format!(
                    "{} cannot be read ({error}): remove it, and another administrator's password is made",
                    file.display()
                ))
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot(error)),
        };
        let admin = Self::given(given)
            .or_else(|| known.clone())
            .unwrap_or_else(Self::make_up);
        if known.as_ref() == Some(&admin) {
            // A restored copy may be readable by others.
            File::open(file)
                .and_then(|file| private_file::close_to_others(&file))
                .map_err(cannot)?;
        } else {
            private_file::write_json(file, &admin).map_err(cannot)?;
        }
        Ok(admin)
    }

    /// The administrator in flags or variables, if there is one.
    pub(crate) fn given(given: &AdminArgs) -> Option<Self> {
        let (email, password) = given
            .admin_email
            .clone()
            .zip(given.admin_password.clone())?;
        Some(Self { email, password })
    }

    pub(crate) fn make_up() -> Self {
        let password = rand::rng()
            .sample_iter(Alphanumeric)
            .take(PASSWORD_LENGTH)
            .map(char::from)
            .collect();
        Self {
            email: EMAIL.to_owned(),
            password,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOBODY: AdminArgs = AdminArgs {
        admin_email: None,
        admin_password: None,
    };

    #[test]
    fn stays_the_same_and_is_private() {
        let top = tempfile::tempdir().expect("a directory");
        let file = top.path().join("admin.json");
        let first = Admin::ensure(&NOBODY, &file).expect("a new one");
        assert!(Admin::ensure(&NOBODY, &file).expect("the same") == first);
        let mode = fs::metadata(&file).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("a mode");
        assert!(Admin::ensure(&NOBODY, &file).expect("the same") == first);
        let mode = fs::metadata(&file).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "closed again");

        let given = AdminArgs {
            admin_email: Some("boss@shop.example".to_owned()),
            admin_password: Some("long enough".to_owned()),
        };
        let boss = Admin::ensure(&given, &file).expect("the given one");
        assert_eq!(boss.email, "boss@shop.example");
        assert!(Admin::ensure(&NOBODY, &file).expect("the last one") == boss);
    }
}
