//! Writes `.eml` files to a directory, for any mail program to open: mail without a mail server.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use lettre::message::Mailbox;
use messaging::Together;

use super::{MailError, Mailer, message};
use crate::domain::Mail;

/// Writes each mail to a file `<job id>.eml`. Mails that come while others are written go together, so that a thread and the
/// directory's flush serve many.
pub(crate) struct Files {
    directory: PathBuf,
    from: Mailbox,
    written: Together<Arc<Draft>, io::Result<()>>,
}

/// A mail to be written.
struct Draft {
    job_id: String,
    bytes: Vec<u8>,
}

impl Files {
    /// Mails are written to `directory`, which is created if it is missing.
    pub(crate) fn new(directory: PathBuf, from: Mailbox) -> Self {
        Self {
            directory,
            from,
            written: Together::default(),
        }
    }

    async fn write(&self, draft: Arc<Draft>) -> io::Result<()> {
        let alone = Arc::clone(&draft);
        if let Some(written) = self
            .written
            .call(draft, |group| self.write_group(group))
            .await
        {
            return written;
        }
        // Whoever wrote it for us was cancelled. It may be written, and to write it again replaces the file.
        let written = self.write_group(vec![alone]).await.pop();
        written.unwrap_or_else(|| Err(io::Error::other("it was not written")))
    }

    async fn write_group(&self, group: Vec<Arc<Draft>>) -> Vec<io::Result<()>> {
        let (directory, count) = (self.directory.clone(), group.len());
        let writing = tokio::task::spawn_blocking(move || write_all(&directory, &group));
        writing.await.unwrap_or_else(|panic| {
            let failed = Err(io::Error::other(panic));
            (0..count).map(|_| copy(&failed)).collect()
        })
    }
}

#[async_trait]
impl Mailer for Files {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let draft = Draft {
            job_id: mail.job_id.to_string(),
            bytes: message(mail, &self.from)?.formatted(),
        };
        let path = draft.path(&self.directory);
        self.write(Arc::new(draft))
            .await
            .map_err(|source| MailError::File {
                path: path.display().to_string(),
                source,
            })
    }
}

/// Writes the files atomically and durably: a reader never sees a partial mail, and after this the jobs are deleted.
/// Writing the same mail again replaces the file.
fn write_all(directory: &Path, group: &[Arc<Draft>]) -> Vec<io::Result<()>> {
    let created = fs::create_dir_all(directory);
    if created.is_err() {
        return group.iter().map(|_| copy(&created)).collect();
    }
    // Step by step for all of them: a flush finds more to do at once, and the directory is flushed with each file that follows a
    // change of a name in it.
    let begun: Vec<_> = group.iter().map(|draft| draft.begin(directory)).collect();
    let flushed: Vec<_> = begun.into_iter().map(|file| file?.sync_all()).collect();
    let drafts = group.iter().zip(flushed);
    let renamed: Vec<_> = drafts
        .map(|(draft, flushed)| flushed.and_then(|()| draft.end(directory)))
        .collect();
    let flushed = File::open(directory).and_then(|directory| directory.sync_all());
    let each = |renamed: io::Result<()>| renamed.and_then(|()| copy(&flushed));
    renamed.into_iter().map(each).collect()
}

impl Draft {
    fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.eml", self.job_id))
    }

    /// Not `.eml`, so that no program takes it for a mail. The name contains the job's id, so that leftovers of a crash are
    /// overwritten instead of accumulating.
    fn unfinished(&self, directory: &Path) -> PathBuf {
        directory.join(format!(".{}.draft", self.job_id))
    }

    fn begin(&self, directory: &Path) -> io::Result<File> {
        let mut file = File::create(self.unfinished(directory))?;
        file.write_all(&self.bytes)?;
        Ok(file)
    }

    fn end(&self, directory: &Path) -> io::Result<()> {
        fs::rename(self.unfinished(directory), self.path(directory))
    }
}

/// The result of a step that was one for a whole group, for one of the group.
fn copy(result: &io::Result<()>) -> io::Result<()> {
    let told = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
    result.as_ref().copied().map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(job_id: &str) -> Arc<Draft> {
        Arc::new(Draft {
            job_id: job_id.to_owned(),
            bytes: job_id.repeat(100).into_bytes(),
        })
    }

    #[test]
    fn a_mail_that_cannot_be_written_takes_none_of_its_group_with_it() {
        let top = tempfile::tempdir().expect("a directory");
        let directory = top.path().join("mail");
        // In the way of the second one.
        fs::create_dir_all(directory.join(".b.draft")).expect("a directory");
        let written = write_all(&directory, &["a", "b", "c"].map(draft));
        let written: Vec<_> = written.iter().map(Result::is_ok).collect();
        assert_eq!(written, [true, false, true]);
        for job_id in ["a", "c"] {
            let path = draft(job_id).path(&directory);
            assert_eq!(fs::read(path).expect("a mail"), draft(job_id).bytes);
        }
        // And nothing is left of the drafts of those.
        let entries = fs::read_dir(&directory).expect("entries").count();
        assert_eq!(entries, 3);
    }

    #[test]
    fn where_no_directory_can_be_each_mail_hears_why() {
        let top = tempfile::tempdir().expect("a directory");
        let in_the_way = top.path().join("mail");
        fs::write(&in_the_way, "").expect("a file");
        for written in write_all(&in_the_way, &["a", "b"].map(draft)) {
            let why = written.expect_err("a file is in the way").to_string();
            assert!(why.contains("exists"), "{why}");
        }
    }
}
