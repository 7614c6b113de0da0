//! Writes `.eml` files to a directory, for any mail program to open: mail without a mail server.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use lettre::message::Mailbox;

use super::{MailError, Mailer, message};
use crate::domain::Mail;

/// Writes each mail to a file `<job id>.eml`.
pub(crate) struct Files {
    directory: PathBuf,
    from: Mailbox,
}

impl Files {
    /// Mails are written to `directory`, which is created if it is missing.
    pub(crate) fn new(directory: PathBuf, from: Mailbox) -> Self {
        Self { directory, from }
    }
}

#[async_trait]
impl Mailer for Files {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let bytes = message(mail, &self.from)?.formatted();
        let (directory, name) = (self.directory.clone(), mail.job_id.to_string());
        let path = directory.join(format!("{name}.eml"));
        let to = path.clone();
        let written =
            tokio::task::spawn_blocking(move || write(&directory, &name, &to, &bytes)).await;
        written
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .map_err(|source| MailError::File {
                path: path.display().to_string(),
                source,
            })
    }
}

/// Writes the file atomically and durably: a reader never sees a partial mail, and after this the job is deleted.
/// Writing the same mail again replaces the file.
fn write(directory: &Path, name: &str, path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    // Not `.eml`, so that no program takes it for a mail. The name contains the job's id, so that leftovers of a crash
    // are overwritten instead of accumulating.
    let draft = directory.join(format!(".{name}.draft"));
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    std::fs::File::open(directory)?.sync_all()
}
