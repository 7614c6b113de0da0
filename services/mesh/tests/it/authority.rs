//! Certificates: who they are of, how long they are good, and who can read their keys.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use mesh::table::{DOUBLED, SERVICES};
use pki_types::pem::PemObject;
use pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::{LIFE, Mesh, NOW};

/// Whether those who trust these authorities accept the certificate at `now`, as a server's and as a client's.
pub(crate) fn is_trusted(certificate: &str, authorities: &str, now: u64) -> bool {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let leaf = EndEntityCert::try_from(&der).unwrap();
    let authorities: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(authorities.as_bytes())
            .map(Result::unwrap)
            .collect();
    let anchors: Vec<_> = authorities
        .iter()
        .map(|der| anchor_from_trusted_cert(der).unwrap())
        .collect();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    [KeyUsage::server_auth(), KeyUsage::client_auth()]
        .into_iter()
        .all(|usage| {
            let algorithms = ALL_VERIFICATION_ALGS;
            leaf.verify_for_usage(algorithms, &anchors, &[], now, usage, None, None)
                .is_ok()
        })
}

fn uris_and_names(certificate: &str) -> (Vec<String>, Vec<String>) {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let leaf = EndEntityCert::try_from(&der).unwrap();
    let uris = leaf.valid_uri_names().map(str::to_owned).collect();
    (uris, leaf.valid_dns_names().map(str::to_owned).collect())
}

#[test]
fn each_service_has_its_own_identity_and_names() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    for service in SERVICES {
        let (uris, names) = uris_and_names(&mesh.read(service, "certificate.pem"));
        assert_eq!(uris, [format!("spiffe://agora/{service}")]);
        assert!(names.contains(&service.to_owned()), "{names:?}");
        assert!(names.contains(&format!("{service}-net")), "{names:?}");
    }
    for service in DOUBLED {
        let (_, names) = uris_and_names(&mesh.read(service, "certificate.pem"));
        assert!(names.contains(&format!("{service}-2-net")), "{names:?}");
    }
}

#[test]
fn a_certificate_is_good_for_its_life_and_for_those_who_trust_its_authority() {
    let (mesh, other) = (Mesh::new(), Mesh::new());
    mesh.pass(NOW);
    other.pass(NOW);
    let certificate = mesh.read("orders", "certificate.pem");
    let trusted = mesh.read("users", "authorities.pem");
    // A clock that is a minute behind accepts it as well.
    assert!(is_trusted(&certificate, &trusted, NOW - 60));
    assert!(!is_trusted(&certificate, &trusted, NOW - 61));
    assert!(is_trusted(&certificate, &trusted, NOW + LIFE));
    assert!(!is_trusted(&certificate, &trusted, NOW + LIFE + 1));
    assert!(!is_trusted(
        &certificate,
        &other.read("users", "authorities.pem"),
        NOW
    ));
    // A service's certificate signs nobody else's.
    let own = mesh.read("users", "certificate.pem");
    assert!(!is_trusted(&certificate, &own, NOW));
}

#[test]
fn keys_are_different_and_for_their_owner_only() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut keys = BTreeSet::new();
    for service in SERVICES {
        assert_eq!(mode(mesh.path(service, "key.pem")), 0o600);
        assert_eq!(mode(mesh.path(service, "..data")), 0o700);
        keys.insert(mesh.read(service, "key.pem"));
    }
    assert_eq!(keys.len(), SERVICES.len());
    assert_eq!(mode(mesh.ca.state.clone()), 0o700);
    let authority = mesh.authority(NOW).unwrap();
    assert_eq!(mode(authority.join("key.pem")), 0o600);
    assert_eq!(mode(authority), 0o700);
}
