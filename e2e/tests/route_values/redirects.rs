//! Redirects: scheme, host and port are the listener's and the filter's, whatever the client sends.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::World;

/// What a redirect filter says.
#[derive(Clone, Copy, Debug)]
struct Filter {
    scheme: Option<&'static str>,
    port: Option<u16>,
}

impl Filter {
    fn all() -> Vec<Self> {
        let schemes = [None, Some("http"), Some("https")];
        let ports = [None, Some(80), Some(443), Some(8443)];
        schemes.iter().flat_map(|&scheme| ports.map(|port| Self { scheme, port })).collect()
    }

    fn yaml(self) -> String {
        let scheme = self.scheme.map(|scheme| format!("scheme: {scheme}, ")).unwrap_or_default();
        let port = self.port.map(|port| format!("port: {port}, ")).unwrap_or_default();
        format!("{{type: RequestRedirect, requestRedirect: {{{scheme}{port}statusCode: 301}}}}")
    }

    /// Gateway API's words on `HTTPRequestRedirectFilter.port`, for a listener of plain HTTP.
    fn location(self, host: &str, listener_port: u16, path: &str) -> String {
        let scheme = self.scheme.unwrap_or("http");
        let own = if scheme == "https" { 443 } else { 80 };
        let port = self.port.unwrap_or(if self.scheme.is_some() { own } else { listener_port });
        let port = if port == own { String::new() } else { format!(":{port}") };
        format!("{scheme}://{host}{port}{path}")
    }
}

/// Hostnames of routes, each with a host that a client may ask for.
const HOSTS: [(&str, &str); 3] =
    [("exact.test", "exact.test"), ("*.wild.test", "a.wild.test"), ("", "any.other")];

fn documents() -> String {
    let mut documents = String::new();
    for (number, (hostname, _)) in HOSTS.iter().enumerate() {
        let hostnames =
            if hostname.is_empty() { String::new() } else { format!("  hostnames: [\"{hostname}\"]\n") };
        let rules: String = Filter::all()
            .iter()
            .enumerate()
            .map(|(index, filter)| {
                format!("  - matches: [{{path: {{value: /f{index}}}}}]\n    filters: [{}]\n", filter.yaml())
            })
            .collect();
        documents += &format!(
            "\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r{number}}}\nspec:\n  \
             parentRefs: [{{name: gw}}]\n{hostnames}  rules:\n{rules}"
        );
    }
    documents
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_says_scheme_host_and_port_of_the_listener_whatever_the_client_sends() -> Result<()> {
    let world = World::start(&documents()).await?;
    let own = world.fixture.port;
    let mut asked = 0;
    for (_, host) in HOSTS {
        for (index, filter) in Filter::all().into_iter().enumerate() {
            let path = format!("/f{index}/x:443/y?q=:80/");
            let expected = filter.location(host, own, &path);
            for port in
                ["".to_owned(), ":80".to_owned(), ":443".to_owned(), ":8080".to_owned(), format!(":{own}")]
            {
                let authority = format!("{host}{port}");
                let answer = world.ask(Method::GET, &authority, &path, &[]).await?;
                ensure!(
                    answer.header("location") == Some(&expected),
                    "{filter:?} {authority}: {:?}, not {expected}",
                    answer.header("location")
                );
                asked += 1;
            }
            for scheme in ["http", "https", "javascript"] {
                let authority = format!("{host}:8380");
                let location = over_http2(&world, scheme, &authority, &path).await?;
                ensure!(
                    location.as_deref().is_none_or(|location| location == expected),
                    "{filter:?} {scheme}: {location:?}, not {expected}"
                );
                ensure!(scheme != "http" || location.is_some(), "HTTP/2 is served");
                let location = absolute_form(&world, scheme, &authority, &path).await?;
                ensure!(
                    location.as_deref().is_none_or(|location| location == expected),
                    "{filter:?} absolute {scheme}: {location:?}, not {expected}"
                );
                asked += 2;
            }
        }
    }
    println!("{asked} redirects");
    Ok(())
}

/// The host of the request is an address, in which the last colon need not begin a port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_keeps_the_colons_of_an_ipv6_address() -> Result<()> {
    let world = World::start(&documents()).await?;
    let index =
        Filter::all().iter().position(|filter| filter.scheme == Some("https") && filter.port.is_none());
    let path = format!("/f{}", index.context("a filter")?);
    for (host, expected) in
        [("[::1]", "[::1]"), ("[::1]:8080", "[::1]"), ("[2001:db8::443]:443", "[2001:db8::443]")]
    {
        let answer = world.ask(Method::GET, host, &path, &[]).await?;
        assert_eq!(answer.header("location"), Some(format!("https://{expected}{path}").as_str()), "{host}");
    }
    Ok(())
}

/// The `Location` over cleartext HTTP/2 with a `:scheme` of the client's choice; `None` if it is refused.
async fn over_http2(world: &World, scheme: &str, authority: &str, path: &str) -> Result<Option<String>> {
    let io = TokioIo::new(TcpStream::connect(world.fixture.address()).await?);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    let connection = tokio::spawn(connection);
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build()?;
    let answer = sender.send_request(Request::get(uri).body(Empty::<Bytes>::new())?).await;
    connection.abort();
    Ok(answer.ok().and_then(|answer| Some(answer.headers().get("location")?.to_str().ok()?.to_owned())))
}

/// The `Location` over HTTP/1.1 for a target in absolute form; `None` if it is refused.
async fn absolute_form(world: &World, scheme: &str, authority: &str, path: &str) -> Result<Option<String>> {
    let mut stream = TcpStream::connect(world.fixture.address()).await?;
    let request = format!(
        "GET {scheme}://{authority}{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    // Envoy closes some time after it has refused: the end of the headers is all that is waited for.
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") && stream.read_buf(&mut answer).await? > 0 {}
    Ok(String::from_utf8(answer)?.lines().find_map(|line| line.strip_prefix("location: ")).map(str::to_owned))
}
