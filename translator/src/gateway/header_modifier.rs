//! Header modifiers of the API → header edits of the IR.

use std::collections::BTreeMap;

use crds::gateway_api::part::{Header, HeaderModifier as Modifier};
use crds::header;
use ir::HeaderModifier;

use super::listener::Rejection;
use super::validate;
use crate::status::Reason;

/// Whose headers are edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// Reads a header modifier: the edits, and apart from them the `Host` to send, which is no header to
/// Envoy.
pub(crate) fn read(
    modifier: &Modifier,
    direction: Direction,
    field: &str,
) -> Result<(HeaderModifier, Option<String>), Rejection> {
    let mut reader = Reader { direction, field, edited: BTreeMap::new() };
    let mut set = reader.pairs("set", &modifier.set)?;
    let add = reader.pairs("add", &modifier.add)?;
    let mut remove = Vec::with_capacity(modifier.remove.len());
    for (index, name) in modifier.remove.iter().enumerate() {
        remove.push(reader.name("remove", index, name)?);
    }
    let host = set.iter().position(|(name, _)| name == "host").map(|index| set.remove(index).1);
    Ok((HeaderModifier { set, add, remove }, host))
}

struct Reader<'a> {
    direction: Direction,
    field: &'a str,
    /// The edited names, each with the place of its edit.
    edited: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn pairs(&mut self, list: &str, pairs: &[Header]) -> Result<Vec<(String, String)>, Rejection> {
        let mut read = Vec::with_capacity(pairs.len());
        for (index, Header { name, value }) in pairs.iter().enumerate() {
            let name = self.name(list, index, name)?;
            let place = format!("{}.{list}[{index}].value", self.field);
            let checked = if name == "host" { authority(value) } else { validate::header_value(value) };
            checked.map_err(|message| refuse(&place, &message))?;
            read.push((name, value.to_string()));
        }
        Ok(read)
    }

    fn name(&mut self, list: &str, index: usize, name: &str) -> Result<String, Rejection> {
        let place = format!("{}.{list}[{index}]", self.field);
        let name = header::editable_name(name).map_err(|message| refuse(&place, &message))?;
        if name == "host" && self.direction == Direction::Response {
            return Err(refuse(&place, "Host is a header of requests"));
        }
        if name == "host" && list != "set" {
            return Err(refuse(&place, "a request has exactly one Host, which can only be set"));
        }
        // Gateway API, `HTTPHeaderFilter`: one action for a header.
        if let Some(first) = self.edited.insert(name.clone(), format!("{list}[{index}]")) {
            return Err(refuse(
                &place,
                &format!("{name:?} is edited by {first} as well; one edit per header is allowed"),
            ));
        }
        Ok(name)
    }
}

fn refuse(place: &str, message: &str) -> Rejection {
    Rejection::at(Reason::UnsupportedValue, place, message)
}

/// Checks the value of a `Host` header: a host name or an address, perhaps with a port (RFC 9110 §7.2).
fn authority(value: &str) -> Result<(), String> {
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (value, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            host.parse::<std::net::Ipv4Addr>().is_ok()
                || (!host.starts_with("*.") && validate::hostname(host).is_ok())
        }
    };
    if is_port && is_host { Ok(()) } else { Err(format!("{value:?} is not a host with an optional port")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Box<[Header]> {
        pairs.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect()
    }

    fn read_request(
        set: &[(&str, &str)],
        add: &[(&str, &str)],
        remove: &[&str],
    ) -> Result<(HeaderModifier, Option<String>), String> {
        let modifier = Modifier {
            set: headers(set),
            add: headers(add),
            remove: remove.iter().map(|name| (*name).into()).collect(),
        };
        read(&modifier, Direction::Request, "f").map_err(|rejection| rejection.message())
    }

    #[test]
    fn a_header_is_edited_once() {
        let names = ["X-Env", "x-env", "X-ENV"];
        for first in 0..3 {
            for second in 0..3 {
                let mut lists = [Vec::new(), Vec::new(), Vec::new()];
                lists[first].push((names[0], "one"));
                lists[second].push((names[1], "two"));
                let removed: Vec<_> = lists[2].iter().map(|(name, _)| *name).collect();
                let error = read_request(&lists[0], &lists[1], &removed).unwrap_err();
                assert!(error.contains("one edit per header"), "{first} {second}: {error}");
            }
        }
        assert!(read_request(&[("a", "1")], &[("b", "1")], &["c"]).is_ok());
    }

    #[test]
    fn host_can_be_set_to_a_host_and_nothing_else() {
        for good in ["a.com", "a.com:8080", "10.0.0.1", "10.0.0.1:80", "[::1]", "[::1]:80", "localhost"] {
            let read = read_request(&[("Host", good), ("a", "1")], &[], &[]);
            let (edits, host) = read.unwrap();
            assert_eq!((host.as_deref(), edits.set.len()), (Some(good), 1), "{good}");
        }
        for bad in ["", "a b", "a.com:", "a.com:0", "a.com:70000", "a/b", "a@b", "*.a.com", "[::1", "a\r\nb"]
        {
            assert!(read_request(&[("Host", bad)], &[], &[]).is_err(), "{bad:?}");
        }
        assert!(read_request(&[], &[("host", "a.com")], &[]).is_err());
        assert!(read_request(&[], &[], &["HOST"]).is_err());
        let modifier = Modifier { set: headers(&[("Host", "a.com")]), ..Modifier::default() };
        assert!(read(&modifier, Direction::Response, "f").is_err());
    }

    #[test]
    fn the_field_of_an_error_is_named() {
        for (set, add, remove, expected) in [
            (vec![("a", "1"), ("Content-Length", "3")], vec![], vec![], "f.set[1]: "),
            (vec![], vec![("te", "trailers")], vec![], "f.add[0]: "),
            (vec![], vec![], vec!["a", "b", "Upgrade"], "f.remove[2]: "),
            (vec![("a", "\0")], vec![], vec![], "f.set[0].value: "),
        ] {
            let error = read_request(&set, &add, &remove).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
