//! Types and rules. No I/O, no framework: nothing here needs a database or a broker to be tested.

mod catalogue;
mod reservation;

pub use catalogue::{BadSearch, Price, Product, SEARCH_CHARS_MAX, Search};
pub use reservation::{
    BadLines, CANCELLED, Cancellation, Decision, LINES_MAX, Lines, NAMED_MAX, Reservation, Stock,
    cancel, decide, take,
};
