//! PostgreSQL over TLS: which server is believed, and what is said of one that is not.

use std::path::{Path, PathBuf};

use chassis::db;
use embedded::postgres::{Cluster, OnExit, Options};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::support::eventually;

/// An authority, and the file that its own certificate is in.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(directory: &Path, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let file = directory.join(name);
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            file,
        }
    }

    /// A certificate for this name, and its key, both in PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A server of its own, since its settings change.
fn cluster() -> Cluster {
    let options = Options {
        durable: false,
        on_exit: OnExit::Remove,
        ..Options::default()
    };
    let name = format!("chassis-tls-{}", uuid::Uuid::new_v4().simple());
    let directory = std::env::temp_dir().join(name);
    Cluster::start(embedded::testing::binaries(), &directory, &options).unwrap()
}

/// Turns TLS on. The files are written by the server itself: it may run as another user, and its key is for that user only.
async fn turn_tls_on(url: &str, authority: &Authority, (certificate, key): (String, String)) {
    let mut server = PgConnection::connect(url).await.unwrap();
    let directory: String = sqlx::query_scalar("SELECT current_setting('data_directory')")
        .fetch_one(&mut server)
        .await
        .unwrap();
    let clients = std::fs::read_to_string(&authority.file).unwrap();
    for (file, pem) in [
        ("server.crt", certificate),
        ("server.key", key),
        ("clients.crt", clients),
    ] {
        let write = format!(
            "COPY (SELECT regexp_split_to_table($pem${pem}$pem$, E'\\n')) \
             TO PROGRAM 'umask 077; cat > \"{directory}/{file}\"'"
        );
        execute(&mut server, write).await;
    }
    for setting in ["ssl_ca_file = 'clients.crt'", "ssl = on"] {
        execute(&mut server, format!("ALTER SYSTEM SET {setting}")).await;
    }
    execute(&mut server, "SELECT pg_reload_conf()".to_owned()).await;
    server.close().await.unwrap();
}

async fn execute(server: &mut PgConnection, statement: String) {
    let done = sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(server)
        .await;
    done.unwrap();
}

/// Whether a connection of ours is TLS, and the name on the client's certificate.
async fn connection(url: &str) -> Result<(bool, Option<String>), String> {
    let pool = db::connect(url, 1, "test").map_err(|error| error.to_string())?;
    let seen = "SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    for _ in 0..5 {
        match sqlx::query_as(seen).fetch_one(&pool).await {
            // On a busy machine a handshake may take longer than a connection is waited for. It says nothing of the server.
            Err(sqlx::Error::PoolTimedOut) => {}
            answer => return answer.map_err(|error| error.to_string()),
        }
    }
    Err("no connection in time".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_if_its_authority_is_ours_and_its_name_the_one_that_was_asked() {
    let files = TempDir::new().unwrap();
    let (ours, strangers) = (
        Authority::new(files.path(), "ours"),
        Authority::new(files.path(), "strangers"),
    );
    let cluster = cluster();
    let plain = cluster.url("postgres");
    let trusting = |url: &str, authority: &Authority| {
        format!(
            "{url}?sslmode=verify-full&sslrootcert={}",
            authority.file.display()
        )
    };
    let secured = trusting(&plain, &ours);

    let why = connection(&secured).await.unwrap_err();
    assert!(why.contains("does not support TLS"), "{why}");

    turn_tls_on(&plain, &ours, ours.issue("127.0.0.1")).await;
    eventually("it speaks TLS", || async {
        connection(&secured).await == Ok((true, None))
    })
    .await;

    let why = connection(&trusting(&plain, &strangers)).await.unwrap_err();
    assert!(why.contains("invalid peer certificate"), "{why}");
    let elsewhere = plain.replacen("@127.0.0.1:", "@localhost:", 1);
    let why = connection(&trusting(&elsewhere, &ours)).await.unwrap_err();
    assert!(why.contains("not valid for name"), "{why}");

    let (certificate, key) = (files.path().join("own.crt"), files.path().join("own.key"));
    let own = ours.issue("orders");
    std::fs::write(&certificate, own.0).unwrap();
    std::fs::write(&key, own.1).unwrap();
    let (certificate, key) = (certificate.display(), key.display());
    let known = connection(&format!("{secured}&sslcert={certificate}&sslkey={key}")).await;
    assert_eq!(known, Ok((true, Some("/CN=orders".to_owned()))));
}
