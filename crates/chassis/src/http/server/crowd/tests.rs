//! Crowds without a socket.

use std::net::{IpAddr, Ipv6Addr};

use super::*;

fn origin(last: u8) -> Option<Origin> {
    Some(Origin::from(IpAddr::from([10, 0, 0, last])))
}

#[tokio::test(start_paused = true)]
async fn the_idlest_of_its_own_address_makes_room() {
    let crowd = Crowd::new(2, 10);
    let other = crowd.enter(origin(1)).unwrap();
    let busy = crowd.enter(origin(2)).unwrap();
    let request = Open::begin(&crowd, &busy.connection);
    let silent = crowd.enter(origin(2)).unwrap();
    let third = crowd.enter(origin(2)).unwrap();
    assert!(silent.connection.seat.has_ended());
    for guest in [&other, &busy, &third] {
        assert!(!guest.connection.seat.has_ended());
    }
    let _second = Open::begin(&crowd, &third.connection);
    assert!(crowd.enter(origin(2)).is_none(), "all of them are busy");
    drop(request);
    assert!(crowd.enter(origin(2)).is_some());
    assert!(busy.connection.seat.has_ended());
    let exempt: Vec<_> = (0..5).map(|_| crowd.enter(None).unwrap()).collect();
    assert!(
        exempt
            .iter()
            .all(|guest| !guest.connection.seat.has_ended())
    );
}

#[tokio::test(start_paused = true)]
async fn the_address_with_the_most_makes_room_for_all() {
    let mut crowd = Crowd::new(10, 10);
    Arc::get_mut(&mut crowd).unwrap().begun -= Duration::from_secs(10);
    // Connections that had an answer and have been idle since the beginning.
    let enter = |origin| {
        let guest = crowd.enter(origin).unwrap();
        drop(Open::begin(&crowd, &guest.connection));
        guest.connection.idle_since_ms.store(0, Ordering::Relaxed);
        guest
    };
    let asks_on = crowd.enter(origin(4)).unwrap();
    drop(Open::begin(&crowd, &asks_on.connection));
    let neighbour = enter(origin(1));
    let (first, second) = (enter(origin(2)), enter(origin(2)));
    let inside: Vec<_> = (0..5).map(|_| enter(None)).collect();
    let new = crowd.enter(origin(3)).unwrap();
    let ended = |guest: &Guest| guest.connection.seat.has_ended();
    assert!(crowd.close_idlest());
    assert!(ended(&first) && !ended(&second) && !ended(&neighbour));
    assert!(crowd.close_idlest() && crowd.close_idlest());
    assert!(ended(&neighbour) && ended(&second) && !inside.iter().any(ended));
    assert!(crowd.close_idlest(), "who is exempt goes last");
    while crowd.close_idlest() {}
    assert!(!ended(&new), "it may be about to send its first request");
    assert!(!ended(&asks_on), "it may be about to send its next request");
}

#[tokio::test(start_paused = true)]
async fn who_waits_only_for_its_reader_makes_room_when_nobody_is_idle() {
    let crowd = Crowd::new(2, 10);
    let busy = crowd.enter(origin(1)).unwrap();
    let unread = crowd.enter(origin(1)).unwrap();
    let _both = [&busy, &unread].map(|guest| Open::begin(&crowd, &guest.connection));
    unread.connection.waiting.begin(1);
    assert!(!crowd.end_stalled(), "it has not waited for long");
    assert!(crowd.enter(origin(1)).is_none());
    unread.connection.waiting.began_before(STALLED);
    assert!(!crowd.close_idlest());
    assert!(crowd.enter(origin(1)).is_some());
    assert!(unread.connection.seat.has_ended() && unread.connection.is_at_rest());
    assert!(!busy.connection.seat.has_ended() && !busy.connection.is_at_rest());
    assert!(!crowd.end_stalled());
}

#[tokio::test(start_paused = true)]
async fn who_has_the_most_makes_room_whatever_it_keeps_waiting() {
    let crowd = Crowd::new(10, 10);
    let reads = crowd.enter(origin(1)).unwrap();
    let sends = [2; 3].map(|last| crowd.enter(origin(last)).unwrap());
    let all = sends.iter().chain([&reads]);
    let _open: Vec<_> = all
        .map(|guest| Open::begin(&crowd, &guest.connection))
        .collect();
    reads.connection.waiting.begin(1);
    reads.connection.waiting.began_before(STALLED);
    let seats = [(); 3].map(|()| Arc::new(Seat::default()));
    let _stalled: Vec<_> = seats
        .iter()
        .map(|seat| crowd.senders.join(origin(2), seat))
        .collect();
    tokio::time::advance(STALLED).await;
    for seat in &seats {
        assert!(crowd.end_stalled() && seat.has_ended());
        assert!(!reads.connection.seat.has_ended(), "it is the only one");
    }
    assert!(crowd.end_stalled() && reads.connection.seat.has_ended());
    assert!(!crowd.end_stalled());
}

