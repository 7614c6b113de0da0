//! Automatic persisted queries: a client sends the hash of a query, and the query itself only if this gateway does not know it.
//!
//! The protocol is Apollo's: `extensions.persistedQuery` with `version: 1` and `sha256Hash`. An unknown one is answered with
//! `PersistedQueryNotFound`, upon which the client sends both.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chassis::problem::Problem;
use contracts::problems;
use http::StatusCode;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::refusal::Refusal;
use crate::limits::client::Client;

/// Most queries that are kept. With the longest that there can be, 8 MiB.
const QUERIES_MAX: usize = 256;

type Hash = [u8; 32];

/// The queries that are known by their hash. Anybody can add one. When there are too many, the oldest goes of those that the
/// client with the most has added: whoever makes queries up pushes out their own.
#[derive(Default)]
pub(super) struct Persisted(Mutex<Known>);

#[derive(Default)]
struct Known {
    queries: HashMap<Hash, Arc<str>>,
    /// With who added each of them; oldest first.
    order: VecDeque<(Hash, Client)>,
}

impl Persisted {
    /// The query of a request.
    ///
    /// # Errors
    /// If the hash is unknown and the query is missing, or the hash is not that of the query.
    pub(super) fn resolve(&self, query: Option<String>, hash: &str) -> Result<Arc<str>, Refusal> {
        let hash =
            parse(hash).ok_or_else(|| Refusal::new("sha256Hash must be 64 hexadecimal digits"))?;
        match query {
            Some(query) if Hash::from(Sha256::digest(&query)) == hash => Ok(query.into()),
            Some(_) => Err(Refusal::new("sha256Hash is not that of the query")),
            None => {
                let known = self.0.lock().queries.get(&hash).cloned();
                known.ok_or_else(|| unknown().into())
            }
        }
    }

    /// Remembers a query of this client that was found to be within the limits.
    pub(super) fn remember(&self, query: &Arc<str>, client: Client) {
        let hash = Hash::from(Sha256::digest(query.as_bytes()));
        let mut known = self.0.lock();
        if known.queries.insert(hash, Arc::clone(query)).is_some() {
            return;
        }
        known.order.push_back((hash, client));
        if known.order.len() > QUERIES_MAX {
            known.make_room();
        }
    }
}

impl Known {
    fn make_room(&mut self) {
        let mut counts = HashMap::<Client, usize>::new();
        for (_, client) in &self.order {
            *counts.entry(*client).or_default() += 1;
        }
        let most = counts.values().max();
        let of_most = |(_, client): &(Hash, Client)| counts.get(client) == most;
        let oldest = self.order.iter().position(of_most);
        if let Some((hash, _)) = oldest.and_then(|at| self.order.remove(at)) {
            self.queries.remove(&hash);
        }
    }
}

/// The error that clients recognise by its text.
fn unknown() -> Problem {
    Problem::from_status(StatusCode::NOT_FOUND)
        .with_kind(problems::PERSISTED_QUERY_NOT_FOUND)
        .with_detail("PersistedQueryNotFound")
}

fn parse(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn query(n: usize) -> Arc<str> {
        format!("{{a{n}}}").into()
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let persisted = Persisted::default();
        for n in 0..=QUERIES_MAX {
            persisted.remember(&query(n), Client::Unknown);
            persisted.remember(&query(n), Client::Unknown);
        }
        let known = persisted.0.lock();
        assert_eq!(
            (known.queries.len(), known.order.len()),
            (QUERIES_MAX, QUERIES_MAX)
        );
        let has = |n| known.queries.values().any(|known| *known == query(n));
        assert!(!has(0) && has(1) && has(QUERIES_MAX));
    }

    #[test]
    fn who_makes_queries_up_pushes_out_their_own() {
        let persisted = Persisted::default();
        let client = |n: u128| Client::User(Uuid::from_u128(n));
        persisted.remember(&query(0), client(1));
        persisted.remember(&query(1), client(2));
        for n in 2..3 * QUERIES_MAX {
            persisted.remember(&query(n), client(3));
        }
        let known = persisted.0.lock();
        assert_eq!(known.queries.len(), QUERIES_MAX);
        let has = |n| known.queries.values().any(|known| *known == query(n));
        assert!(has(0) && has(1) && has(3 * QUERIES_MAX - 1) && !has(2));
    }
}
