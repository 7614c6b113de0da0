//! Goods of the seed, by name: see `seed.sql`.

use uuid::Uuid;

/// The seed numbers its goods 01, 02 and so on, read as hexadecimal digits here.
const fn good(number: u128) -> Uuid {
    Uuid::from_u128(0x019a_0000_0000_7000_8000_0000_0000_0000 + number)
}

/// 240 of them.
pub(crate) const KETTLE: Uuid = good(0x01);
/// 180 of them.
pub(crate) const BOARD: Uuid = good(0x02);
/// 320 of them.
pub(crate) const PAN: Uuid = good(0x03);
/// 3 of them.
pub(crate) const RADIO: Uuid = good(0x22);
/// 3 of them.
pub(crate) const PRESS: Uuid = good(0x23);
/// How many there are on the shelf of a new shop.
pub(crate) const SORTS: usize = 24;
