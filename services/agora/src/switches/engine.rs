//! The event stream and the mail directory.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chassis::admin::{About, Switch, SwitchState};
use embedded::Refusal;
use tokio::sync::Mutex;

use super::counted::{Position, metric};
use super::not_ours;
use crate::cli::Up;
use crate::engines::Kafka as Stream;

/// Counted by notifications each time that a mail cannot be delivered.
const MAILS_FAILED: &str = "mails_failed_total";

/// The Kafka in this process.
pub(super) struct Kafka {
    kafka: Arc<Stream>,
    position: Position,
    /// Takes the broker's port while it is unavailable.
    refusal: Mutex<Option<Refusal>>,
}

impl Kafka {
    pub(super) fn new(kafka: &Arc<Stream>) -> Self {
        Self {
            kafka: Arc::clone(kafka),
            position: Position::new(),
            refusal: Mutex::default(),
        }
    }

    async fn take_away(&self) -> Result<Refusal, String> {
        let kafka = Arc::clone(&self.kafka);
        let at: SocketAddr = kafka
            .brokers()
            .parse()
            .map_err(|_| "its address is none".to_owned())?;
        // The broker has to release its port before the refusal takes it.
        let down = tokio::task::spawn_blocking(move || kafka.down());
        down.await.map_err(|panic| panic.to_string())?;
        let refusal = Refusal::at(at).await;
        if refusal.is_err() {
            self.kafka.up();
        }
        refusal.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Switch for Kafka {
    fn about(&self) -> About {
        About {
            name: "kafka",
            kind: "engine",
            title: "Kafka".to_owned(),
            usual: true,
            absent: (!self.kafka.forgets()).then(|| not_ours("Kafka", "KAFKA_BROKERS")),
        }
    }

    async fn state(&self) -> SwitchState {
        // While the switch is being set, the last count is shown.
        if let Ok(refusal) = self.refusal.try_lock()
            && let Some(refusal) = &*refusal
        {
            self.position.count(refusal.refused());
        }
        self.position.state()
    }

    async fn set(&self, on: bool) -> Result<(), String> {
        let mut refusal = self.refusal.lock().await;
        match (on, refusal.take()) {
            (true, Some(standing_in)) => {
                // The broker can only take its port back once the refusal has released it.
                let refused = standing_in.end().await;
                self.kafka.up();
                self.position.on(refused);
            }
            (false, None) => {
                *refusal = Some(self.take_away().await?);
                self.position.off(0);
            }
            (_, as_before) => *refusal = as_before,
        }
        Ok(())
    }
}

/// The directory that replaces a mail server.
pub(super) struct Mail {
    directory: PathBuf,
    is_ours: bool,
    position: Position,
}

impl Mail {
    pub(super) fn new(up: &Up, directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            is_ours: up.engines.smtp_url.is_none(),
            position: Position::new(),
        }
    }
}

#[async_trait]
impl Switch for Mail {
    fn about(&self) -> About {
        About {
            name: "mail",
            kind: "engine",
            title: "Mail server (a directory)".to_owned(),
            usual: true,
            absent: (!self.is_ours).then(|| not_ours("The mail server", "SMTP_URL")),
        }
    }

    async fn state(&self) -> SwitchState {
        if !self.position.is_on() {
            self.position.count(metric(MAILS_FAILED, &[]));
        }
        self.position.state()
    }

    async fn set(&self, on: bool) -> Result<(), String> {
        if on == self.position.is_on() {
            return Ok(());
        }
        let failed = metric(MAILS_FAILED, &[]);
        if on {
            mend_mail(&self.directory).map_err(|error| error.to_string())?;
            self.position.on(failed);
        } else {
            take_mail_away(&self.directory).map_err(|error| error.to_string())?;
            self.position.off(failed);
        }
        Ok(())
    }
}

/// The path of the directory while it is unavailable.
fn aside(directory: &Path) -> PathBuf {
    directory.with_extension("away")
}

/// Replaces the directory by a file, since a missing directory would be created.
fn take_mail_away(directory: &Path) -> io::Result<()> {
    // Before anything is moved: a full disk refuses it.
    let stand_in = directory.with_extension("off");
    fs::write(&stand_in, "The mail server was taken away on purpose.\n")?;
    fs::rename(directory, aside(directory))?;
    let closed = fs::rename(stand_in, directory);
    if closed.is_err() {
        // A mail that was written just now has made the directory anew.
        mend_mail(directory)?;
    }
    closed
}

/// Moves the directory back, if this run or a killed one has moved it.
pub(crate) fn mend_mail(directory: &Path) -> io::Result<()> {
    let aside = aside(directory);
    if !aside.is_dir() {
        return Ok(());
    }
    if directory.is_dir() {
        // Made anew by a mail before the file was there. The mails go into it and not the other way, since more may be written.
        fs::set_permissions(directory, fs::metadata(&aside)?.permissions())?;
        for mail in fs::read_dir(&aside)? {
            let mail = mail?;
            fs::rename(mail.path(), directory.join(mail.file_name()))?;
        }
        return fs::remove_dir(aside);
    }
    match fs::remove_file(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(aside, directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_directory_that_is_away_takes_nothing_and_loses_nothing() {
        let top = tempfile::tempdir().unwrap();
        let mail = top.path().join("mail");
        fs::create_dir(&mail).unwrap();
        fs::write(mail.join("a.eml"), "Hello").unwrap();
        mend_mail(&mail).unwrap();
        take_mail_away(&mail).unwrap();
        assert!(fs::create_dir_all(&mail).is_err(), "nobody makes it anew");
        mend_mail(&mail).unwrap();
        assert_eq!(fs::read_to_string(mail.join("a.eml")).unwrap(), "Hello");
        assert!(!aside(&mail).exists());

        // What cannot be put in its place leaves it where it is.
        fs::create_dir(mail.with_extension("off")).unwrap();
        assert!(take_mail_away(&mail).is_err());
        assert!(mail.is_dir(), "nothing is broken that no switch mends");
    }

    /// As the sender of mails does, who makes a directory that is missing, between the two steps of taking it away.
    #[test]
    fn a_mail_that_makes_the_directory_anew_is_kept_beside_the_others() {
        let top = tempfile::tempdir().unwrap();
        let mail = top.path().join("mail");
        for (directory, name) in [(aside(&mail), "a.eml"), (mail.clone(), "b.eml")] {
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join(name), "Hello").unwrap();
        }
        mend_mail(&mail).unwrap();
        assert!(mail.join("a.eml").exists() && mail.join("b.eml").exists());
        assert!(!aside(&mail).exists());
        take_mail_away(&mail).unwrap();
    }
}
