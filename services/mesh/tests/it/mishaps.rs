//! What killed processes leave, clocks that jump, settings that change, and what others have put where files belong.

use std::fs;
use std::time::Duration;

use mesh::ca::{Credentials, pass};
use mesh::table::SERVICES;

use crate::authority::is_trusted;
use crate::{LIFE, Mesh, NOW, TRUST_FIRST};

/// The names of what is in the directory of the authorities, in order.
fn kept(mesh: &Mesh) -> Vec<String> {
    let entries = fs::read_dir(&mesh.ca.state).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Whether each service accepts each other one's certificate at this moment.
fn all_trust_all(mesh: &Mesh, now: u64) -> bool {
    SERVICES.into_iter().all(|one| {
        let certificate = mesh.read(one, "certificate.pem");
        SERVICES
            .into_iter()
            .all(|other| is_trusted(&certificate, &mesh.read(other, "authorities.pem"), now))
    })
}

#[test]
fn what_a_kill_has_left_unfinished_is_removed_and_nothing_else() {
    let mesh = Mesh::new();
    let old = format!("{}-{}.7.new", NOW - 61, NOW + LIFE);
    let under_way = format!("{}-{}.8.new", NOW - 60, NOW + LIFE);
    let foreign = ["backup.new", "1-2.x.new", "notes"].map(str::to_owned);
    for name in foreign.iter().chain([&old, &under_way]) {
        fs::create_dir(mesh.ca.state.join(name)).unwrap();
    }
    fs::write(mesh.ca.state.join(&old).join("key.pem"), "half a k").unwrap();
    mesh.authorities.remove_unfinished(NOW).unwrap();
    let mut left = Vec::from(foreign);
    left.push(under_way);
    left.sort();
    assert_eq!(kept(&mesh), left);
}

#[test]
fn an_authority_that_has_ended_signs_no_more_and_the_new_one_at_once() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    let later = NOW + mesh.ca.authority_life.as_secs();
    mesh.pass(later);
    assert!(all_trust_all(&mesh, later));
    let trusted = mesh.read("users", "authorities.pem");
    assert_eq!(trusted.matches("BEGIN").count(), 1);
    assert_eq!(mesh.authority(NOW), None, "its key is of no use");
}

#[test]
fn a_clock_that_was_set_back_finds_certificates_that_have_begun() {
    let mesh = Mesh::new();
    // Ahead, and then right.
    for ahead in [LIFE / 4, 365 * 24 * LIFE] {
        mesh.pass(NOW + ahead);
        mesh.pass(NOW);
        assert!(all_trust_all(&mesh, NOW), "{ahead} s ahead");
        // Nobody accepts what is signed by one that has not begun.
        assert!(mesh.authority(NOW).is_some(), "{ahead} s ahead");
    }
    // A minute is what clocks may be apart anyway.
    let before = mesh.current("orders");
    mesh.pass(NOW - 60);
    assert_eq!(mesh.current("orders"), before);
}

#[test]
fn lives_that_were_changed_hold_for_what_is_made_from_then_on() {
    let mut mesh = Mesh::new();
    mesh.pass(NOW);
    let orders = Credentials::at(&mesh.path("orders", ""));
    let authority_life = mesh.ca.authority_life.as_secs();
    mesh.ca.life = Duration::from_secs(24 * LIFE);
    mesh.ca.authority_life = Duration::from_secs(4 * authority_life);
    // By the life of today it would be good.
    assert!(orders.are_good(NOW + LIFE - 1) && !orders.are_good(NOW + LIFE));
    let before = mesh.current("orders");
    mesh.pass(NOW + 1);
    assert_ne!(mesh.current("orders"), before);
    assert!(orders.are_good(NOW + 24 * LIFE));
    // The authority ends when it says, so another one is added in time.
    mesh.pass(NOW + authority_life / 2);
    assert!(mesh.authority(NOW + authority_life / 2).is_some());
}

#[test]
fn one_service_that_cannot_be_written_keeps_no_other_from_its_certificate() {
    let mesh = Mesh::new();
    let first = mesh.path(SERVICES[0], "");
    fs::write(mesh.ca.certificates.join(SERVICES[0]), "in the way").unwrap();
    let told = pass(&mesh.ca, &mesh.authorities, NOW).unwrap_err();
    let place = mesh.ca.certificates.join(SERVICES[0]);
    assert!(told.to_string().contains(place.to_str().unwrap()), "{told}");
    for service in &SERVICES[1..] {
        assert!(Credentials::at(&mesh.path(service, "")).are_good(NOW));
    }
    assert!(!Credentials::at(&first).are_good(NOW));
}

#[test]
fn an_authority_that_cannot_be_added_leaves_nothing_and_the_old_one_signs_on() {
    let mesh = Mesh::new();
    mesh.pass(NOW);
    let authority_life = mesh.ca.authority_life.as_secs();
    let half = NOW + authority_life / 2;
    let in_the_way = mesh
        .ca
        .state
        .join(format!("{half}-{}", half + authority_life));
    fs::write(&in_the_way, "no directory").unwrap();
    let before = mesh.current("orders");
    let told = pass(&mesh.ca, &mesh.authorities, half).unwrap_err();
    assert!(
        told.to_string().contains(in_the_way.to_str().unwrap()),
        "{told}"
    );
    assert_ne!(mesh.current("orders"), before);
    assert!(all_trust_all(&mesh, half));
    assert_eq!(kept(&mesh).len(), 2, "{:?}", kept(&mesh));
    // A second later it is another name.
    mesh.pass(half + 1);
    mesh.pass(half + 1 + TRUST_FIRST);
    assert!(mesh.authority(half + 1).is_some());
}

#[test]
fn files_of_somebody_else_stay_but_where_links_belong() {
    let mesh = Mesh::new();
    let directory = mesh.path("orders", "");
    fs::create_dir_all(directory.join("private")).unwrap();
    fs::create_dir(directory.join("..cache")).unwrap();
    fs::write(directory.join("key.pem"), "a key of long ago").unwrap();
    mesh.pass(NOW);
    mesh.pass(NOW + LIFE / 2);
    assert!(mesh.read("orders", "key.pem").starts_with("-----BEGIN"));
    assert!(directory.join("private").is_dir() && directory.join("..cache").is_dir());
    // What was taken away is put back.
    fs::remove_file(directory.join("certificate.pem")).unwrap();
    mesh.pass(NOW + LIFE / 2 + 1);
    assert!(mesh.read("orders", "certificate.pem").ends_with("-----\n"));
}

#[test]
fn an_authority_that_cannot_be_read_is_named() {
    for (file, content) in [("certificate.pem", ""), ("key.pem", "no key")] {
        let mesh = Mesh::new();
        mesh.pass(NOW);
        let authority = mesh.authority(NOW).unwrap();
        fs::write(authority.join(file), content).unwrap();
        let told = pass(&mesh.ca, &mesh.authorities, NOW + 1).unwrap_err();
        let told = told.to_string();
        assert!(told.contains(authority.to_str().unwrap()), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
