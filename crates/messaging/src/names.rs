//! Names of queues and exchanges: the same rules for every engine, so a name survives a change of engine.

use crate::DEAD_SUFFIX;
use crate::MessagingError;

/// The longest name, in characters.
pub const NAME_MAX_CHARS: usize = 128;

/// Letters, digits, `.`, `_` and `-`: what every broker takes.
pub(crate) fn check(name: &str) -> Result<(), MessagingError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.len() <= NAME_MAX_CHARS && name.chars().all(allowed) {
        return Ok(());
    }
    Err(MessagingError::Name(format!(
        "`{name}` cannot name a queue: 1 to {NAME_MAX_CHARS} letters, digits, `.`, `_` and `-`"
    )))
}

/// Where the messages of `queue` are parked. A dead-letter queue parks in itself.
pub(crate) fn dead(queue: &str) -> String {
    if is_dead(queue) {
        queue.to_owned()
    } else {
        format!("{queue}{DEAD_SUFFIX}")
    }
}

/// Whether this is a dead-letter queue.
pub(crate) fn is_dead(queue: &str) -> bool {
    queue.ends_with(DEAD_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in [
            "email.jobs",
            "user.created.notifications",
            "A-1_b",
            &"x".repeat(NAME_MAX_CHARS),
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            "a b",
            "ü",
            "a/b",
            "a\0",
            &"x".repeat(NAME_MAX_CHARS + 1),
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_dead_letter_queue_has_none_of_its_own() {
        assert_eq!(dead("email.jobs"), "email.jobs.dead");
        assert_eq!(dead("email.jobs.dead"), "email.jobs.dead");
    }
}
