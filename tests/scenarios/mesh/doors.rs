//! Who is let in: the table of who may call whom, and nobody else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mesh::ca::{Authority, Life};
use mesh::table::{DOORS, Door, Protocol, SERVICES, identity, is_allowed};
use scenarios::compose::Compose;
use scenarios::peer::{self, Papers};

use super::asking::{PATH, ask, at, authority, doors, now, papers, runtime};

/// How long somebody in clear text waits for an answer.
const CLEAR_MAX: Duration = Duration::from_secs(5);
const HOUR: u64 = 3_600;
/// Requests that are given up: more than the 500 of which Envoy ends a connection by default, and fewer than the 1,000 after which its
/// HTTP/2 codec says GOAWAY. A sidecar heeds that and loses nothing; the client of this test sends one request more.
const CANCELLED: usize = 700;

/// Every service at every door of every instance: exactly what the table says passes.
pub(crate) fn exactly_the_table_passes(compose: &mut Compose) {
    let doors = doors(compose);
    let mut wrong = Vec::new();
    for caller in SERVICES {
        // Right before they are shown: they are good for half a minute more, in which a busy machine may not come to all callers.
        let papers = papers(compose, caller);
        runtime().block_on(async {
            for &(door, at) in &doors {
                let heard = ask(at, door, &papers).await.expect("an answer");
                let is_right = if is_allowed(caller, door) {
                    heard.is_a_services()
                } else {
                    heard.is_forbidden()
                };
                if !is_right {
                    wrong.push(format!("{caller} at {door:?}: {heard:?}"));
                }
            }
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Those who cannot say who they are do not get as far as a request.
pub(crate) fn strangers_are_refused(compose: &mut Compose) {
    let doors = doors(compose);
    let gateways = papers(compose, "gateway");
    let own = authority(compose);
    let (stranger, _) = Authority::make(now(), Life::starting(now(), Duration::from_secs(HOUR)))
        .expect("an authority");
    let alive = Life::starting(now(), Duration::from_secs(HOUR));
    let over = Life {
        from: now() - 2 * HOUR,
        until: now() - HOUR,
    };
    let with = |authority: &Authority, name: &str, life| {
        let issued = authority.issue(name, &["gateway".to_owned()], life);
        let issued = issued.expect("a certificate");
        Papers {
            own: Some((issued.certificate, issued.key)),
            authorities: gateways.authorities.clone(),
        }
    };
    let gateway = identity("gateway");
    // What is forged is good but for the one thing that is wrong with it.
    let good = with(&own, &gateway, alive);
    let refused = [
        (
            "without a certificate",
            Papers {
                own: None,
                ..good.clone()
            },
        ),
        ("of another authority", with(&stranger, &gateway, alive)),
        ("expired", with(&own, &gateway, over)),
        (
            "of another system",
            with(&own, "spiffe://elsewhere/gateway", alive),
        ),
        (
            "that calls itself another name in front",
            with(&own, "spiffe://agora.evil/gateway", alive),
        ),
    ];
    runtime().block_on(async {
        for (door, at) in doors {
            for (what, papers) in &refused {
                let heard = ask(at, door, papers).await;
                assert!(heard.is_err(), "{what} at {door:?}: {heard:?}");
            }
            let is_allowed = is_allowed("gateway", door);
            let heard = ask(at, door, &good).await.expect("an answer");
            assert_eq!(heard.is_a_services(), is_allowed, "{door:?}: {heard:?}");
        }
    });
}

/// Who comes again is asked for a certificate again, and so is refused when it is over.
pub(crate) fn no_session_is_resumed(compose: &mut Compose) {
    let (gateways, door) = (papers(compose, "gateway"), door_of_orders());
    let asked = peer::is_resumed(at(compose, door), door.service, &gateways, PATH);
    let is_resumed = runtime().block_on(asked).expect("an answer");
    assert!(!is_resumed, "{door:?}");
}

/// Customers who go away are cancelled on the one connection between two sidecars, and end no request of others.
pub(crate) fn who_gives_up_ends_no_connection(compose: &mut Compose) {
    let (gateways, door) = (papers(compose, "gateway"), door_of_orders());
    let at = at(compose, door);
    let asked = peer::get_after_cancelled(at, door.service, &gateways, PATH, CANCELLED);
    let heard = runtime().block_on(asked).expect("an answer");
    assert!(heard.is_a_services(), "{heard:?}");
}

/// One that the gateway may use. All have the same of what is asked here.
fn door_of_orders() -> Door {
    let is_it = |door: &Door| door.service == "orders" && door.protocol == Protocol::Rest;
    DOORS.into_iter().find(is_it).expect("a door")
}

/// In clear text there is no answer at a sidecar, and nobody at the service's own port.
pub(crate) fn clear_text_is_refused(compose: &mut Compose) {
    for (door, at) in doors(compose) {
        let own = TcpStream::connect_timeout(&SocketAddr::new(at.ip(), door.port), CLEAR_MAX);
        assert!(own.is_err(), "{door:?} listens on the network");
        assert_eq!(in_clear(at, door), "", "{door:?}");
    }
}

/// What is answered to a request in clear.
fn in_clear(at: SocketAddr, door: Door) -> String {
    let mut stream = TcpStream::connect_timeout(&at, CLEAR_MAX).expect("a connection");
    stream.set_read_timeout(Some(CLEAR_MAX)).expect("a limit");
    let request = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n", door.service);
    stream.write_all(request.as_bytes()).expect("to write");
    let mut answer = Vec::new();
    // A reset is an end as well; what was said before it counts.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // An alert of TLS is no answer.
    if answer.contains("HTTP") {
        answer
    } else {
        String::new()
    }
}
