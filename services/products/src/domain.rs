//! Types and rules. No I/O and no framework, so that tests need neither a database nor a broker.

mod catalogue;
mod reservation;

pub use catalogue::{BadSearch, Price, Product, SEARCH_CHARS_MAX, Search};
pub use reservation::{
    BadLines, CANCELLED, Cancellation, Decision, LINES_MAX, Lines, NAMED_MAX, Reservation, Stock,
    cancel, decide, take,
};
