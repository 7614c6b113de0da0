//! Orders and the rules for changing them. No I/O and no framework: ids, times and prices are arguments, and an invalid
//! value cannot be built ("parse, don't validate").

mod address;
mod basket;
mod change;
mod money;
mod order;
mod quantity;
mod status;

pub use address::{
    Address, AddressLine, AddressLineError, Country, CountryError, MAX_ADDRESS_LINE,
};
pub use basket::{Basket, Line, MAX_LINES, Priced, PricingError};
pub use change::Change;
pub use money::{Currency, CurrencyError, Money};
pub use order::{CannotCancel, MAX_SAGA_WAIT, MIN_SAGA_WAIT, Order};
pub use quantity::{MAX_QUANTITY, Quantity, QuantityError};
pub use status::{Refused, Status, Step};
