//! A directory of `.eml` files, which any mail program opens: mail without a mail server.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use lettre::message::Mailbox;

use super::{MailError, Mailer, message};
use crate::domain::Mail;

/// Writes mails to files, `<job id>.eml` each.
pub(crate) struct Files {
    directory: PathBuf,
    from: Mailbox,
}

impl Files {
    /// Mails go to `directory`, which is made when it is missing.
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

/// All or nothing, and on the disk: a reader never sees half a mail, and after this the job is gone. The
/// same mail again replaces itself.
fn write(directory: &Path, name: &str, path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    // Not `.eml`, so that nobody takes it for a mail; the name is the job's, so that leftovers of a crash
    // do not pile up.
    let draft = directory.join(format!(".{name}.draft"));
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    std::fs::File::open(directory)?.sync_all()
}
