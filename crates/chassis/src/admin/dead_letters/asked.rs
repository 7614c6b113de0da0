//! The requests: a query for the list and a body for a redrive, with the same conditions.

use std::num::NonZeroU32;
use std::time::Duration;

use deserr::Deserr;
use serde::Deserialize;

use super::{DEAD_LETTERS_MAX, Pace, Which};
use crate::problem::{FieldError, Problem};

/// The number of letters that are listed unless a limit is given.
const LISTED: u64 = 100;
/// The number of letters that are sent again in a second unless a rate is given.
const RATE: u32 = 100;

/// The query of `GET /dead-letters`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    source: Option<String>,
    group: Option<String>,
    id: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    reason: Option<String>,
    older_than: Option<String>,
    newer_than: Option<String>,
    limit: Option<u64>,
}

impl List {
    /// # Errors
    /// 400 for an invalid value, as for any query.
    pub(super) fn which(self, time_max: Duration) -> Result<Which, Problem> {
        let wrong = |errors: Vec<FieldError>| {
            let all = errors.iter();
            let all: Vec<_> = all
                .map(|error| format!("{} {}", error.pointer.trim_start_matches('/'), error.detail))
                .collect();
            Problem::bad_request(format!("query: {}", all.join("; ")))
        };
        self.read(LISTED, time_max).map_err(wrong)
    }

    /// The conditions that are blank: a variable of a script that nobody set. To ignore one would mean more letters.
    fn blank(&self) -> Vec<FieldError> {
        let texts = [
            ("/source", &self.source),
            ("/group", &self.group),
            ("/id", &self.id),
            ("/type", &self.event_type),
            ("/reason", &self.reason),
        ];
        let is_blank = |text: &str| text.trim().is_empty();
        let blank = texts
            .into_iter()
            .filter(|(_, text)| text.as_deref().is_some_and(is_blank));
        blank
            .map(|(pointer, _)| FieldError::new(pointer, "must not be blank"))
            .collect()
    }

    fn read(self, default: u64, time_max: Duration) -> Result<Which, Vec<FieldError>> {
        let mut errors = self.blank();
        let mut age = |name: &str, text: Option<String>| {
            let text = text?;
            let age = humantime::parse_duration(&text).ok();
            if age.is_none() {
                let allowed = "it takes a duration such as 500ms, 30s, 15m, 1h or 30d";
                errors.push(FieldError::new(format!("/{name}"), allowed));
            }
            age
        };
        let older_than = age("older_than", self.older_than);
        let newer_than = age("newer_than", self.newer_than);
        let limit = self.limit.unwrap_or(default);
        if !(1..=DEAD_LETTERS_MAX).contains(&limit) {
            let allowed = format!("must be from 1 to {DEAD_LETTERS_MAX}");
            errors.push(FieldError::new("/limit", allowed));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Which {
            source: self.source,
            group: self.group,
            id: self.id,
            event_type: self.event_type,
            reason: self.reason,
            older_than,
            newer_than,
            limit,
            time_max,
        })
    }
}

/// The body of `POST /dead-letters/redrive`. By a body and not by a query: a form cannot send JSON.
#[derive(Debug, Default, Deserr)]
#[deserr(deny_unknown_fields)]
pub(super) struct Redrive {
    #[deserr(default)]
    source: Option<String>,
    #[deserr(default)]
    group: Option<String>,
    #[deserr(default)]
    id: Option<String>,
    #[deserr(default, rename = "type")]
    event_type: Option<String>,
    #[deserr(default)]
    reason: Option<String>,
    #[deserr(default)]
    older_than: Option<String>,
    #[deserr(default)]
    newer_than: Option<String>,
    #[deserr(default)]
    limit: Option<u64>,
    /// Every letter that there is.
    #[deserr(default)]
    all: bool,
    #[deserr(default)]
    dry_run: bool,
    /// Letters in a second; 0 for no limit.
    #[deserr(default)]
    rate: Option<u32>,
}

impl Redrive {
    /// # Errors
    /// 422 for an invalid value, and for a body with neither a condition nor `all`: a member that was left out must not
    /// redrive everything.
    pub(super) fn which(self, time_max: Duration) -> Result<(Which, Pace), Problem> {
        let pace = Pace {
            dry_run: self.dry_run,
            per_second: NonZeroU32::new(self.rate.unwrap_or(RATE)),
        };
        let (all, limited) = (self.all, self.limit.is_some());
        let conditions = List {
            source: self.source,
            group: self.group,
            id: self.id,
            event_type: self.event_type,
            reason: self.reason,
            older_than: self.older_than,
            newer_than: self.newer_than,
            limit: self.limit,
        };
        let which = conditions
            .read(DEAD_LETTERS_MAX, time_max)
            .map_err(Problem::unprocessable)?;
        let everything = Which {
            limit: which.limit,
            time_max,
            ..Which::default()
        };
        // Every letter was parked at least no time ago: that is no condition.
        let selected = Which {
            older_than: which.older_than.filter(|age| !age.is_zero()),
            ..which.clone()
        };
        if selected == everything && !limited && !all {
            let which = "which letters? Say \"all\": true, or one of source, group, id, type, reason, older_than, \
                         newer_than, limit";
            return Err(Problem::unprocessable(vec![FieldError::new("", which)]));
        }
        Ok((which, pace))
    }
}
