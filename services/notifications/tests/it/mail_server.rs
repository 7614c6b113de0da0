//! A mail server of a hundred lines: just enough SMTP (RFC 5321) for a client, and a free will.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::app::PATIENCE;
use crate::mails::Mail;

/// What the server got: who it is for, and the mail.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) to: Vec<String>,
    pub(crate) mail: Mail,
}

/// Where a conversation gets no answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silent {
    Greeting,
    Command(&'static str),
    /// After the final dot.
    Dot,
}

type Answer = Box<dyn Fn(Received) -> BoxFuture<'static, &'static str> + Send + Sync>;

pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    answer: Mutex<Arc<Answer>>,
    silent: Mutex<Option<Silent>>,
    /// What it answers to a sender, if it does not take mail from it.
    unwelcome: Mutex<Option<&'static str>>,
    /// All that was handed over, whatever was answered.
    tried: watch::Sender<Vec<Received>>,
    /// What was answered with 250.
    taken: watch::Sender<Vec<Received>>,
}

pub(crate) const OK: &str = "250 2.0.0 taken";

impl MailServer {
    pub(crate) async fn start() -> Arc<Self> {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn on(listener: TcpListener) -> Arc<Self> {
        let server = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            answer: Mutex::new(Arc::new(boxed(|_| async { OK }))),
            silent: Mutex::default(),
            unwelcome: Mutex::default(),
            tried: watch::Sender::default(),
            taken: watch::Sender::default(),
        });
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Arc::clone(&serving);
                // A client that hangs up in the middle is not the server's trouble.
                tokio::spawn(async move { server.talk(stream).await.ok() });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// From now on it answers a mail like this.
    pub(crate) fn turn<F, Fut>(&self, answer: F)
    where
        F: Fn(Received) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = &'static str> + Send + 'static,
    {
        *self.answer.lock() = Arc::new(boxed(answer));
    }

    /// From now on it says nothing there, and keeps the connection.
    pub(crate) fn is_silent(&self, silent: Option<Silent>) {
        *self.silent.lock() = silent;
    }

    /// From now on it answers a sender with this refusal.
    pub(crate) fn is_closed(&self, refusal: Option<&'static str>) {
        *self.unwelcome.lock() = refusal;
    }

    fn to_sender(&self) -> &'static str {
        self.unwelcome.lock().unwrap_or("250 2.1.0 welcome")
    }

    async fn unless_silent(&self, at: Silent) {
        if *self.silent.lock() == Some(at) {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn taken(&self) -> Vec<Received> {
        self.taken.borrow().clone()
    }

    pub(crate) async fn takes(&self, count: usize) -> Vec<Received> {
        wait(&self.taken, count).await
    }

    pub(crate) async fn is_tried(&self, count: usize) -> Vec<Received> {
        wait(&self.tried, count).await
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        self.unless_silent(Silent::Greeting).await;
        write.write_all(b"220 mail.example ESMTP\r\n").await?;
        let mut to = Vec::new();
        while let Some(line) = lines.next_line().await? {
            let command = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            for silent in ["EHLO", "MAIL", "RCPT", "DATA"] {
                if command == silent {
                    self.unless_silent(Silent::Command(silent)).await;
                }
            }
            let reply = match command.as_str() {
                "EHLO" => "250 mail.example",
                "MAIL" => self.to_sender(),
                "RCPT" => {
                    to.push(
                        line["RCPT TO:<".len()..]
                            .split('>')
                            .next()
                            .unwrap_or_default()
                            .to_owned(),
                    );
                    "250 2.1.5 known"
                }
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await?;
                    let mut text = String::new();
                    while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                        text.push_str(line.strip_prefix('.').unwrap_or(&line));
                        text.push_str("\r\n");
                    }
                    let received = Received {
                        to: std::mem::take(&mut to),
                        mail: Mail::parse(&text),
                    };
                    self.judge(received).await
                }
                "QUIT" => {
                    write.write_all(b"221 bye\r\n").await?;
                    return Ok(());
                }
                _ => "250 2.0.0 fine",
            };
            write.write_all(format!("{reply}\r\n").as_bytes()).await?;
        }
        Ok(())
    }

    async fn judge(&self, received: Received) -> &'static str {
        self.tried.send_modify(|all| all.push(received.clone()));
        self.unless_silent(Silent::Dot).await;
        let answer = Arc::clone(&self.answer.lock());
        let reply = answer(received.clone()).await;
        if reply == OK {
            self.taken.send_modify(|all| all.push(received));
        }
        reply
    }
}

fn boxed<F, Fut>(answer: F) -> Answer
where
    F: Fn(Received) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = &'static str> + Send + 'static,
{
    Box::new(move |received| Box::pin(answer(received)))
}

async fn wait(log: &watch::Sender<Vec<Received>>, count: usize) -> Vec<Received> {
    let mut log = log.subscribe();
    let enough = log.wait_for(|all| all.len() >= count);
    let found = tokio::time::timeout(PATIENCE, enough)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {count} mails"));
    found.unwrap().clone()
}
