//! Retry delays that a server asks for.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};

use crate::retry::Verdict;

/// The gRPC status codes that matter here.
pub(super) const RESOURCE_EXHAUSTED: u8 = 8;
pub(super) const UNAVAILABLE: u8 = 14;

/// What a server says about the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    Wait(Duration),
    /// The server wants none, or its value is invalid: then not retrying is the safe interpretation.
    Never,
}

impl Asked {
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::Nothing => Verdict::Retry { after: None },
            Self::Wait(after) => Verdict::Retry { after: Some(after) },
            Self::Never => Verdict::Final,
        }
    }

    pub(super) fn is_some(self) -> bool {
        self != Self::Nothing
    }
}

/// HTTP's `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3). A date is compared with the answer's own
/// `Date`, so that the difference between the clocks of the two machines does not matter.
pub(super) fn retry_after(headers: &HeaderMap) -> Asked {
    let Some(value) = headers.get(header::RETRY_AFTER) else {
        return Asked::Nothing;
    };
    seconds(value)
        .or_else(|| {
            let until = date(value)?;
            let now = headers.get(header::DATE).and_then(date);
            Some(until.saturating_sub(now.unwrap_or_else(own_clock)))
        })
        .map_or(Asked::Never, Asked::Wait)
}

/// gRPC's pushback: milliseconds; a negative number, or anything else, means no retry.
pub(super) fn pushback(headers: &HeaderMap) -> Asked {
    let Some(value) = headers.get("grpc-retry-pushback-ms") else {
        return Asked::Nothing;
    };
    number(value.as_bytes()).map_or(Asked::Never, |ms| Asked::Wait(Duration::from_millis(ms)))
}

fn seconds(value: &HeaderValue) -> Option<Duration> {
    number(value.as_bytes()).map(Duration::from_secs)
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    // `parse` alone would accept a plus sign.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn own_clock() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Parses HTTP's date, `Sun, 06 Nov 1994 08:49:37 GMT`, as the time since 1970. The two obsolete forms are not
/// supported, since no server writes them any more. Written by hand, because a date crate would be used for nothing
/// else.
fn date(value: &HeaderValue) -> Option<Duration> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let text = value.to_str().ok()?;
    let (_weekday, text) = text.split_once(", ")?;
    let mut parts = text.split(' ');
    let day = number(parts.next()?.as_bytes()).filter(|day| (1..=31).contains(day))?;
    let month = parts.next().filter(|month| month.len() == 3)?;
    let month = MONTHS.find(month).filter(|at| at % 3 == 0)? as u64 / 3;
    let year = number(parts.next()?.as_bytes()).filter(|year| (1970..=9999).contains(year))?;
    let mut time = parts.next()?.splitn(3, ':').map(|n| number(n.as_bytes()));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if hour > 23 || minute > 59 || second > 60 || parts.next() != Some("GMT") {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    Some(Duration::from_secs(
        ((days * 24 + hour) * 60 + minute) * 60 + second,
    ))
}

/// The days from 1970 to the first day of a month (January is 0).
fn days_before(year: u64, month: u64) -> u64 {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days_before = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let leap = leap_days_before(year + 1) > leap_days_before(year);
    let years = (year - 1970) * 365 + leap_days_before(year) - leap_days_before(1970);
    years + BEFORE_MONTH[month as usize] + u64::from(leap && month > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_bytes(text.as_bytes()).unwrap()
    }

    fn after(retry_after: &str, date: &str) -> Asked {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value(retry_after));
        headers.insert(header::DATE, value(date));
        super::retry_after(&headers)
    }

    #[test]
    fn dates_are_read_as_the_calendar_has_it() {
        let unix = |text| date(&value(text)).map(|time| time.as_secs());
        assert_eq!(unix("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(unix("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(unix("Tue, 29 Feb 2000 23:59:59 GMT"), Some(951_868_799));
        assert_eq!(unix("Wed, 01 Mar 2000 00:00:00 GMT"), Some(951_868_800));
        assert_eq!(unix("Thu, 31 Dec 2099 00:00:00 GMT"), Some(4_102_358_400));
        assert_eq!(unix("Mon, 01 Mar 2100 00:00:00 GMT"), Some(4_107_542_400));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "tomorrow",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 8:49 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sunday, 06-Nov-94 08:49:37 GMT",
        ] {
            assert_eq!(date(&value(text)), None, "{text}");
        }
    }

    #[test]
    fn a_date_is_measured_by_the_servers_own_clock() {
        let (now, later) = (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:40 GMT",
        );
        assert_eq!(after(later, now), Asked::Wait(Duration::from_secs(3)));
        assert_eq!(after(now, later), Asked::Wait(Duration::ZERO));
        // Without a valid `Date` our own clock is used, by which this is long past.
        assert_eq!(after(later, "?"), Asked::Wait(Duration::ZERO));
    }

    #[test]
    fn seconds_are_read_and_nonsense_means_never() {
        assert_eq!(after("2", "?"), Asked::Wait(Duration::from_secs(2)));
        for text in ["-1", "+1", "1.5", "soon", ""] {
            assert_eq!(after(text, "?"), Asked::Never, "{text}");
        }
        assert_eq!(super::retry_after(&HeaderMap::new()), Asked::Nothing);
    }

    #[test]
    fn pushback_is_read_as_grpc_has_it() {
        let read = |text| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-retry-pushback-ms", value(text));
            pushback(&headers)
        };
        assert_eq!(read("250"), Asked::Wait(Duration::from_millis(250)));
        assert_eq!(read("0"), Asked::Wait(Duration::ZERO));
        for text in ["-1", "", "soon"] {
            assert_eq!(read(text), Asked::Never, "{text}");
        }
        assert_eq!(pushback(&HeaderMap::new()), Asked::Nothing);
    }
}
