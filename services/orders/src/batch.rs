//! The parameters of requests for several orders, or for the orders of several users.

use std::collections::HashSet;

use chassis::page::PageSize;
use uuid::Uuid;

use crate::error::Error;

/// The most orders in one request by ids. With fifty lines each they have some 650 kB, which every client accepts.
pub(crate) const IDS_MAX: usize = 100;
/// The most users in one request.
pub(crate) const USERS_MAX: usize = 100;
/// The most orders in one answer, which is held in memory. With fifty lines in each order it has about 6 MB, which
/// `contracts::clients::Orders::of_users` accepts.
pub(crate) const ORDERS_MAX: usize = 1000;

/// 1 to [`USERS_MAX`] different users, whose pages together have at most [`ORDERS_MAX`] orders.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UserIds(Vec<Uuid>);

impl UserIds {
    /// Parses ids separated by commas, for pages of this size.
    ///
    /// # Errors
    /// [`Error::Batch`] if the text is not a list of ids, or requests more than the limits allow.
    pub(crate) fn parse(text: &str, size: PageSize) -> Result<Self, Error> {
        let ids = distinct(text, USERS_MAX, "ids may name at most 100 users")?;
        if ids.len() * size.get() as usize > ORDERS_MAX {
            return Err(Error::Batch(
                "users times page_size may be at most 1000: ask for less at a time",
            ));
        }
        Ok(Self(ids))
    }

    pub(crate) fn into_vec(self) -> Vec<Uuid> {
        self.0
    }
}

/// Orders, each of them once, 1 to [`IDS_MAX`], from ids with commas between them.
///
/// # Errors
/// [`Error::Batch`] if the text is not a list of ids, or requests more than the limits allow.
pub(crate) fn order_ids(text: &str) -> Result<Vec<Uuid>, Error> {
    distinct(text, IDS_MAX, "ids may name at most 100 orders")
}

/// The ids in a text, each of them once.
fn distinct(text: &str, most: usize, too_many: &'static str) -> Result<Vec<Uuid>, Error> {
    let parsed = text.split(',').take(most + 1).map(Uuid::try_parse);
    let mut ids: Vec<Uuid> = parsed
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Batch("ids must be UUIDs, separated by commas"))?;
    // Checked before duplicates are removed, since ids behind the limit were not read.
    if ids.len() > most {
        return Err(Error::Batch(too_many));
    }
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}

/// Parses the id of the order after which a page begins.
///
/// # Errors
/// [`Error::Batch`] if the text is not an id.
pub(crate) fn order_id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::Batch("before must be the id of an order"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_left_out_behind_duplicates() {
        let size = PageSize::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let list = |times| format!("{}{other}", format!("{one},").repeat(times));
        let ids = UserIds::parse(&list(USERS_MAX - 1), size).unwrap();
        assert_eq!(ids.into_vec(), [one, other]);
        UserIds::parse(&list(USERS_MAX), size).unwrap_err();
    }
}
