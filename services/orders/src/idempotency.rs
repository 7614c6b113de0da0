//! `Idempotency-Key`: a `POST` that is sent again, because its answer got lost, creates one order.
//!
//! *What is remembered:* answers to orders that were accepted (201), for a configured time, in the
//! transaction of the order. *What is not:* refusals (400, 401, 409, 422, 503 …). They changed
//! nothing, so sending the request again is safe, and may find the cause gone.
//!
//! *What counts as the same request:* the same products and quantities after parsing. White space, the order of JSON members
//! and the order of lines make no difference: a basket is a set of lines (ADR 20). A repetition gets the first answer, byte
//! for byte. Both versions of the API share their keys: the same order in the other version is a repetition, too, and gets
//! the first answer in that version's form.
//!
//! *While the first request is running* a second one gets 409. Within this process [`Running`] detects it as soon as the
//! key is read. Across replicas an advisory lock does, in the transaction that writes the order. It does not span the call
//! for prices: a second replica may request prices in vain, but then finds the lock taken or the answer stored. The
//! rejected alternative is a row "running" that is committed first: it costs a second commit for each order, and a crash
//! leaves it behind.

use std::{collections::HashSet, sync::Arc};

use http::{HeaderMap, HeaderName};
use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    domain::{Address, Basket},
    error::Error,
};

/// The request header.
pub(crate) const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Set to `true` on an answer that was given before.
pub(crate) const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key, in characters.
const MAX_KEY_CHARS: usize = 255;

/// A client's key: 1 to 255 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key in a request's headers, if it has one.
    ///
    /// # Errors
    /// [`Error::BadKey`] if it is empty, too long, not printable ASCII, or given twice.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let mut values = headers.get_all(KEY_HEADER).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let text = value.to_str().map_err(|_| Error::BadKey)?;
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if values.next().is_some() || text.is_empty() || text.len() > MAX_KEY_CHARS || !printable {
            return Err(Error::BadKey);
        }
        Ok(Some(Self(text.to_owned())))
    }

    /// The key as the client wrote it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The number of the advisory lock of this user's key. Two keys may have the same number by chance (2⁻⁶⁴); if their requests
    /// run at the same time, one of them gets 409 and is retried.
    pub(crate) fn lock(&self, user_id: Uuid) -> i64 {
        let hash = Sha256::new()
            .chain_update(user_id)
            .chain_update(&self.0)
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        i64::from_be_bytes(first)
    }
}

/// SHA-256 of the content of a request, independent of the order of its lines. The prefix names the format: a request with
/// an address has another one, so that its hash never equals that of a request without.
pub(crate) fn request_hash(basket: &Basket, shipping_address: Option<&Address>) -> [u8; 32] {
    let mut lines: Vec<_> = basket.lines().collect();
    // Each product occurs once, so that its id determines the order.
    lines.sort_unstable_by_key(|(product, _)| *product);
    let mut hash = Sha256::new().chain_update(match shipping_address {
        None => "orders.v1",
        Some(_) => "orders.v2",
    });
    if let Some(address) = shipping_address {
        let Address {
            name,
            street,
            postal_code,
            city,
            country,
        } = address;
        let postal_code = postal_code.as_ref().map(ToString::to_string);
        let parts = [
            name.to_string(),
            street.to_string(),
            postal_code.unwrap_or_default(),
            city.to_string(),
            country.to_string(),
        ];
        for part in parts {
            // With its length, so that moving characters from one part to the next changes the hash.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    for (product, quantity) in lines {
        hash.update(product);
        hash.update(quantity.get().to_be_bytes());
    }
    hash.finalize().into()
}

/// The keys whose requests are running in this process. At most as many as there are requests in
/// flight, which the server limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(Arc<Mutex<HashSet<(Uuid, IdempotencyKey)>>>);

/// Marks a key as running until it is dropped, also if the client disconnects or the request panics.
#[derive(Debug)]
pub(crate) struct RunningGuard {
    running: Running,
    entry: (Uuid, IdempotencyKey),
}

impl Running {
    /// Marks a user's key as running.
    ///
    /// # Errors
    /// [`Error::KeyRunning`] if it is already.
    pub(crate) fn enter(&self, user_id: Uuid, key: &IdempotencyKey) -> Result<RunningGuard, Error> {
        let entry = (user_id, key.clone());
        if !self.keys().insert(entry.clone()) {
            return Err(Error::KeyRunning);
        }
        Ok(RunningGuard {
            running: self.clone(),
            entry,
        })
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<(Uuid, IdempotencyKey)>> {
        self.0.lock()
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.running.keys().remove(&self.entry);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::domain::Quantity;

    fn key(values: &[&[u8]]) -> Result<Option<IdempotencyKey>, Error> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(KEY_HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        IdempotencyKey::from_headers(&headers)
    }

    fn basket(lines: &[(u128, u64)]) -> Basket {
        let mut basket = Basket::default();
        for (product, pieces) in lines {
            basket
                .add(Uuid::from_u128(*product), Quantity::new(*pieces).unwrap())
                .unwrap();
        }
        basket
    }

    #[test]
    fn keys_are_printable_and_bounded() {
        assert_eq!(key(&[]).unwrap(), None);
        assert_eq!(key(&[b"a key ~1"]).unwrap().unwrap().as_str(), "a key ~1");
        assert!(key(&["k".repeat(MAX_KEY_CHARS).as_bytes()]).is_ok());
        let too_long = "k".repeat(MAX_KEY_CHARS + 1);
        for bad in [
            &[b"".as_slice()][..],
            &[too_long.as_bytes()],
            &["ключ".as_bytes()],
            &[b"a\tb"],
            &[b"a", b"a"],
        ] {
            assert!(matches!(key(bad), Err(Error::BadKey)), "{bad:?}");
        }
    }

    #[test]
    fn the_hash_is_of_the_wish() {
        let request_hash = |basket: &Basket| request_hash(basket, None);
        let hash = request_hash(&basket(&[(1, 2), (2, 1)]));
        assert_eq!(hash, request_hash(&basket(&[(1, 1), (2, 1), (1, 1)])));
        assert_eq!(hash, request_hash(&basket(&[(2, 1), (1, 2)])));
        assert_ne!(hash, request_hash(&basket(&[(1, 1), (2, 2)])));
        assert_ne!(hash, request_hash(&basket(&[(1, 2)])));
        assert_ne!(hash, request_hash(&basket(&[(1, 2), (2, 2)])));
    }

    #[test]
    fn a_key_runs_once_until_its_guard_is_gone() {
        let running = Running::default();
        let (key, user) = (key(&[b"k"]).unwrap().unwrap(), Uuid::from_u128(1));
        let guard = running.enter(user, &key).unwrap();
        assert!(matches!(running.enter(user, &key), Err(Error::KeyRunning)));
        let _of_another_user = running.enter(Uuid::from_u128(2), &key).unwrap();
        drop(guard);
        let _again = running.enter(user, &key).unwrap();
    }
}
