//! The rules of the routes, restated plainly for a request as a backend received it.

use e2e::recording::RecordedRequest;

/// The rule that should have kept a request from the open backend, if there is one.
pub(crate) fn guarded_by(request: &RecordedRequest) -> Option<&'static str> {
    let path = plain_path(request.path());
    if path == "/admin" || path.starts_with("/admin/") {
        return Some("PathPrefix /admin");
    }
    if path == "/exact" {
        return Some("Exact /exact");
    }
    // Whichever part of it a lenient server reads.
    let decoded = request.host.replace("%2e", ".").replace("%2E", ".");
    let mut names = decoded.split([',', ';', '@', ':', '/', '[', ']', ' ']);
    if names.any(|name| name.trim_end_matches('.').eq_ignore_ascii_case("admin.test")) {
        return Some("host admin.test");
    }
    if request.header_values("x-guard").iter().any(|value| value.trim() == "yes") {
        return Some("header x-guard");
    }
    (request.method == "PATCH").then_some("method PATCH")
}

/// A path as a server reads it that decodes escapes, takes a backslash for a slash, and resolves dots.
pub(crate) fn plain_path(path: &str) -> String {
    let mut decoded = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let ahead = bytes.as_slice_ahead();
        match (byte, ahead) {
            (b'%', Some(value)) => {
                decoded.push(value);
                bytes.nth(1);
            }
            (b'\\', _) => decoded.push(b'/'),
            (byte, _) => decoded.push(byte),
        }
    }
    let text = String::from_utf8_lossy(&decoded).replace('\\', "/");
    let mut elements: Vec<&str> = Vec::new();
    for element in text.split('/') {
        match element {
            "" | "." => {}
            ".." => drop(elements.pop()),
            element => elements.push(element),
        }
    }
    let is_folder = matches!(text.rsplit('/').next(), Some("" | "." | ".."));
    let end = if is_folder && !elements.is_empty() { "/" } else { "" };
    format!("/{}{end}", elements.join("/"))
}

trait Ahead {
    /// The value of the two hexadecimal digits that come next.
    fn as_slice_ahead(&self) -> Option<u8>;
}

impl Ahead for std::str::Bytes<'_> {
    fn as_slice_ahead(&self) -> Option<u8> {
        let mut next = self.clone();
        let digits = [next.next()?, next.next()?];
        let text = std::str::from_utf8(&digits).ok()?;
        text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u8::from_str_radix(text, 16).ok()).flatten()
    }
}

#[test]
fn the_oracle_reads_paths_as_a_lenient_server_does() {
    for (path, plain) in [
        ("/admin", "/admin"),
        ("//admin/", "/admin/"),
        ("/exact/x/..", "/exact/"),
        ("/x/../admin", "/admin"),
        ("/x/%2e%2E/%61dmin", "/admin"),
        ("/x%2f..%5cadmin", "/admin"),
        ("/%2561dmin", "/%61dmin"),
        ("/administrator", "/administrator"),
        ("/%zz", "/%zz"),
    ] {
        assert_eq!(plain_path(path), plain, "{path}");
    }
}
