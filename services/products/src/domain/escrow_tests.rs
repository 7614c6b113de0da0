use proptest::prelude::*;

use super::*;
use crate::domain::{Decision, decide_all};

const OWN: i16 = 2;

fn id(n: u8) -> Uuid {
    Uuid::from_u128(u128::from(n))
}

fn shelf(n: u8, available: i64) -> Stock {
    Stock {
        product_id: id(n),
        name: format!("Good {n}"),
        available,
    }
}

fn escrow(n: u8, lane: i16, available: i64) -> Escrow {
    Escrow {
        product_id: id(n),
        lane,
        available,
    }
}

fn sold(pieces: &[(u8, i64)]) -> Pieces {
    pieces.iter().map(|&(n, sold)| (id(n), sold)).collect()
}

#[test]
fn a_lane_sells_all_or_nothing() {
    let lane = [escrow(1, OWN, 5), escrow(2, OWN, 1)];
    let moves = sell_from_lane(&sold(&[(1, 5), (2, 1)]), &lane).expect("it holds enough");
    assert_eq!(moves.escrows, [escrow(1, OWN, 0), escrow(2, OWN, 0)]);
    assert!(moves.shelves.is_empty());
    assert_eq!(sell_from_lane(&sold(&[(1, 1), (2, 2)]), &lane), None);
    assert_eq!(sell_from_lane(&sold(&[(1, 1), (3, 1)]), &lane), None);
}

#[test]
fn a_full_shelf_sells_and_fills_the_lane_up() {
    let moves = sell(
        &sold(&[(1, 200)]),
        &[shelf(1, 1_000)],
        &[escrow(1, OWN, 20)],
        Some(OWN),
    );
    // 800 are left: 50 for each lane, 20 of which are there.
    assert_eq!(moves.shelves, [(id(1), -230)]);
    assert_eq!(moves.escrows, [escrow(1, OWN, 50)]);
    // Nobody draws without a lane, nor more than a lane is for.
    let moves = sell(&sold(&[(1, 200)]), &[shelf(1, 1_000)], &[], None);
    assert_eq!(
        (moves.shelves, moves.escrows),
        (vec![(id(1), -200)], vec![])
    );
    let moves = sell(&sold(&[(1, 1)]), &[shelf(1, 1_000_000)], &[], Some(OWN));
    assert_eq!(moves.escrows, [escrow(1, OWN, PORTION_MAX)]);
}

#[test]
fn a_few_pieces_stay_on_the_shelf() {
    let few = i64::from(LANES);
    assert_eq!(drawable(&[shelf(1, few - 1), shelf(2, few)]), [id(2)]);
    let moves = sell(&sold(&[(1, 1)]), &[shelf(1, few)], &[], Some(OWN));
    assert_eq!((moves.shelves, moves.escrows), (vec![(id(1), -1)], vec![]));
}

#[test]
fn a_short_shelf_gathers_what_lanes_hold() {
    let held = [escrow(1, 0, 2), escrow(1, OWN, 3), escrow(1, 7, 4)];
    assert_eq!(
        short(&sold(&[(1, 6), (2, 6)]), &[shelf(1, 5), shelf(2, 6)]),
        [id(1)]
    );
    assert_eq!(whole(&[shelf(1, 5)], &held)[0].available, 14);
    let moves = sell(&sold(&[(1, 6)]), &[shelf(1, 5)], &held, Some(OWN));
    let nothing_left = [escrow(1, 0, 0), escrow(1, 7, 0), escrow(1, OWN, 0)];
    assert_eq!(
        (&moves.shelves[..], &moves.escrows[..]),
        (&[(id(1), 3)][..], &nothing_left[..])
    );
    // To the last piece.
    let moves = sell(&sold(&[(1, 14)]), &[shelf(1, 5)], &held, None);
    assert_eq!(moves.shelves, [(id(1), -5)]);
    assert!(moves.escrows.iter().all(|escrow| escrow.available == 0));
}

/// Shelves, escrows and what some orders want, of the same few goods.
fn shop() -> impl Strategy<Value = (Vec<Stock>, Vec<Escrow>, Vec<Lines>)> {
    let shelves = prop::collection::btree_map(0_u8..5, 0_i64..80, 0..5);
    let escrows = prop::collection::btree_map((0_u8..5, 0_i16..4), 0_i64..12, 0..12);
    // Often as few as one lane holds.
    let quantity = prop_oneof![1_u32..4, 1_u32..30];
    let order = prop::collection::vec((0_u8..6, quantity), 1..5);
    (shelves, escrows, prop::collection::vec(order, 1..6)).prop_map(|(shelves, escrows, orders)| {
        let shelves: Vec<_> = shelves
            .into_iter()
            .map(|(n, left)| shelf(n, left))
            .collect();
        let on_shelf = |n| shelves.iter().any(|shelf| shelf.product_id == id(n));
        let escrows = escrows
            .into_iter()
            .filter(|((n, _), _)| on_shelf(*n))
            .map(|((n, lane), held)| escrow(n, lane, held))
            .collect();
        let lines = |order: Vec<(u8, u32)>| {
            Lines::parse(order.into_iter().map(|(n, quantity)| (id(n), quantity))).unwrap()
        };
        (shelves, escrows, orders.into_iter().map(lines).collect())
    })
}

