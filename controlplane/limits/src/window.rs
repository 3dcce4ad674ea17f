//! Units of time in the calendar.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use limit_rule::Unit;

const DAY: i64 = 86_400;

/// A unit of time: one of many minutes, days or months. In seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// When it began.
    pub start: i64,
    /// When the next one begins.
    pub end: i64,
}

impl Window {
    /// The one that `now` is in.
    pub(crate) fn of(unit: Unit, now: Timestamp) -> Self {
        let seconds = now.as_second();
        let of_length = |length: i64, offset: i64| {
            let start = (seconds - offset).div_euclid(length) * length + offset;
            Self { start, end: start + length }
        };
        let date = now.to_zoned(TimeZone::UTC).date();
        match unit {
            Unit::Second => of_length(1, 0),
            Unit::Minute => of_length(60, 0),
            Unit::Hour => of_length(3_600, 0),
            Unit::Day => of_length(DAY, 0),
            // The first Monday was the fifth of January 1970.
            Unit::Week => of_length(7 * DAY, 4 * DAY),
            Unit::Month => Self::between(date.first_of_month(), 1.month()),
            Unit::Year => Self::between(date.first_of_year(), 1.year()),
        }
    }

    fn between(first: Date, length: Span) -> Self {
        let next = first.saturating_add(length);
        let seconds = |date: Date| {
            date.to_zoned(TimeZone::UTC).map_or(i64::MAX, |midnight| midnight.timestamp().as_second())
        };
        Self { start: seconds(first), end: seconds(next) }
    }

    /// How long it still takes, in seconds; at least one.
    pub(crate) fn left(self, now: Timestamp) -> u64 {
        u64::try_from(self.end - now.as_second()).unwrap_or_default().max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(unit: Unit, now: &str) -> (String, String) {
        let Window { start, end } = Window::of(unit, now.parse().unwrap());
        let text = |seconds| Timestamp::from_second(seconds).unwrap().to_string();
        (text(start), text(end))
    }

    #[test]
    fn units_begin_as_the_calendar_says() {
        for (unit, start, end) in [
            (Unit::Second, "2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z"),
            (Unit::Minute, "2028-02-29T23:59:00Z", "2028-03-01T00:00:00Z"),
            (Unit::Hour, "2028-02-29T23:00:00Z", "2028-03-01T00:00:00Z"),
            (Unit::Day, "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
            (Unit::Week, "2028-02-28T00:00:00Z", "2028-03-06T00:00:00Z"),
            (Unit::Month, "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            (Unit::Year, "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"),
        ] {
            let found = window(unit, "2028-02-29T23:59:59.9Z");
            assert_eq!(found, (start.to_owned(), end.to_owned()), "{unit:?}");
        }
    }

    proptest! {
        /// Every moment is in one window of a unit, and each begins where the one before ends.
        #[test]
        fn windows_follow_each_other(seconds in 0_i64..7_000_000_000) {
            for unit in Unit::ALL {
                let now = Timestamp::from_second(seconds).unwrap();
                let window = Window::of(unit, now);
                prop_assert!(window.start <= seconds && seconds < window.end);
                prop_assert!(window.left(now) >= 1);
                let next = Window::of(unit, Timestamp::from_second(window.end).unwrap());
                prop_assert_eq!(next.start, window.end);
            }
        }
    }
}
