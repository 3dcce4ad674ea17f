//! Units of time in the calendar.

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp, ToSpan};
use limit_rule::Unit;

/// A unit of time: one of many minutes, days or months. In seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it began.
    pub start: i64,
    /// When the next one begins.
    pub end: i64,
}

/// The time zone of that name in the IANA database that is built in; UTC if it is empty.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() {
        return Some(TimeZone::UTC);
    }
    TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())
}

impl Window {
    /// The one that `now` is in, by the calendar of that time zone.
    pub(crate) fn of(unit: Unit, now: Timestamp, zone: &TimeZone) -> Self {
        match unit {
            Unit::Second => Self::of_length(1, now, zone),
            Unit::Minute => Self::of_length(60, now, zone),
            Unit::Hour => Self::of_length(3_600, now, zone),
            Unit::Day => Self::of_dates(|date| date, 1.day(), now, zone),
            Unit::Week => Self::of_dates(monday, 1.week(), now, zone),
            Unit::Month => Self::of_dates(Date::first_of_month, 1.month(), now, zone),
            Unit::Year => Self::of_dates(Date::first_of_year, 1.year(), now, zone),
        }
    }

    /// One of so many seconds, as clocks in the zone show them.
    fn of_length(length: i64, now: Timestamp, zone: &TimeZone) -> Self {
        let seconds = now.as_second();
        let offset = offset(zone, seconds);
        let start = (seconds + offset).div_euclid(length) * length - offset;
        let mut window = Self { start, end: start + length };
        // Where clocks are put forward or back by half an hour, two hours are shorter, so that none is in two windows.
        let shifted = |at: &i64| (self::offset(zone, *at) - self::offset(zone, *at - 1)) % length != 0;
        let timestamp = |seconds| Timestamp::from_second(seconds).unwrap_or(now);
        let before =
            zone.preceding(timestamp(seconds + 1)).next().map(|change| change.timestamp().as_second());
        if let Some(change) = before.filter(|change| *change > window.start).filter(shifted) {
            window.start = change;
        }
        let after = zone.following(timestamp(seconds)).next().map(|change| change.timestamp().as_second());
        if let Some(change) = after.filter(|change| *change < window.end).filter(shifted) {
            window.end = change;
        }
        window
    }

    /// One that begins with a date.
    fn of_dates(first: impl Fn(Date) -> Date, length: Span, now: Timestamp, zone: &TimeZone) -> Self {
        let begin = |date: Date| begin_of(date, zone).map_or(i64::MAX, |begin| begin.as_second());
        let date = first(now.to_zoned(zone.clone()).date());
        let next = date.saturating_add(length);
        let window = Self { start: begin(date), end: begin(next) };
        // Clocks that are put back just after midnight show the day before once more: that day is over all the same.
        if window.end <= now.as_second() {
            return Self { start: window.end, end: begin(next.saturating_add(length)) };
        }
        window
    }

    /// How long it still takes, in seconds; at least one.
    pub(crate) fn left(self, now: Timestamp) -> u64 {
        u64::try_from(self.end - now.as_second()).unwrap_or_default().max(1)
    }
}

/// When a date begins in the zone: at the first midnight, or, where clocks are put forward over midnight, at that moment.
fn begin_of(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    let midnight = zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0));
    let is_skipped = matches!(midnight.offset(), AmbiguousOffset::Gap { .. });
    let begin = midnight.compatible().ok()?;
    if !is_skipped {
        return Some(begin);
    }
    zone.preceding(begin.saturating_add(1.second()).ok()?).next().map(|change| change.timestamp())
}

/// How many seconds clocks in the zone are ahead of UTC.
fn offset(zone: &TimeZone, seconds: i64) -> i64 {
    Timestamp::from_second(seconds).map_or(0, |at| zone.to_offset(at).seconds().into())
}