/// What orders that were reserved hold.
fn reserved(orders: &[Lines], decisions: &[Decision]) -> Pieces {
    let all = orders.iter().zip(decisions);
    pieces(
        all.filter(|(_, d)| **d == Decision::Reserved)
            .map(|(lines, _)| lines),
    )
}

/// What is on the shelves and in the escrows after moves. No number is negative.
fn after(shelves: &[Stock], escrows: &[Escrow], moves: &Moves) -> (Vec<Stock>, Vec<Escrow>) {
    let mut shelves = shelves.to_vec();
    for (product_id, change) in &moves.shelves {
        let shelf = shelves.iter_mut().find(|s| s.product_id == *product_id);
        shelf.expect("a shelf").available += change;
    }
    let place = |escrow: &Escrow| (escrow.product_id, escrow.lane);
    let mut all: BTreeMap<_, _> = escrows.iter().map(|e| (place(e), *e)).collect();
    all.extend(moves.escrows.iter().map(|e| (place(e), *e)));
    let escrows: Vec<_> = all.into_values().collect();
    assert!(
        shelves.iter().all(|shelf| shelf.available >= 0),
        "{shelves:?}"
    );
    assert!(
        escrows.iter().all(|escrow| escrow.available >= 0),
        "{escrows:?}"
    );
    (shelves, escrows)
}

proptest! {
    /// Orders are decided as if all pieces of a product were one number, with the same reasons; no piece appears or
    /// vanishes; and a lane holds no more than it is for, unless it did before.
    #[test]
    fn shelves_decide_as_if_there_were_one_number(
        (shelves, escrows, orders) in shop(),
        own in prop::option::of(Just(OWN)),
    ) {
        let wanted = pieces(&orders);
        let (short, drawable) = (short(&wanted, &shelves), drawable(&shelves));
        let is_locked = |e: &&Escrow| short.contains(&e.product_id)
            || Some(e.lane) == own && drawable.contains(&e.product_id);
        let locked: Vec<_> = escrows.iter().filter(is_locked).copied().collect();
        let decisions = decide_all(&orders, whole(&shelves, &locked));
        prop_assert_eq!(&decisions, &decide_all(&orders, whole(&shelves, &escrows)));

        let sold = reserved(&orders, &decisions);
        let moves = sell(&sold, &shelves, &locked, own);
        let (shelves_after, escrows_after) = after(&shelves, &escrows, &moves);
        let now = whole(&shelves_after, &escrows_after);
        for (before, now) in whole(&shelves, &escrows).iter().zip(now) {
            let sold = sold.get(&now.product_id).copied().unwrap_or(0);
            prop_assert_eq!(now.available + sold, before.available);
        }
        for changed in &moves.escrows {
            prop_assert!(changed.available <= PORTION_MAX);
            prop_assert!(changed.available == 0 || Some(changed.lane) == own);
        }
    }

    /// A lane that serves all orders of a batch decides as the shelves would, and no piece appears or vanishes.
    #[test]
    fn a_lane_decides_as_the_shelves_would((shelves, escrows, orders) in shop()) {
        let lane: Vec<_> = escrows.iter().filter(|e| e.lane == OWN).copied().collect();
        let wanted = pieces(&orders);
        let Some(moves) = sell_from_lane(&wanted, &lane) else {
            let held = |id| lane.iter().find(|e| e.product_id == id).map_or(0, |e| e.available);
            prop_assert!(wanted.iter().any(|(id, wanted)| held(*id) < *wanted));
            return Ok(());
        };
        let decisions = decide_all(&orders, whole(&shelves, &escrows));
        prop_assert!(decisions.iter().all(|decision| *decision == Decision::Reserved));
        let (shelves_after, escrows_after) = after(&shelves, &escrows, &moves);
        let now = whole(&shelves_after, &escrows_after);
        for (before, now) in whole(&shelves, &escrows).iter().zip(now) {
            let sold = wanted.get(&now.product_id).copied().unwrap_or(0);
            prop_assert_eq!(now.available + sold, before.available);
        }
    }
}
