//! Formats of access logs: which ones Envoy takes, and how they are written so that they show nothing of the gateway's.
//!
//! Envoy refuses a listener for a format that it does not take. What is admitted here is what the pinned Envoy was seen to
//! take (`e2e/tests/admitted.rs` shows it again); its language is described in its documentation under "Access logging".

use std::collections::BTreeSet;

use crds::header;
use ir::ClientHeader;

/// Commands that have neither argument nor length.
const PLAIN: &[&str] = &[
    "ACCESS_LOG_TYPE",
    "BYTES_RECEIVED",
    "BYTES_RETRANSMITTED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_CX_RTT",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_LOCAL_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_EMAIL_SAN",
    "DOWNSTREAM_LOCAL_IP_SAN",
    "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER_SERIAL",
    "DOWNSTREAM_PEER_OTHERNAME_SAN",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_GROUP",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DURATION",
    "FILTER_CHAIN_NAME",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "LISTENER_NAME",
    "LOCAL_REPLY_BODY",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "ROUTE_NAME",
    "SPAN_ID",
    "STREAM_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "UNIQUE_ID",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_HOST_NAMES_ATTEMPTED",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_LOCAL_DNS_SAN",
    "UPSTREAM_LOCAL_IP_SAN",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_LOCAL_URI_SAN",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_IP_SAN",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_SERVER_NAME",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_GROUP",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
];

/// Commands that take a time, and may have a format for it as argument.
const TIMES: [&str; 8] = [
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "EMIT_TIME",
    "EMIT_TIME_LOCAL",
    "START_TIME",
    "START_TIME_LOCAL",
    "UPSTREAM_PEER_CERT_V_END",
    "UPSTREAM_PEER_CERT_V_START",
];

/// The longest format. Envoy would take longer ones; it writes as much for each request.
const MAX_FORMAT_BYTES: usize = 16 * 1024;

/// A format as Envoy gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Safe {
    /// In Envoy's language.
    pub text: String,
    /// What it reads of the client's headers.
    pub client_headers: BTreeSet<ClientHeader>,
}

/// A command: `%NAME(argument):length%`.
struct Command<'a> {
    name: &'a str,
    argument: Option<&'a str>,
    length: Option<&'a str>,
}

/// Reads a format.
///
/// # Errors
/// Envoy would not take it, or it would do what is not supported.
pub(super) fn read(format: &str) -> Result<Safe, String> {
    if format.len() > MAX_FORMAT_BYTES {
        return Err(format!("is longer than {MAX_FORMAT_BYTES} bytes"));
    }
    let mut safe = Safe::default();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        safe.text.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            safe.text.push_str("%%");
            rest = after;
            continue;
        }
        let (command, after) = command(after).ok_or_else(|| {
            let start: String = after.chars().take(40).collect();
            format!("has no valid command at {:?} (a % is written %%)", format!("%{start}"))
        })?;
        write(&command, &mut safe)?;
        rest = after;
    }
    safe.text.push_str(rest);
    Ok(safe)
}

/// The command at the beginning, behind its `%`, and what comes after it.
fn command(text: &str) -> Option<(Command<'_>, &str)> {
    let is_name = |char: char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_';
    let end = text.find(|char| !is_name(char))?;
    let (name, rest) = text.split_at(end);
    let (argument, rest) = match rest.strip_prefix('(') {
        Some(rest) => {
            // No argument that is admitted holds a closing parenthesis.
            let (argument, rest) = rest.split_once(')')?;
            (Some(argument), rest)
        }
        None => (None, rest),
    };
    let (length, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let (digits, _) = rest.split_at(rest.find(|char: char| !char.is_ascii_digit())?);
            (Some(digits), rest.strip_prefix(digits)?)
        }
        None => (None, rest),
    };
    Some((Command { name, argument, length }, rest.strip_prefix('%')?))
}

