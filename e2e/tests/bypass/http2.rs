//! HTTP/2, frame by frame: header blocks of plain literals, which say what a library would refuse to say.

use anyhow::Result;

use super::End::{self, Guard, Nowhere, Open};
use super::{CASE, Case, World, run};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [head.as_slice(), &stream.to_be_bytes(), payload].concat()
}

/// A string without Huffman coding (RFC 7541 §5.2).
fn string(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if text.len() < 127 {
        bytes.push(text.len() as u8);
    } else {
        bytes.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            bytes.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        bytes.push(rest as u8);
    }
    bytes.extend_from_slice(text);
    bytes
}

/// A whole connection with one request: the fields as they are, and a body if there is one.
pub(crate) fn connection(fields: &[(Vec<u8>, Vec<u8>)], body: Option<&[u8]>) -> Vec<u8> {
    // Literal header fields without indexing (RFC 7541 §6.2.2).
    let block: Vec<u8> =
        fields.iter().flat_map(|(name, value)| [vec![0], string(name), string(value)].concat()).collect();
    let flags = if body.is_none() { END_HEADERS | END_STREAM } else { END_HEADERS };
    let data = body.map(|body| frame(DATA, END_STREAM, 1, body)).unwrap_or_default();
    [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, flags, 1, &block), &data].concat()
}

type Fields<'a> = &'a [(&'static str, &'static str)];

fn fields(fields: Fields<'static>, body: Option<&'static str>, end: End) -> Case {
    let bytes = move |case: &str| {
        let own = fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let all: Vec<_> = own.chain([(CASE.into(), case.into())]).collect();
        connection(&all, body.map(str::as_bytes))
    };
    Case {
        family: "http2",
        what: format!("HTTP/2 {fields:?} {body:?}"),
        bytes: Box::new(bytes),
        end,
        status: &[],
    }
}

macro_rules! get {
    ($path:expr $(, $field:expr)*) => {
        &[(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", $path) $(, $field)*]
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_requests_are_served_by_the_rule_of_what_is_forwarded() -> Result<()> {
    let world = World::start().await?;
    let cases = vec![
        fields(get!("/"), None, Open),
        fields(get!("/admin"), None, Guard),
        fields(get!("/%61dmin"), None, Guard),
        fields(get!("/x/../admin"), None, Guard),
        fields(get!("/x/..;/admin"), None, Guard),
        fields(get!("//admin"), None, Guard),
        fields(get!("/x%2f..%2fadmin"), None, Nowhere),
        fields(get!("/x\\..\\admin"), None, Guard),
        fields(get!("/%252fadmin"), None, Open),
        fields(get!("/admin%00"), None, Nowhere),
        fields(get!("/admin#x"), None, Nowhere),
        fields(get!("/admin x"), None, Nowhere),
        fields(get!("/admin\tx"), None, Nowhere),
        fields(get!("/\u{e4}"), None, Open),
        fields(get!(""), None, Nowhere),
        fields(get!("admin"), None, Nowhere),
        fields(get!("*"), None, Nowhere),
        fields(get!("http://admin.test/"), None, Nowhere),
        fields(get!("/", ("x-guard", "yes")), None, Guard),
        fields(get!("/", ("x_guard", "yes")), None, Nowhere),
        fields(get!("/", ("X-Guard", "yes")), None, Nowhere),
        fields(get!("/", ("x-guard ", "yes")), None, Nowhere),
        fields(get!("/", ("x-a", "b\r\nx-guard: yes")), None, Nowhere),
        fields(get!("/", ("x-a", "b\nx-guard: yes")), None, Nowhere),
        fields(get!("/", ("x-a", "b\0")), None, Nowhere),
        fields(get!("/", ("x-a\r\nx-guard", "yes")), None, Nowhere),
        fields(get!("/", ("connection", "x-guard")), None, Nowhere),
        fields(get!("/", ("transfer-encoding", "chunked")), None, Nowhere),
        fields(get!("/", ("keep-alive", "1")), None, Nowhere),
        fields(get!("/", ("upgrade", "h2c")), None, Nowhere),
        fields(get!("/", ("te", "trailers")), None, Open),
        fields(get!("/", ("te", "gzip")), None, Nowhere),
        fields(get!("/", (":path", "/admin")), None, Nowhere),
        fields(get!("/", (":authority", "admin.test")), None, Nowhere),
        fields(get!("/", (":unknown", "x")), None, Nowhere),
        fields(get!("/", ("", "x")), None, Nowhere),
        fields(
            &[
                ("x-a", "b"),
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a.test"),
                (":path", "/"),
            ],
            None,
            Nowhere,
        ),
        fields(
            &[(":method", "GET"), (":scheme", "http"), (":authority", "admin.test"), (":path", "/")],
            None,
            Guard,
        ),
        fields(
            &[(":method", "GET"), (":scheme", "http"), (":authority", "ADMIN.test.:80"), (":path", "/")],
            None,
            Guard,
        ),
        fields(
            &[(":method", "GET"), (":scheme", "http"), (":authority", "x@admin.test"), (":path", "/")],
            None,
            Nowhere,
        ),
        fields(get!("/", ("host", "admin.test")), None, Open),
        fields(
            &[(":method", "GET"), (":scheme", "http"), (":authority", "admin.test..."), (":path", "/")],
            None,
            Nowhere,
        ),
        fields(
            &[(":method", "GET"), (":scheme", "http"), (":authority", "admin.test,a.test"), (":path", "/")],
            None,
            Nowhere,
        ),
        fields(
            &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "admin.test")],
            None,
            Guard,
        ),
        fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/")], None, Nowhere),
        fields(&[(":scheme", "http"), (":authority", "a.test"), (":path", "/")], None, Nowhere),
        fields(&[(":method", "GET"), (":authority", "a.test"), (":path", "/")], None, Nowhere),
        fields(&[(":method", "GET"), (":scheme", "http"), (":authority", "a.test")], None, Nowhere),
        fields(
            &[(":method", "PATCH"), (":scheme", "http"), (":authority", "a.test"), (":path", "/")],
            None,
            Guard,
        ),
        fields(
            &[(":method", "G T"), (":scheme", "http"), (":authority", "a.test"), (":path", "/")],
            None,
            Nowhere,
        ),
        fields(
            &[(":method", "GET"), (":scheme", "javascript"), (":authority", "a.test"), (":path", "/admin")],
            None,
            Guard,
        ),
        fields(&[(":method", "CONNECT"), (":authority", "admin.test:80")], None, Nowhere),
        fields(
            &[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", "a.test"),
                (":path", "/"),
            ],
            None,
            Nowhere,
        ),
        fields(
            &[
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "a.test"),
                (":path", "/"),
                ("content-length", "3"),
            ],
            Some("abc"),
            Open,
        ),
        fields(
            &[
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "a.test"),
                (":path", "/"),
                ("content-length", "3"),
            ],
            Some("abcdef"),
            Nowhere,
        ),
        fields(
            &[
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "a.test"),
                (":path", "/"),
                ("content-length", "9"),
            ],
            Some("abc"),
            Nowhere,
        ),
        fields(
            &[
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "a.test"),
                (":path", "/"),
                ("content-length", "3"),
                ("content-length", "4"),
            ],
            Some("abc"),
            Nowhere,
        ),
        fields(
            &[
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "a.test"),
                (":path", "/"),
                ("content-length", "+3"),
            ],
            Some("abc"),
            Nowhere,
        ),
    ];
    run(&world, cases).await
}
