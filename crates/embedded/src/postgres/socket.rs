//! Where the server's Unix socket is: a way for clients on this machine that costs less than TCP.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::account::{self, Account};
use super::initdb::Layout;
use crate::Error;
use crate::error::Context;

/// The longest path that a socket can have on each system that there is PostgreSQL for, in bytes.
const PATH_BYTES_MAX: usize = 103;
/// The longest name that the server gives to it.
const NAME: &str = "/.s.PGSQL.65535";

/// Makes the directory of the socket anew, since a killed server leaves its socket behind. Nobody else may enter it. `None` where a
/// socket's path would be too long, or has characters that mean something in a list of directories or in a URL.
pub(crate) fn prepare(
    layout: &Layout,
    account: Option<&Account>,
) -> Result<Option<PathBuf>, Error> {
    let directory = layout.socket();
    if !fits(&directory) {
        return Ok(None);
    }
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.context("remove", &directory)?,
    }
    fs::create_dir(&directory).context("create", &directory)?;
    let permissions = fs::Permissions::from_mode(0o700);
    fs::set_permissions(&directory, permissions).context("change the mode of", &directory)?;
    account::give(&directory, account)?;
    Ok(Some(directory))
}

fn fits(directory: &Path) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    directory
        .to_str()
        .is_some_and(|path| path.len() + NAME.len() <= PATH_BYTES_MAX && path.bytes().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_no_socket_can_have_is_done_without() {
        let longest = PATH_BYTES_MAX - NAME.len();
        for (path, is_used) in [
            ("/var/lib/agora/postgres/socket".to_owned(), true),
            (format!("/{}", "x".repeat(longest - 1)), true),
            (format!("/{}", "x".repeat(longest)), false),
            ("/home/Ada Lovelace/socket".to_owned(), false),
            ("/home/a,b/socket".to_owned(), false),
            ("/home/100%/socket".to_owned(), false),
            ("/home/zoë/socket".to_owned(), false),
        ] {
            assert_eq!(fits(path.as_ref()), is_used, "{path}");
        }
    }
}
