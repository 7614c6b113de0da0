//! The one rule: which failures pass by themselves, and which stay.

use envelope::EnvelopeError;
use messaging::{BoxError, HandlerError, MAX_PANICS};

use crate::OutboxError;

/// Why an event took no effect. What becomes of its message is decided here, for all consumers alike
/// ([`into_handler_error`](Self::into_handler_error)); a consumer can only add reasons to give up
/// ([`permanent`](Self::permanent)).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The database refused, or was not reached; see [`DatabaseFailure`] for which of them may pass.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The message holds no event, or one that its type does not promise. It stays.
    #[error(transparent)]
    Event(#[from] EnvelopeError),
    /// What follows from the event cannot be told. It stays.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The event is against the rules of this consumer. It stays.
    #[error(transparent)]
    Rules(BoxError),
}

/// What a failed statement says about the message that led to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFailure {
    /// No message is to blame: the database is away, busy or not as the code expects it, or two transactions met. Tried
    /// again as long as it takes: to park would be to move the whole topic into the dead letters.
    Transient,
    /// The database understood and refused the data. Trying again repairs nothing, and holds up the neighbours.
    Permanent,
    /// Neither is certain. Tried [`MAX_PANICS`] times, then parked, like a panic: the cause may have been passing, but a
    /// message that fails for ever must not block those behind it, and a parked one can be sent again.
    Unknown,
}

impl Failure {
    /// Its kind in a word, for spans.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Event(_) => "event",
            Self::Outbox(_) => "outbox",
            Self::Rules(_) => "rules",
        }
    }

    /// A reason to give up on the event at once: waiting repairs nothing.
    pub fn permanent(reason: impl Into<BoxError>) -> Self {
        Self::Rules(reason.into())
    }

    /// What a handler returns for it. `attempt`: which try failed, from 1 ([`messaging::Delivery::attempt`]).
    #[must_use]
    pub fn into_handler_error(self, attempt: u32) -> HandlerError {
        let stays = match &self {
            Self::Event(_) | Self::Outbox(_) | Self::Rules(_) => true,
            Self::Database(error) => match DatabaseFailure::of(error) {
                DatabaseFailure::Transient => false,
                DatabaseFailure::Permanent => true,
                DatabaseFailure::Unknown => attempt >= MAX_PANICS,
            },
        };
        if stays {
            HandlerError::permanent(self)
        } else {
            HandlerError::transient(self)
        }
    }
}

impl DatabaseFailure {
    /// Judges by the kind of error and, where the database answered, by its SQLSTATE.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            // Half a conversation: a proxy, or a server that stops, hung up in the middle of a handshake.
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Transient,
            sqlx::Error::Database(error) => error.code().map_or(Self::Unknown, |code| Self::of_code(&code)),
            _ => Self::Unknown,
        }
    }

    /// See <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn of_code(code: &str) -> Self {
        match code {
            // A unique or exclusion violation: the data's fault, or another transaction was faster with the same row. A
            // second try sees that row, and finds out.
            "23505" | "23P01" => Self::Unknown,
            // Read only: a standby that is being promoted.
            "25006" => Self::Transient,
            _ => match code.get(..2).unwrap_or_default() {
                // 08 connection, 28 who we are, 3D and 3F database and schema, 40 serialization and deadlock, 42 the
                // statement does not fit the schema (the same for every message: a deployment's mistake),
                // 53 connections, memory or disk, 55 locks, 57 timeouts and shutdown, 58 the machine.
                "08" | "28" | "3D" | "3F" | "40" | "42" | "53" | "55" | "57" | "58" => {
                    Self::Transient
                }
                // 22 the value is none, 23 it breaks a constraint, 44 or a view's check.
                "22" | "23" | "44" => Self::Permanent,
                _ => Self::Unknown,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DatabaseFailure::{self, Permanent, Transient, Unknown};

    #[test]
    fn each_class_has_its_verdict() {
        for (code, verdict) in [
            ("08006", Transient), // connection_failure
            ("28P01", Transient), // invalid_password
            ("25006", Transient), // read_only_sql_transaction
            ("40001", Transient), // serialization_failure
            ("40P01", Transient), // deadlock_detected
            ("42P01", Transient), // undefined_table
            ("53300", Transient), // too_many_connections
            ("55P03", Transient), // lock_not_available
            ("57014", Transient), // query_canceled: the statement's time-out
            ("57P01", Transient), // admin_shutdown
            ("58030", Transient), // io_error
            ("22003", Permanent), // numeric_value_out_of_range
            ("22021", Permanent), // character_not_in_repertoire: a NUL in a text
            ("23502", Permanent), // not_null_violation
            ("23503", Permanent), // foreign_key_violation
            ("23514", Permanent), // check_violation
            ("23505", Unknown),   // unique_violation
            ("25P02", Unknown),   // in_failed_sql_transaction
            ("P0001", Unknown),   // raise_exception
            ("XX000", Unknown),   // internal_error
            ("", Unknown),
        ] {
            assert_eq!(DatabaseFailure::of_code(code), verdict, "{code}");
        }
    }

    #[test]
    fn what_never_reached_the_database_may_pass() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        for (error, verdict) in [
            (sqlx::Error::Io(reset), Transient),
            (sqlx::Error::PoolTimedOut, Transient),
            (sqlx::Error::PoolClosed, Transient),
            (sqlx::Error::RowNotFound, Unknown),
            (sqlx::Error::Decode("no such status".into()), Unknown),
        ] {
            assert_eq!(DatabaseFailure::of(&error), verdict, "{error:?}");
        }
    }
}
