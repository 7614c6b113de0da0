use proptest::prelude::*;

use super::*;

fn id(n: u8) -> Uuid {
    Uuid::from_u128(u128::from(n))
}

fn stock(n: u8, name: &str, available: i64) -> Stock {
    Stock {
        product_id: id(n),
        name: name.to_owned(),
        available,
    }
}

fn rejected(lines: &[(u8, u32)], stock: &[Stock]) -> String {
    let lines = Lines::parse(lines.iter().map(|&(n, q)| (id(n), q))).unwrap();
    match decide(&lines, stock) {
        Decision::Reserved => panic!("it was reserved"),
        Decision::Rejected { reason } => reason,
    }
}

#[test]
fn a_rejection_names_the_product_and_what_is_left() {
    let shelf = [
        stock(1, "Copper Kettle", 2),
        stock(2, "Oak Stool", 0),
        stock(3, "Wool Throw", 9),
    ];
    assert_eq!(rejected(&[(1, 3)], &shelf), "only 2 of Copper Kettle left");
    assert_eq!(rejected(&[(2, 1), (3, 9)], &shelf), "Oak Stool is sold out");
    assert_eq!(
        rejected(&[(1, 3), (2, 1), (3, 1)], &shelf),
        "only 2 of Copper Kettle left; Oak Stool is sold out"
    );
    let unknown = format!("product {} is not in the catalogue", id(9));
    assert_eq!(rejected(&[(9, 1)], &shelf), unknown);
}

#[test]
fn a_rejection_stays_short() {
    let shelf: Vec<_> = (0..20).map(|n| stock(n, "Copper Kettle", 0)).collect();
    let lines: Vec<_> = (0..20).map(|n| (n, 1)).collect();
    let reason = rejected(&lines, &shelf);
    assert_eq!(reason.matches("Copper Kettle").count(), NAMED_MAX);
    assert!(
        reason.ends_with("; and 15 more products are short"),
        "{reason}"
    );
}

#[test]
fn lines_of_one_product_count_together() {
    // Neither line alone asks for too much; both together do.
    assert_eq!(
        rejected(&[(1, 2), (1, 2)], &[stock(1, "Copper Kettle", 3)]),
        "only 3 of Copper Kettle left"
    );
}

#[test]
fn an_order_without_pieces_is_no_order() {
    assert_eq!(Lines::parse([]), Err(BadLines::Empty));
    assert_eq!(
        Lines::parse([(id(1), 1), (id(2), 0)]),
        Err(BadLines::Zero(id(2)))
    );
    let many = (0..=LINES_MAX).map(|_| (id(1), 1));
    assert_eq!(Lines::parse(many), Err(BadLines::TooMany));
}

/// An order and a stock, with products in both or in only one of them.
fn shop() -> impl Strategy<Value = (Vec<(Uuid, u32)>, Vec<Stock>)> {
    let asked = prop::collection::vec((0_u8..12, 1_u32..8), 1..20);
    let shelf = prop::collection::btree_map(0_u8..10, 0_i64..24, 0..10);
    (asked, shelf).prop_map(|(asked, shelf)| {
        let asked = asked
            .into_iter()
            .map(|(n, quantity)| (id(n), quantity))
            .collect();
        let shelf = shelf
            .into_iter()
            .map(|(n, left)| stock(n, &format!("Good {n}"), left))
            .collect();
        (asked, shelf)
    })
}

proptest! {
    /// Reserved if and only if the stock of every product stays at zero or more.
    #[test]
    fn a_decision_is_right((asked, shelf) in shop()) {
        let lines = Lines::parse(asked.iter().copied()).unwrap();
        let mut left: BTreeMap<Uuid, i64> = shelf.iter().map(|s| (s.product_id, s.available)).collect();
        let mut enough = true;
        for (product, quantity) in &asked {
            let left = left.entry(*product).or_insert(0);
            *left -= i64::from(*quantity);
            enough &= *left >= 0;
        }
        match decide(&lines, &shelf) {
            Decision::Reserved => prop_assert!(enough),
            Decision::Rejected { reason } => {
                prop_assert!(!enough);
                prop_assert!(!reason.is_empty());
            }
        }
    }

    /// Neither the order of the lines nor the order of the rows changes the answer.
    #[test]
    fn a_decision_does_not_depend_on_order((mut asked, mut shelf) in shop()) {
        let first = decide(&Lines::parse(asked.iter().copied()).unwrap(), &shelf);
        asked.reverse();
        shelf.reverse();
        prop_assert_eq!(first, decide(&Lines::parse(asked).unwrap(), &shelf));
    }

    /// Lines come out merged, positive, and in the order in which rows are locked.
    #[test]
    fn lines_are_sorted_and_add_up((asked, _) in shop()) {
        let lines: Vec<_> = Lines::parse(asked.iter().copied()).unwrap().iter().collect();
        prop_assert!(lines.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert!(lines.iter().all(|(_, quantity)| *quantity > 0));
        let sum: i64 = asked.iter().map(|(_, quantity)| i64::from(*quantity)).sum();
        prop_assert_eq!(lines.iter().map(|(_, quantity)| quantity).sum::<i64>(), sum);
    }

    /// For any events in any order and repetition: the reserved pieces are those missing from the stock, an order is
    /// decided once, and a cancelled order holds nothing in the end.
    #[test]
    fn stock_adds_up(events in prop::collection::vec((any::<bool>(), 0_usize..6), 0..60)) {
        const PIECES: i64 = 7;
        let mut left = PIECES;
        let mut known: [Option<Reservation>; 6] = Default::default();
        let mut cancelled = [false; 6];
        for (placed, order) in events {
            let quantity = 1 + order as i64;
            if placed {
                if let Some(reservation) = known[order].clone() {
                    let reserved = reservation == Reservation::Reserved;
                    prop_assert_eq!(reservation.answer() == Decision::Reserved, reserved);
                    continue;
                }
                let lines = Lines::parse([(id(1), quantity as u32)]).unwrap();
                let decision = decide(&lines, &[stock(1, "Copper Kettle", left)]);
                left -= if decision == Decision::Reserved { quantity } else { 0 };
                known[order] = Some(decision.into());
            } else {
                cancelled[order] = true;
                match cancel(known[order].as_ref()) {
                    Cancellation::Nothing => {}
                    Cancellation::Remember => known[order] = Some(Reservation::Released),
                    Cancellation::Release => {
                        left += quantity;
                        known[order] = Some(Reservation::Released);
                    }
                }
            }
            let held: i64 = (0_i64..).zip(&known)
                .map(|(order, known)| if *known == Some(Reservation::Reserved) { 1 + order } else { 0 })
                .sum();
            prop_assert!(left >= 0);
            prop_assert_eq!(left + held, PIECES);
        }
        for (known, cancelled) in known.iter().zip(cancelled) {
            prop_assert!(!(cancelled && *known == Some(Reservation::Reserved)));
        }
    }
}