fn monday(date: Date) -> Date {
    date.saturating_sub(i64::from(date.weekday().to_monday_zero_offset()).days())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAST: i64 = 7_000_000_000;

    fn window(unit: Unit, zone_name: &str, now: &str) -> (String, String) {
        let zone = zone(zone_name).unwrap();
        let Window { start, end } = Window::of(unit, now.parse().unwrap(), &zone);
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
            let found = window(unit, "", "2028-02-29T23:59:59.9Z");
            assert_eq!(found, (start.to_owned(), end.to_owned()), "{unit:?}");
        }
    }

    #[test]
    fn units_begin_as_clocks_in_the_zone_say() {
        for (unit, zone, now, start, end) in [
            // Clocks are put forward, and put back: days of 23 and 25 hours.
            (Unit::Day, "Europe/Berlin", "2027-03-28T12:00Z", "2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z"),
            (Unit::Day, "Europe/Berlin", "2027-10-31T12:00Z", "2027-10-30T22:00:00Z", "2027-10-31T23:00:00Z"),
            (
                Unit::Week,
                "Europe/Berlin",
                "2027-03-28T12:00Z",
                "2027-03-21T23:00:00Z",
                "2027-03-28T22:00:00Z",
            ),
            (
                Unit::Month,
                "Europe/Berlin",
                "2027-03-01T00:30Z",
                "2027-02-28T23:00:00Z",
                "2027-03-31T22:00:00Z",
            ),
            (
                Unit::Month,
                "America/New_York",
                "2027-03-01T00:30Z",
                "2027-02-01T05:00:00Z",
                "2027-03-01T05:00:00Z",
            ),
            (
                Unit::Year,
                "Pacific/Kiritimati",
                "2027-12-31T11:00Z",
                "2027-12-31T10:00:00Z",
                "2028-12-31T10:00:00Z",
            ),
            // Hours begin at half past of UTC.
            (Unit::Hour, "Asia/Kolkata", "2027-03-01T00:10Z", "2027-02-28T23:30:00Z", "2027-03-01T00:30:00Z"),
            // The hour that clocks show twice is two hours.
            (
                Unit::Hour,
                "Europe/Berlin",
                "2027-10-31T00:30Z",
                "2027-10-31T00:00:00Z",
                "2027-10-31T01:00:00Z",
            ),
            // Clocks are put back from two o'clock to half past one.
            (
                Unit::Hour,
                "Australia/Lord_Howe",
                "2027-04-03T15:10Z",
                "2027-04-03T15:00:00Z",
                "2027-04-03T15:30:00Z",
            ),
            // There is no midnight: clocks are put forward then.
            (
                Unit::Day,
                "America/Sao_Paulo",
                "2018-11-04T12:00Z",
                "2018-11-04T03:00:00Z",
                "2018-11-05T02:00:00Z",
            ),
            // Clocks were put forward from half past eleven to half past midnight.
            (
                Unit::Day,
                "America/Toronto",
                "1919-03-31T12:00Z",
                "1919-03-31T04:30:00Z",
                "1919-04-01T04:00:00Z",
            ),
            // A minute past midnight clocks are put back to the day before, which is over.
            (
                Unit::Day,
                "America/St_Johns",
                "2009-11-01T02:40Z",
                "2009-11-01T02:30:00Z",
                "2009-11-02T03:30:00Z",
            ),
            // The thirtieth of December was left out.
            (Unit::Day, "Pacific/Apia", "2011-12-30T09:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        ] {
            let found = window(unit, zone, &now.replace("Z", ":00Z"));
            assert_eq!(found, (start.to_owned(), end.to_owned()), "{unit:?} in {zone} at {now}");
        }
    }

    #[test]
    fn a_zone_that_is_none_is_not_taken_for_another() {
        for name in ["Europe/Nowhere", "Etc/Unknown", "+02:00", "Europe/Berlin ", " "] {
            assert!(zone(name).is_none(), "{name}");
        }
        assert_eq!(zone("europe/berlin").unwrap().iana_name(), Some("Europe/Berlin"));
        assert_eq!(zone("").unwrap().iana_name(), Some("UTC"));
    }

    /// Every moment is in one window of a unit, and each begins where the one before ends.
    fn check(unit: Unit, seconds: i64, zone: &TimeZone) {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let window = Window::of(unit, at(seconds), zone);
        let told = || format!("{unit:?} in {:?} at {}: {window:?}", zone.iana_name(), at(seconds));
        assert!(window.start <= seconds && seconds < window.end, "{}", told());
        assert!(window.left(at(seconds)) >= 1);
        assert_eq!(Window::of(unit, at(window.end), zone).start, window.end, "{}", told());
        for same in [window.start, window.end - 1] {
            assert_eq!(Window::of(unit, at(same), zone), window, "{}", told());
        }
    }

    /// Around every moment at which the clocks of a zone change, until 2030.
    #[test]
    fn windows_follow_each_other_wherever_clocks_change() {
        let mut changes = 0;
        for name in jiff::tz::db().available() {
            let zone = TimeZone::get(name.as_str()).unwrap();
            let following =
                zone.following(Timestamp::UNIX_EPOCH).map(|change| change.timestamp().as_second());
            for change in following.take_while(|change| *change < 1_893_456_000) {
                changes += 1;
                for unit in [Unit::Hour, Unit::Day, Unit::Month] {
                    for seconds in [change - 1, change, change + 1_799, change + 90_000] {
                        check(unit, seconds, &zone);
                    }
                }
            }
        }
        assert!(changes > 10_000, "{changes}");
    }

    proptest! {
        #[test]
        fn windows_follow_each_other(
            seconds in 0..LAST,
            name in prop::sample::select(vec!["", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"]),
        ) {
            for unit in Unit::ALL {
                check(unit, seconds, &zone(name).unwrap());
            }
        }
    }
}
