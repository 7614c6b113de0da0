//! Password hashing: argon2id, off the async threads, a few at a time.
//!
//! A hash is meant to be expensive: tens of milliseconds of a core and [`HashOptions::memory_kib`] of memory. So that a
//! burst of sign-ins uses up neither all of the memory nor the responsiveness of everything else, hashes run on
//! blocking threads, at most [`HashOptions::concurrency`] at once, each in the memory of its turn. A request waits for
//! its turn at most [`HashOptions::wait`], and is refused with a retry delay after that. The order of the turns is
//! decided in [`crate::turns`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};

use crate::{
    domain::Password,
    turns::{Lane, Turn, Turns},
};

/// How many requests may wait for a turn, for each concurrent hash. At tens of milliseconds a hash, requests further
/// back would not be served within a reasonable time anyway.
const WAITING_PER_HASH: usize = 64;

/// The cost of a hash, and how many run at once.
#[derive(Debug, Clone)]
pub struct HashOptions {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// The most hashes that run at the same time.
    pub concurrency: usize,
    /// The longest time that a request waits for its turn.
    pub wait: Duration,
}

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many requests wait for a hash; this one was refused before it cost anything.
    #[error("too many passwords are being checked")]
    Busy,
    /// The parameters are invalid, or a stored hash is.
    #[error("argon2: {0}")]
    Argon2(#[from] argon2::Error),
    /// The same, from the layer that parses and formats hashes.
    #[error("password hash: {0}")]
    Format(#[from] password_hash::Error),
    /// The hashing thread panicked.
    #[error("the hashing thread died: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// The result of the verification of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right.
    Right,
    /// The password is right, but the stored hash was made with other parameters than the present ones: store a new
    /// one.
    RightButOutdated,
    /// The password is wrong, or there is no account.
    Wrong,
}

/// Computes and verifies hashes. Clones share the limits.
#[derive(Clone)]
pub struct Hasher(Arc<Inner>);

struct Inner {
    params: Params,
    /// The hash of a random value, against which the passwords for unknown emails are checked.
    dummy: String,
    turns: Turns,
    wait: Duration,
    performed: AtomicU64,
}

impl Hasher {
    /// Validates the options by computing one hash; blocks for as long as that takes.
    ///
    /// # Errors
    /// [`HashError::Argon2`] for parameters that argon2 does not allow.
    pub fn new(options: &HashOptions) -> Result<Self, HashError> {
        // The length is set explicitly, since parameters that are parsed from a hash contain it as well.
        let length = Some(Params::DEFAULT_OUTPUT_LEN);
        let params = Params::new(options.memory_kib, options.iterations, 1, length)?;
        let dummy = hash(&params, &rand::random::<[u8; 32]>(), &mut Vec::new())?.to_string();
        let concurrency = options.concurrency.max(1);
        Ok(Self(Arc::new(Inner {
            params,
            dummy,
            turns: Turns::new(concurrency, concurrency * WAITING_PER_HASH),
            wait: options.wait,
            performed: AtomicU64::new(0),
        })))
    }

    /// Waits for a turn in this lane. One turn allows one hash.
    ///
    /// # Errors
    /// [`HashError::Busy`] if there is no turn in time.
    pub async fn turn(&self, lane: Lane) -> Result<Turn, HashError> {
        let turn = self.0.turns.take(lane, self.0.wait).await;
        turn.map_err(|_| HashError::Busy)
    }

    /// A turn that is free at this moment, if there is one. See [`Turns::take_free`].
    #[must_use]
    pub fn free_turn(&self, lane: Lane) -> Option<Turn> {
        self.0.turns.take_free(lane)
    }

    /// Computes the hash to store for `password`, with a new salt.
    ///
    /// # Errors
    /// [`HashError::Argon2`] and [`HashError::Format`], which no password causes.
    pub async fn hash(&self, turn: Turn, password: Password) -> Result<String, HashError> {
        self.run(turn, move |inner, memory| {
            Ok(hash(&inner.params, password.as_bytes(), memory)?.to_string())
        })
        .await
    }

    /// Checks `password` against a stored hash, or against a dummy if there is none, so that an unknown account takes
    /// the same work as a wrong password.
    ///
    /// # Errors
    /// [`HashError::Format`] if `stored` is not a hash.
    pub async fn verify(
        &self,
        turn: Turn,
        password: Password,
        stored: Option<String>,
    ) -> Result<Verdict, HashError> {
        self.run(turn, move |inner, memory| {
            let stored = PasswordHash::new(stored.as_ref().unwrap_or(&inner.dummy))
                .map_err(password_hash::Error::from)?;
            let outdated = Params::try_from(&stored)? != inner.params;
            Ok(
                match (is_hash_of(&stored, password.as_bytes(), memory)?, outdated) {
                    (false, _) => Verdict::Wrong,
                    (true, false) => Verdict::Right,
                    (true, true) => Verdict::RightButOutdated,
                },
            )
        })
        .await
    }

    /// The number of hashes since the start, for whatever purpose.
    #[must_use]
    pub fn performed(&self) -> u64 {
        self.0.performed.load(Ordering::Relaxed)
    }

    /// Runs `work` on a blocking thread, in the memory of this turn.
    async fn run<T, F>(&self, mut turn: Turn, work: F) -> Result<T, HashError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner, &mut Vec<Block>) -> Result<T, HashError> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            // The turn belongs to the work and not to the request: a caller that disconnects ends the wait, but not the
            // hash, and the next hash must not start beside it.
            inner.performed.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("password_hashes_total").increment(1);
            work(&inner, &mut turn.memory)
        })
        .await?
    }
}

/// The same as argon2's own [`argon2::PasswordHasher`], but in existing memory.
fn hash(
    params: &Params,
    password: &[u8],
    memory: &mut Vec<Block>,
) -> Result<PasswordHash, HashError> {
    let salt = Salt::generate();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let output = compute(&argon2, password, &salt, memory)?;
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params)?,
        salt: Some(salt),
        hash: Some(output),
    })
}

/// The same for [`argon2::PasswordVerifier`]. A hash contains the parameters that it was made with.
fn is_hash_of(
    stored: &PasswordHash,
    password: &[u8],
    memory: &mut Vec<Block>,
) -> Result<bool, HashError> {
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
        return Err(password_hash::Error::PasswordInvalid.into());
    };
    let algorithm = Algorithm::try_from(stored.algorithm.as_str())?;
    let version = stored
        .version
        .map_or(Ok(Version::default()), Version::try_from)?;
    let argon2 = Argon2::new(algorithm, version, Params::try_from(stored)?);
    // The comparison of `Output` takes constant time.
    Ok(compute(&argon2, password, salt, memory)? == *expected)
}

fn compute(
    argon2: &Argon2<'_>,
    password: &[u8],
    salt: &[u8],
    memory: &mut Vec<Block>,
) -> Result<Output, HashError> {
    let params = argon2.params();
    if memory.len() < params.block_count() {
        // Replaced and not grown: growing would copy the old memory, and both would exist at once.
        *memory = Vec::new();
        *memory = vec![Block::default(); params.block_count()];
    }
    let mut buffer = [0; Output::MAX_LENGTH];
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let output = buffer
        .get_mut(..length)
        .ok_or(password_hash::Error::OutputSize)?;
    argon2.hash_password_into_with_memory(password, salt, output, memory)?;
    Ok(Output::new(output).map_err(password_hash::Error::from)?)
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher")
            .field("performed", &self.performed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
