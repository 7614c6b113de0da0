//! Hashing passwords: argon2id, off the async threads, a few at a time.
//!
//! A hash is meant to be expensive: tens of milliseconds of a core and [`HashOptions::memory_kib`] of
//! memory. So that a burst of sign-ins costs neither all of the memory nor the responsiveness of
//! everything else, hashes run on blocking threads, at most [`HashOptions::concurrency`] at once, each in the memory of its
//! turn; a request waits for its turn at most [`HashOptions::wait`] and is told to come back when that runs out. Whose turn
//! it is: [`crate::turns`].

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

/// Requests that wait for their turn, for each hash that runs. At tens of milliseconds a hash, who stands
/// further back would not be served within a reasonable wait anyway.
const WAITING_PER_HASH: usize = 64;

/// What a hash costs, and how many run.
#[derive(Debug, Clone)]
pub struct HashOptions {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Hashes that run at the same time.
    pub concurrency: usize,
    /// The longest that a request waits for its turn.
    pub wait: Duration,
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many requests want a hash; this one was given up before it cost anything.
    #[error("too many passwords are being checked")]
    Busy,
    /// The parameters make no sense, or a stored hash is none.
    #[error("argon2: {0}")]
    Argon2(#[from] argon2::Error),
    /// The same, from the layer that reads and writes hashes as text.
    #[error("password hash: {0}")]
    Format(#[from] password_hash::Error),
    /// The hashing thread died.
    #[error("the hashing thread died: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Whether a password is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right,
    /// It is, and the stored hash was made with other parameters than today's: store a new one.
    RightButOutdated,
    /// It is not, or there is no account.
    Wrong,
}

/// Makes and checks hashes. Clones share the limits.
#[derive(Clone)]
pub struct Hasher(Arc<Inner>);

struct Inner {
    params: Params,
    /// The hash of nothing that anybody could type: what an unknown email is checked against.
    dummy: String,
    turns: Turns,
    wait: Duration,
    performed: AtomicU64,
}

impl Hasher {
    /// Checks the options by making one hash; blocks for as long as that takes.
    ///
    /// # Errors
    /// [`HashError::Argon2`] for parameters that argon2 does not allow.
    pub fn new(options: &HashOptions) -> Result<Self, HashError> {
        // The length is named, since parameters that are read back from a hash name it as well.
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

    /// Waits for the turn of somebody in this lane. One turn is good for one hash.
    ///
    /// # Errors
    /// [`HashError::Busy`] when it does not come in time.
    pub async fn turn(&self, lane: Lane) -> Result<Turn, HashError> {
        let turn = self.0.turns.take(lane, self.0.wait).await;
        turn.map_err(|_| HashError::Busy)
    }

    /// The hash to store for `password`, with a salt of its own.
    ///
    /// # Errors
    /// [`HashError::Argon2`] and [`HashError::Format`], which no password leads to.
    pub async fn hash(&self, turn: Turn, password: Password) -> Result<String, HashError> {
        self.run(turn, move |inner, memory| {
            Ok(hash(&inner.params, password.as_bytes(), memory)?.to_string())
        })
        .await
    }

    /// Checks `password` against a stored hash, or against a dummy when there is none: the answer for an
    /// unknown account takes the same work as that for a wrong password.
    ///
    /// # Errors
    /// [`HashError::Format`] when `stored` is not a hash.
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

    /// Hashes that were computed since the start, whatever for.
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
            // The turn belongs to the work and not to the request: a caller who hangs up ends the
            // waiting, not the hash, and the next one must not start beside it.
            inner.performed.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("password_hashes_total").increment(1);
            work(&inner, &mut turn.memory)
        })
        .await?
    }
}

/// What argon2's own [`argon2::PasswordHasher`] does, in memory that is there already.
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

/// The same for [`argon2::PasswordVerifier`]. A hash says itself what it was made with.
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
    // Output's equality takes the same time wherever the difference is.
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
        // Not grown: the old one would be copied, and both be there at once.
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
