//! What is replaced, when, and that nobody notices.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use mesh::ca::Authorities;
use mesh::table::SERVICES;

use crate::authority::is_trusted;
use crate::{LIFE, Mesh, NOW, TRUST_FIRST};

#[test]
fn a_certificate_is_replaced_at_half_of_its_life() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    let (directory, key) = (mesh.current("orders"), mesh.read("orders", "key.pem"));
    mesh.pass(NOW + LIFE / 2 - 1);
    assert_eq!(mesh.current("orders"), directory);
    mesh.pass(NOW + LIFE / 2);
    assert_ne!(mesh.current("orders"), directory);
    assert_ne!(mesh.read("orders", "key.pem"), key);
    // Who has begun to read goes on with the old ones, until the next time.
    let old = mesh.path("orders", "").join(&directory).join("key.pem");
    assert_eq!(fs::read_to_string(&old).unwrap(), key);
    mesh.pass(NOW + LIFE);
    assert!(!old.exists());
}

#[test]
fn a_restart_goes_on_where_the_last_run_stopped() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    let before = mesh.current("orders");
    let again = Authorities::open(&mesh.ca.state).unwrap();
    mesh::ca::pass(&mesh.ca, &again, NOW + 1).unwrap();
    assert_eq!(mesh.current("orders"), before);
    // And what it issues later is of the same authority.
    mesh::ca::pass(&mesh.ca, &again, NOW + LIFE / 2).unwrap();
    let trusted = mesh.read("users", "authorities.pem");
    let certificate = mesh.read("orders", "certificate.pem");
    assert!(is_trusted(&certificate, &trusted, NOW + LIFE / 2));
}

#[test]
fn a_kill_in_the_middle_leaves_the_old_ones_and_stops_nothing() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    let key = mesh.read("orders", "key.pem");
    let (now, directory) = (NOW + LIFE / 2, mesh.path("orders", ""));
    fs::create_dir(directory.join(format!("..{now}.{LIFE}.{NOW}.{NOW}"))).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.join("..data.new")).unwrap();
    assert_eq!(mesh.read("orders", "key.pem"), key);
    mesh.pass(now);
    assert_ne!(mesh.read("orders", "key.pem"), key);
}

#[test]
fn readers_find_a_whole_set_at_any_moment() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    let over = AtomicBool::new(false);
    let (begun, has_begun) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        let (mesh, over) = (&mesh, &over);
        let reader = scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                for file in ["certificate.pem", "key.pem", "authorities.pem"] {
                    assert!(mesh.read("orders", file).ends_with("-----\n"), "{file}");
                }
                // Once is enough.
                let _ = begun.try_send(());
            }
        });
        has_begun.recv().expect("a reader");
        for round in 1..=8 {
            mesh.pass(NOW + round * LIFE / 2);
        }
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn an_authority_is_replaced_while_everybody_trusts_everybody() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    let added = NOW + 100;
    mesh.authorities.add(added, mesh.ca.authority_life).unwrap();
    let moments = [
        added,
        added + TRUST_FIRST - 1,
        added + TRUST_FIRST,
        added + LIFE,
        added + TRUST_FIRST + 2 * LIFE,
        added + TRUST_FIRST + 2 * LIFE + 1,
    ];
    for now in moments {
        // Sidecars read one after the other: what was there before the pass meets what is there after it.
        let before = sets(&mesh);
        mesh.pass(now);
        let after = sets(&mesh);
        for (one, another) in [(&before, &after), (&after, &before), (&after, &after)] {
            for (certificate, _) in one {
                // What has ended is replaced by then; here the passes are hours apart.
                let is_alive = is_trusted(certificate, &all_authorities(&before, &after), now);
                for (_, authorities) in another {
                    assert!(
                        !is_alive || is_trusted(certificate, authorities, now),
                        "at {now}"
                    );
                }
            }
        }
    }
    let trusted = mesh.read("users", "authorities.pem");
    assert_eq!(
        trusted.matches("BEGIN CERTIFICATE").count(),
        1,
        "the old one is gone"
    );
    assert_eq!(mesh.authority(NOW), None, "its key as well");
}

/// However long ago it was added: whoever tells the sidecars was away, or one of them could not be told.
#[test]
fn an_authority_signs_only_after_all_were_told_to_trust_it() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    let trusted = mesh.read("users", "authorities.pem");
    let is_of_the_old_one = |now| {
        let certificate = mesh.read("orders", "certificate.pem");
        is_trusted(&certificate, &trusted, now)
    };
    mesh.authorities
        .add(NOW + 1, mesh.ca.authority_life)
        .unwrap();

    let late = NOW + 10 * TRUST_FIRST;
    let [place, aside] = ["users", "aside"].map(|name| mesh.ca.certificates.join(name));
    fs::rename(&place, &aside).unwrap();
    fs::write(&place, "in the way").unwrap();
    for now in [late, late + 2 * TRUST_FIRST] {
        mesh::ca::pass(&mesh.ca, &mesh.authorities, now).unwrap_err();
        assert!(is_of_the_old_one(now), "users does not trust the new one");
    }

    fs::remove_file(&place).unwrap();
    fs::rename(&aside, &place).unwrap();
    let told = late + 3 * TRUST_FIRST;
    for now in [told, told + TRUST_FIRST - 1] {
        mesh.pass(now);
        assert!(is_of_the_old_one(now), "sidecars have not read it yet");
    }
    mesh.pass(told + TRUST_FIRST);
    assert!(!is_of_the_old_one(told + TRUST_FIRST));
}

/// The certificates of all services, and whom they trust.
fn sets(mesh: &Mesh) -> Vec<(String, String)> {
    let set = |service| {
        let certificate = mesh.read(service, "certificate.pem");
        (certificate, mesh.read(service, "authorities.pem"))
    };
    SERVICES.into_iter().map(set).collect()
}

fn all_authorities(one: &[(String, String)], another: &[(String, String)]) -> String {
    let all = one.iter().chain(another);
    all.map(|(_, authorities)| authorities.as_str()).collect()
}

#[test]
fn an_authority_is_replaced_at_half_of_its_life() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    let half = NOW + mesh.ca.authority_life.as_secs() / 2;
    mesh.pass(half - 1);
    let count = |mesh: &Mesh| {
        mesh.read("users", "authorities.pem")
            .matches("BEGIN")
            .count()
    };
    assert_eq!(count(&mesh), 1);
    mesh.pass(half);
    assert_eq!(count(&mesh), 2);
}