/// Over HTTP/1.1 a request is finished for us when hyper has taken all of its answer, which its reader may not have.
#[tokio::test(start_paused = true)]
async fn whose_answer_is_still_being_written_is_not_idle() {
    let mut crowd = Crowd::new(2, 10);
    Arc::get_mut(&mut crowd).unwrap().begun -= Duration::from_secs(10);
    let reads = crowd.enter(origin(1)).unwrap();
    drop(Open::begin(&crowd, &reads.connection));
    reads.connection.idle_since_ms.store(0, Ordering::Relaxed);
    reads.connection.waiting.begin(1);
    assert!(!crowd.close_idlest() && !crowd.end_stalled());
    reads.connection.waiting.end(1);
    assert!(crowd.close_idlest());
}

/// One client with a whole site opens each connection from another /64: each of them has one, and a NAT has several.
#[tokio::test(start_paused = true)]
async fn a_site_is_one_client_however_many_networks_it_has() {
    let mut crowd = Crowd::new(10, 10);
    Arc::get_mut(&mut crowd).unwrap().begun -= Duration::from_secs(10);
    let enter = |origin| {
        let guest = crowd.enter(origin).unwrap();
        drop(Open::begin(&crowd, &guest.connection));
        guest.connection.idle_since_ms.store(0, Ordering::Relaxed);
        guest
    };
    let nat: Vec<_> = (0..3).map(|_| enter(origin(1))).collect();
    let site: Vec<_> = (0..5)
        .map(|n| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 1, n, 0, 0, 0, 1)))
        .map(|address| enter(Some(address.into())))
        .collect();
    let ended = |guests: &[Guest]| {
        let all = guests.iter().filter(|it| it.connection.seat.has_ended());
        all.count()
    };
    // Down to as many as the NAT has, and one of either after that.
    assert!(crowd.close_idlest() && crowd.close_idlest());
    assert_eq!((ended(&nat), ended(&site)), (0, 2));
    assert!(crowd.close_idlest() && crowd.close_idlest());
    assert_eq!(ended(&nat) + ended(&site), 4);
    assert!(ended(&nat) <= 1);
}

#[test]
fn who_never_sent_a_request_goes_first() {
    let connection = |spoke, since| Connection {
        origin: None,
        seat: Arc::default(),
        unfinished: AtomicUsize::new(0),
        handed: AtomicUsize::new(0),
        waiting: Waiting::default(),
        open: AtomicUsize::new(0),
        open_of_site: Arc::default(),
        spoke: AtomicBool::new(spoke),
        is_upgraded: AtomicBool::new(false),
        has_streams: AtomicBool::new(false),
        idle_since_ms: AtomicU64::new(since),
    };
    let worth = |spoke, since| connection(spoke, since).worth(10_000);
    assert!(worth(false, 8_000) < worth(true, 1_000));
    assert!(worth(true, 1_000) < worth(true, 2_000));
    // Their next requests may be about to arrive.
    assert!(worth(true, 8_000) < worth(false, 9_900));
    assert!(worth(false, 9_900) < worth(true, 9_950));
}

#[tokio::test]
async fn open_requests_of_an_address_are_bounded() {
    let crowd = Crowd::new(10, 2);
    let enter = |origin| crowd.enter(origin).unwrap();
    let guests = [enter(origin(1)), enter(origin(1))];
    let begin = |guest: &Guest| Open::begin(&crowd, &guest.connection);
    let held = [begin(&guests[0]), begin(&guests[1])];
    assert!(held[0].is_admitted().await && held[1].is_admitted().await);
    assert!(!begin(&guests[0]).is_admitted().await);
    assert!(begin(&enter(origin(2))).is_admitted().await);
    let seat = Arc::new(Seat::default());
    let _waits = crowd.senders.join(origin(1), &seat);
    assert!(begin(&guests[0]).is_admitted().await && seat.has_ended());
    let exempt = enter(None);
    let all: Vec<_> = (0..5).map(|_| begin(&exempt)).collect();
    for open in &all {
        assert!(open.is_admitted().await);
    }
}

#[tokio::test]
async fn open_requests_of_a_site_are_bounded_however_many_networks_it_has() {
    let crowd = Crowd::new(10, 2);
    let network = |n| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 1, n, 0, 0, 0, 1));
    let enter = |n| crowd.enter(Some(network(n).into())).unwrap();
    let guests = [enter(1), enter(2), enter(3)];
    let begin = |guest: &Guest| Open::begin(&crowd, &guest.connection);
    let held = [begin(&guests[0]), begin(&guests[1])];
    assert!(held[0].is_admitted().await && held[1].is_admitted().await);
    assert!(!begin(&guests[2]).is_admitted().await);
    let neighbour = crowd.enter(origin(1)).unwrap();
    assert!(begin(&neighbour).is_admitted().await);
    // Whoever is stalled at the site makes room.
    let seat = Arc::new(Seat::default());
    let _waits = crowd.senders.join(guests[0].connection.origin, &seat);
    assert!(begin(&guests[2]).is_admitted().await && seat.has_ended());
    // Counters go with the sites.
    drop((held, guests, neighbour));
    for n in 0..1_000 {
        let address = Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, 1);
        drop(crowd.enter(Some(IpAddr::from(address).into())));
    }
    assert!(crowd.roster().open.len() <= SPARE + 3);
}