fn write(command: &Command<'_>, safe: &mut Safe) -> Result<(), String> {
    let Command { name, argument, length } = *command;
    let (argument, length) = (argument.unwrap_or_default(), check_length(name, length)?);
    if argument.chars().any(char::is_control) {
        return Err(format!("{name}: its argument holds a control character"));
    }
    let takes_length = match name {
        "REQ" | "REQUEST_HEADER" | "STREAM_INFO_REQ" => {
            let expression = headers(name, argument)?;
            write_request_header(&expression, length, safe);
            return Ok(());
        }
        "RESP" | "RESPONSE_HEADER" | "RESPONSE_TRAILER" | "TRAILER" => {
            headers(name, argument)?;
            true
        }
        "DYNAMIC_METADATA" | "ENVIRONMENT" | "QUERY_PARAM" => {
            required(name, argument)?;
            true
        }
        "CLUSTER_METADATA" | "UPSTREAM_METADATA" => {
            required(name, argument)?;
            false
        }
        "FILTER_STATE" | "UPSTREAM_FILTER_STATE" => {
            filter_state(name, argument)?;
            true
        }
        "METADATA" => {
            metadata(argument)?;
            false
        }
        "COMMON_DURATION" => {
            common_duration(argument)?;
            false
        }
        "GRPC_STATUS" => {
            one_of(name, argument, &["", "CAMEL_STRING", "SNAKE_STRING", "NUMBER"])?;
            false
        }
        "PATH" => {
            let (query, which) = argument.split_once(':').unwrap_or((argument, ""));
            one_of(name, query, &["", "WQ", "NQ"])?;
            one_of(name, which, &["", "ORIG", "PATH", "ORIG_OR_PATH"])?;
            true
        }
        "QUERY_PARAMS" => {
            one_of(name, argument, &[""])?;
            true
        }
        _ if TIMES.contains(&name) => {
            time(name, argument)?;
            false
        }
        _ if PLAIN.contains(&name) => {
            one_of(name, argument, &[""])?;
            false
        }
        "CEL" | "COALESCE" => return Err(format!("the command {name} is not supported yet")),
        _ => return Err(format!("{name:?} is not a command that the proxy knows")),
    };
    if !takes_length && !length.is_empty() {
        return Err(format!("{name} has no length"));
    }
    let argument = if argument.is_empty() { String::new() } else { format!("({argument})") };
    safe.text.push_str(&format!("%{name}{argument}{length}%"));
    Ok(())
}

/// The length as it is written, with its colon.
fn check_length(name: &str, length: Option<&str>) -> Result<String, String> {
    match length {
        None => Ok(String::new()),
        Some(digits) if digits.parse::<u32>().is_ok() => Ok(format!(":{digits}")),
        Some(digits) => Err(format!("{name}: {digits:?} is not a length")),
    }
}

fn required(name: &str, argument: &str) -> Result<(), String> {
    if argument.is_empty() { Err(format!("{name} needs an argument")) } else { Ok(()) }
}

fn one_of(name: &str, argument: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&argument) {
        return Ok(());
    }
    let known: Vec<_> = known.iter().filter(|known| !known.is_empty()).copied().collect();
    match known.as_slice() {
        [] => Err(format!("{name} takes no argument")),
        known => Err(format!("{name}: {argument:?} is none of {}", known.join(", "))),
    }
}

