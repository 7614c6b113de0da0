//! Types and rules. No I/O and no framework, so that tests need neither a database nor a broker.

mod catalogue;
mod escrow;
mod reservation;

pub use catalogue::{BadSearch, Price, Product, SEARCH_CHARS_MAX, Search};
pub use escrow::{
    Escrow, LANES, Moves, PORTION_MAX, Pieces, drawable, pieces, sell, sell_from_lane, short, whole,
};
pub use reservation::{
    BadLines, CANCELLED, Cancellation, Decision, LINES_MAX, Lines, NAMED_MAX, Reservation, Stock,
    cancel, decide, decide_all,
};
