//! curl's `--connect-to`.

use translator::ConnectTo;

/// Parses curl's `HOST:PORT:HOST2:PORT2`.
///
/// # Errors
/// It does not have that form; the message says what is wrong.
pub fn parse_connect_to(text: &str) -> Result<ConnectTo, String> {
    let (host, rest) = take_host(text)?;
    let (port, rest) = rest.split_once(':').ok_or("not of the form HOST:PORT:HOST2:PORT2")?;
    let (to_host, to_port) = take_host(rest)?;
    let filled = |host: &str| Some(host.to_owned()).filter(|host| !host.is_empty());
    Ok(ConnectTo {
        host: filled(host),
        port: parse_port(port)?,
        to_host: filled(to_host),
        to_port: parse_port(to_port)?,
    })
}

/// Splits off a host, which may be an IPv6 address in brackets (taken without them), and the colon.
fn take_host(text: &str) -> Result<(&str, &str), String> {
    let Some(bracketed) = text.strip_prefix('[') else {
        return text.split_once(':').ok_or_else(|| "not of the form HOST:PORT:HOST2:PORT2".to_owned());
    };
    let (host, rest) = bracketed.split_once(']').ok_or("a bracket is not closed")?;
    let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
    let rest =
        rest.strip_prefix(':').filter(|_| is_address).ok_or("not an IPv6 address in brackets and a colon")?;
    Ok((host, rest))
}

fn parse_port(text: &str) -> Result<Option<u16>, String> {
    match text {
        "" => Ok(None),
        port => port.parse().map(Some).map_err(|_| format!("`{port}` is not a port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_to_is_read_as_curl_reads_it() {
        let some = |text: &str| Some(text.to_owned());
        let rows = [
            ("a.test:443:127.0.0.1:8443", (some("a.test"), Some(443), some("127.0.0.1"), Some(8443))),
            ("::127.0.0.1:8443", (None, None, some("127.0.0.1"), Some(8443))),
            ("a.test:443::8443", (some("a.test"), Some(443), None, Some(8443))),
            ("a.test::b.test:", (some("a.test"), None, some("b.test"), None)),
            (":::", (None, None, None, None)),
            ("[::1]:443:[fe80::1]:1", (some("::1"), Some(443), some("fe80::1"), Some(1))),
        ];
        for (text, (host, port, to_host, to_port)) in rows {
            assert_eq!(parse_connect_to(text), Ok(ConnectTo { host, port, to_host, to_port }), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_connect_to_is_refused() {
        for text in [
            "",
            "a",
            "a:1",
            "a:1:b",
            "a:x:b:1",
            "a:1:b:99999",
            "[::1:443:b:1",
            "[a]:1:b:1",
            "[::1]443:b:1",
            "a:1:b:1:2",
        ] {
            assert!(parse_connect_to(text).is_err(), "{text}");
        }
    }
}