/// `name` or `name?alternative`; gives it in lower case.
fn headers(name: &str, argument: &str) -> Result<String, String> {
    let lower = argument.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split('?').collect();
    if parts.len() > 2 {
        return Err(format!("{name}: {argument:?} has more than one alternative"));
    }
    for part in parts {
        let token = part.strip_prefix(':').unwrap_or(part);
        header::name_token(token).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(lower)
}

/// A header of the request. What clusters do to a request stands in its headers when the line is written, also the
/// credential of a provider. So the client's own header is taken down before. Only Envoy's own headers, which may be
/// written later, are read when the line is written: no credential can have such a name.
fn write_request_header(expression: &str, length: String, safe: &mut Safe) {
    let is_safe = expression.split('?').all(is_never_a_credential);
    if is_safe {
        safe.text.push_str(&format!("%REQ({expression}){length}%"));
        return;
    }
    let header = ClientHeader { expression: expression.to_owned(), default: None };
    safe.text.push_str(&format!("%FILTER_STATE({}:PLAIN){length}%", header.state_key()));
    safe.client_headers.insert(header);
}

/// Whether a header, lower case, can hold no credential of a backend: `crds::ai` refuses such names for them.
pub(super) fn is_never_a_credential(name: &str) -> bool {
    name.starts_with(':') || name.starts_with("x-envoy-")
}

fn filter_state(name: &str, argument: &str) -> Result<(), String> {
    let parts: Vec<&str> = argument.split(':').collect();
    let is_valid = match parts.as_slice() {
        [key] => !key.is_empty(),
        [key, kind] => !key.is_empty() && matches!(*kind, "PLAIN" | "TYPED"),
        [key, "FIELD", field] => !key.is_empty() && !field.is_empty(),
        _ => false,
    };
    // Ours hold what is nobody else's business.
    let is_ours = argument.starts_with("chancery.");
    match (is_valid, is_ours) {
        (true, false) => Ok(()),
        (true, true) => Err(format!("{name}: {argument:?} belongs to Chancery")),
        (false, _) => Err(format!("{name}: {argument:?} is not key, key:PLAIN, key:TYPED or key:FIELD:name")),
    }
}

fn metadata(argument: &str) -> Result<(), String> {
    let (kind, rest) = argument.split_once(':').unwrap_or((argument, ""));
    one_of("METADATA", kind, &["DYNAMIC", "CLUSTER", "ROUTE", "UPSTREAM_HOST", "LISTENER", "VIRTUAL_HOST"])?;
    required("METADATA", rest)
}

fn common_duration(argument: &str) -> Result<(), String> {
    let parts: Vec<&str> = argument.split(':').collect();
    match parts.as_slice() {
        [start, end] if !start.is_empty() && !end.is_empty() => Ok(()),
        [start, end, "ms" | "us" | "ns"] if !start.is_empty() && !end.is_empty() => Ok(()),
        _ => Err(format!("COMMON_DURATION: {argument:?} is not start:end or start:end:precision")),
    }
}

/// Envoy refuses a time that brings a line feed; `n` is one only directly behind what belongs to its conversion.
fn time(name: &str, argument: &str) -> Result<(), String> {
    let brings_line_feed = argument.split('%').skip(1).any(|conversion| {
        let rest =
            conversion.trim_start_matches(|char: char| "-_0^#".contains(char) || char.is_ascii_digit());
        rest.trim_start_matches(['E', 'O']).starts_with('n')
    });
    if brings_line_feed { Err(format!("{name}: %n would bring a line feed")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_as_envoy_takes_them() {
        for good in [
            "",
            "plain",
            "100%%",
            "%PROTOCOL%%DURATION%%%",
            "%RESP(a?b):5% %RESP(:status)%",
            "%START_TIME% %START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
            "%DYNAMIC_METADATA(ai.kgateway.io:total_tokens)% %DYNAMIC_METADATA(a):5%",
            "%FILTER_STATE(a)% %FILTER_STATE(a:FIELD:b):3%",
            "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
            "%GRPC_STATUS(NUMBER)% %PATH(NQ:ORIG):9% %PATH%",
            "%METADATA(ROUTE:a:b)% %CLUSTER_METADATA(a:b)% %ENVIRONMENT(A)% %QUERY_PARAM(a)%",
        ] {
            let read = read(good);
            assert_eq!(read.as_ref().map(|safe| safe.text.as_str()), Ok(good), "{good}");
        }
        for (bad, words) in [
            ("100%", "no valid command"),
            ("%DURATION%%", "no valid command"),
            ("%DURATION", "no valid command"),
            ("%REQ(a)x%", "no valid command"),
            ("%REQ(a):%", "not a length"),
            ("%duration%", "no valid command"),
            ("%THING%", "not a command"),
            ("%REQ%", "not a header name"),
            ("%REQ(a b)%", "not a header name"),
            ("%REQ(a?b?c)%", "more than one alternative"),
            ("%REQ(a):99999999999%", "not a length"),
            ("%RESP(a\nb)%", "control character"),
            ("%DURATION:5%", "has no length"),
            ("%DURATION(a)%", "takes no argument"),
            ("%START_TIME(%En)%", "line feed"),
            ("%START_TIME(%-3n)%", "line feed"),
            ("%DYNAMIC_METADATA%", "needs an argument"),
            ("%FILTER_STATE(a:PLAIN:b)%", "is not key"),
            ("%FILTER_STATE(chancery.ai.original)%", "belongs to Chancery"),
            ("%COMMON_DURATION(a:b:s)%", "is not start:end"),
            ("%GRPC_STATUS(x)%", "is none of"),
            ("%PATH(x)%", "is none of"),
            ("%METADATA(X:a)%", "is none of"),
            ("%CEL(request.path)%", "not supported yet"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(words), "{bad}: {error}");
        }
    }

    /// Whatever a format reads of a request's headers, but for Envoy's own, is the client's.
    #[test]
    fn headers_of_requests_are_taken_down_when_they_arrive() {
        let rows = [
            ("%REQ(Authorization)%", "%FILTER_STATE(chancery.client/authorization:PLAIN)%", 1),
            ("%REQ(X-A?:Path):5%", "%FILTER_STATE(chancery.client/x-a?/path:PLAIN):5%", 1),
            (
                "%STREAM_INFO_REQ(a)%%REQUEST_HEADER(A)%",
                "%FILTER_STATE(chancery.client/a:PLAIN)%%FILTER_STATE(chancery.client/a:PLAIN)%",
                1,
            ),
            (
                "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
                "%REQ(:method)% %REQ(x-envoy-original-path?:path)%",
                0,
            ),
        ];
        for (format, expected, headers) in rows {
            let safe = read(format).unwrap();
            assert_eq!((safe.text.as_str(), safe.client_headers.len()), (expected, headers), "{format}");
        }
    }
}
