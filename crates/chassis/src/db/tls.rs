//! What a database's URL says about TLS, checked before it is used.
//!
//! The parameters are libpq's: `sslmode`, `sslrootcert`, `sslcert` and `sslkey`. sqlx reads them, and also those that have no
//! effect: a root certificate beside `sslmode=require` is never looked at, and whoever named it would believe that the server
//! is the one that it says it is. Such a URL is refused here. The files are read at each connection, so that certificates that
//! were replaced are used from the next one on.

use std::path::Path;

use url::Url;

/// The modes in which the server's certificate is looked at.
const VERIFYING: [&str; 2] = ["verify-full", "verify-ca"];
/// How a certificate begins in PEM.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
/// How every kind of private key begins, after its own name.
const KEY: &str = "PRIVATE KEY-----";

/// Checks the parameters of a URL that sqlx can parse.
///
/// # Errors
/// What is allowed, in one line without the password.
pub(crate) fn check(url: &str) -> Result<(), String> {
    // A path for a host (a Unix socket) is not everybody's URL; there is no TLS on it either.
    let Ok(url) = Url::parse(url) else {
        return Ok(());
    };
    let parameter = |names: &[&str]| {
        let all = url.query_pairs();
        // The last one counts for sqlx, too.
        let found = all.filter(|(key, _)| names.contains(&&**key)).last();
        found.map(|(_, value)| value.into_owned())
    };
    let mode = parameter(&["sslmode", "ssl-mode"]).unwrap_or_default();
    let is_verifying = VERIFYING.contains(&mode.as_str());
    if let Some(authority) = parameter(&["sslrootcert", "ssl-root-cert", "ssl-ca"]) {
        if !is_verifying {
            return Err(
                "it takes sslrootcert beside sslmode=verify-full only: otherwise nobody looks at it"
                    .to_owned(),
            );
        }
        holds("sslrootcert", &authority, CERTIFICATE)?;
    }
    let certificate = parameter(&["sslcert", "ssl-cert"]);
    match (certificate, parameter(&["sslkey", "ssl-key"])) {
        (None, None) => Ok(()),
        (Some(_), Some(_)) if !is_verifying => Err(
            "it takes sslcert and sslkey beside sslmode=verify-full only: who shows who he is looks whom he shows it to"
                .to_owned(),
        ),
        (Some(certificate), Some(key)) => {
            holds("sslcert", &certificate, CERTIFICATE)?;
            holds("sslkey", &key, KEY)
        }
        _ => Err("it takes sslcert and sslkey together".to_owned()),
    }
}

/// Checks that the file can be read and holds what it is for.
fn holds(parameter: &str, file: &str, wanted: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(Path::new(file));
    match text {
        Ok(text) if text.contains(wanted) => Ok(()),
        Ok(_) => Err(format!("it takes {parameter}={file} in PEM")),
        Err(error) => Err(format!(
            "it takes {parameter}={file} that can be read: {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(parameters: &str) -> Result<(), String> {
        check(&format!("postgres://a:hunter2@h/d?{parameters}"))
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        for (parameters, says) in [
            ("sslrootcert=/ca.crt", "beside sslmode=verify-full only"),
            ("ssl-ca=/ca.crt", "beside sslmode=verify-full only"),
            (
                "sslmode=require&sslrootcert=/ca.crt",
                "beside sslmode=verify-full only",
            ),
            (
                "sslmode=verify-full&sslrootcert=/ca.crt&sslmode=require",
                "beside sslmode=verify-full only",
            ),
            ("sslmode=require&sslcert=a&sslkey=b", "beside sslmode"),
            ("sslmode=verify-full&sslcert=a", "together"),
            ("sslmode=verify-full&sslkey=a", "together"),
            (
                "sslmode=verify-full&sslrootcert=/nowhere/ca.crt",
                "/nowhere/ca.crt that can be read: No such file",
            ),
        ] {
            let why = checked(parameters).unwrap_err();
            assert!(why.contains(says), "{parameters}: {why}");
            assert!(!why.contains("hunter2") && !why.contains('\n'), "{why}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let why = checked(&format!("sslmode=verify-full&sslrootcert={manifest}")).unwrap_err();
        assert!(why.contains("in PEM"), "{why}");
    }

    #[test]
    fn without_tls_there_is_nothing_to_check() {
        for parameters in ["", "sslmode=disable", "sslmode=prefer", "sslmode=require"] {
            checked(parameters).unwrap();
        }
    }
}
