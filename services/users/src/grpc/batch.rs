//! Several users in one call.

use std::collections::{HashMap, HashSet};

use chassis::auth::Caller;
use uuid::Uuid;

use crate::domain::{User, Violation};
use crate::error::Error;

/// Most ids in one call: all of the answer is in memory at once.
const IDS_MAX: usize = 100;

/// The ids of users whom the caller may see, each of them once, in the order asked for. What is not a UUID is nobody's.
///
/// # Errors
/// [`Error::Invalid`] for no id and for more than [`IDS_MAX`], repeated ones counted.
pub(super) fn visible(caller: &Caller, ids: &[String]) -> Result<Vec<Uuid>, Error> {
    if ids.is_empty() || ids.len() > IDS_MAX {
        return Err(Error::Invalid(vec![Violation {
            field: "user_ids",
            description: "must name 1 to 100 users",
        }]));
    }
    let mut seen = HashSet::new();
    let parsed = ids.iter().filter_map(|id| Uuid::try_parse(id).ok());
    Ok(parsed
        .filter(|id| caller.may_see(*id) && seen.insert(*id))
        .collect())
}

/// Those who were found, in the order of `ids`.
pub(super) fn in_order(ids: &[Uuid], found: Vec<User>) -> impl Iterator<Item = User> {
    let mut found: HashMap<Uuid, User> = found.into_iter().map(|user| (user.id, user)).collect();
    ids.iter().filter_map(move |id| found.remove(id))
}
