//! Providers that have said when to come again (`Retry-After`): for how long they are ejected from their pool, and where its
//! requests go meanwhile.

use std::time::{Duration, SystemTime};

use ai_config::Pool;

use crate::metadata::Metadata;

/// The longest time for which a provider is ejected, whatever it asks for.
pub const MAX_EJECTION: Duration = Duration::from_mins(10);

/// The answers that may say when to come again: too many requests, unavailable, and Anthropic's "overloaded".
const STATUSES: [u16; 3] = [429, 503, 529];

/// How long the provider of an answer wants no request, at most [`MAX_EJECTION`]; `None` if it does not say so. `header`
/// gives a header of the answer.
pub fn asked_for<'a>(
    status: u16,
    header: impl Fn(&str) -> Option<&'a str>,
    now: SystemTime,
) -> Option<Duration> {
    if !STATUSES.contains(&status) {
        return None;
    }
    // The finer one of OpenAI and Azure comes first, as in their own clients.
    let time = match header("retry-after-ms").and_then(|text| number(text, 0.001)) {
        Some(time) => time,
        None => header("retry-after").and_then(|text| number(text, 1.0).or_else(|| until(text, now)))?,
    };
    Some(time.min(MAX_EJECTION)).filter(|time| !time.is_zero())
}

/// A number of units of so many seconds. Some providers send fractions, which RFC 9110 does not know.
fn number(text: &str, unit: f64) -> Option<Duration> {
    let seconds = text.trim().parse::<f64>().ok().filter(|count| count.is_finite())? * unit;
    Duration::try_from_secs_f64(seconds.min(MAX_EJECTION.as_secs_f64())).ok()
}

/// The time until a date of HTTP (RFC 9110, section 5.6.7); none at all if it is past.
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The groups of a pool for one request while some members are ejected, in the form that Envoy's priority groups read
/// from dynamic metadata (`PriorityGroupsOverride`). Groups keep their order and lose the members that are ejected. Those
/// come last, group by group: a request that all others have failed may still be answered there.
///
/// `None` if the order is the configured one: no member is ejected, or all of them are.
pub fn groups_without(pool: &Pool, is_ejected: impl Fn(&str) -> bool) -> Option<Metadata> {
    let split = pool
        .groups
        .iter()
        .map(|group| group.iter().map(String::as_str).partition::<Vec<_>, _>(|member| !is_ejected(member)));
    let (open, ejected): (Vec<_>, Vec<_>) = split.unzip();
    let is_any = |groups: &[Vec<&str>]| groups.iter().any(|group| !group.is_empty());
    if !is_any(&open) || !is_any(&ejected) {
        return None;
    }
    let groups: Vec<Metadata> =
        open.iter().chain(&ejected).filter(|group| !group.is_empty()).map(|group| named(group)).collect();
    let mut all = Metadata::new();
    all.structs("priority_groups", &groups);
    Some(all)
}

/// A group. Its members share the requests equally, as they do where nobody is ejected.
fn named(members: &[&str]) -> Metadata {
    let clusters: Vec<Metadata> = members
        .iter()
        .map(|member| {
            let mut cluster = Metadata::new();
            cluster.text("cluster_name", member);
            cluster.number("weight", 1);
            cluster
        })
        .collect();
    let mut group = Metadata::new();
    // Envoy wants a name; with clusters of its own, a group may have any.
    group.text("name", members.first().copied().unwrap_or_default());
    group.structs("clusters", &clusters);
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A status, headers, and the time that they ask for.
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], Option<Duration>);

    #[test]
    fn the_time_is_what_the_headers_say() {
        let now = httpdate::parse_http_date("Sun, 29 Nov 2026 12:00:00 GMT").unwrap();
        let seconds = |count: u64| Some(Duration::from_secs(count));
        let rows: [Row<'_>; 18] = [
            (429, &[("retry-after", "20")], seconds(20)),
            (503, &[("retry-after", "20")], seconds(20)),
            (529, &[("retry-after", "20")], seconds(20)),
            (200, &[("retry-after", "20")], None),
            (500, &[("retry-after", "20")], None),
            (429, &[], None),
            (429, &[("retry-after", "0")], None),
            (429, &[("retry-after", "-5")], None),
            (429, &[("retry-after", "soon")], None),
            (429, &[("retry-after", "NaN")], None),
            (429, &[("retry-after", "1.5")], Some(Duration::from_millis(1500))),
            (429, &[("retry-after", "86400")], Some(MAX_EJECTION)),
            (429, &[("retry-after", "99999999999999999999999999")], Some(MAX_EJECTION)),
            (429, &[("retry-after-ms", "250"), ("retry-after", "1")], Some(Duration::from_millis(250))),
            (429, &[("retry-after-ms", "x"), ("retry-after", "1")], seconds(1)),
            (429, &[("retry-after", "Sun, 29 Nov 2026 12:00:30 GMT")], seconds(30)),
            (429, &[("retry-after", "Sun, 29 Nov 2026 13:00:00 GMT")], Some(MAX_EJECTION)),
            (429, &[("retry-after", "Sun, 29 Nov 2026 11:00:00 GMT")], None),
        ];
        for (status, headers, expected) in rows {
            let header = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            assert_eq!(asked_for(status, header, now), expected, "{status} {headers:?}");
        }
    }

    #[test]
    fn who_is_ejected_comes_last() {
        let pool = |groups: &[&[&str]]| Pool {
            version: ai_config::VERSION,
            groups: groups.iter().map(|group| group.iter().map(ToString::to_string).collect()).collect(),
        };
        let all = pool(&[&["a", "b"], &["c"], &["d"]]);
        let expected = |groups: &[&[&str]]| {
            let groups: Vec<Metadata> = groups.iter().map(|group| named(group)).collect();
            let mut all = Metadata::new();
            all.structs("priority_groups", &groups);
            Some(all.as_bytes().to_vec())
        };
        let rows: [(&str, Option<Vec<u8>>); 6] = [
            ("", None),
            ("x", None),
            ("a", expected(&[&["b"], &["c"], &["d"], &["a"]])),
            ("ab", expected(&[&["c"], &["d"], &["a", "b"]])),
            ("bc", expected(&[&["a"], &["d"], &["b"], &["c"]])),
            ("abcd", None),
        ];
        for (ejected, expected) in rows {
            let found = groups_without(&all, |member| ejected.contains(member));
            assert_eq!(found.map(|groups| groups.as_bytes().to_vec()), expected, "{ejected}");
        }
    }
}
