//! BackendConfigPolicies whose backends are told the addresses of clients (PROXY protocol).

use std::net::SocketAddr;

use anyhow::Result;
use e2e::fixture::DEADLINE;
use e2e::http::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::backends::raw;

/// A backend that answers each request with the bytes that have come before it on its connection, in hexadecimal digits, and keeps the
/// connection.
async fn start_backend() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    Ok(port)
}

async fn answer(mut stream: TcpStream) -> Result<()> {
    let mut first = None;
    loop {
        let mut bytes = Vec::new();
        let request = |bytes: &[u8]| bytes.windows(5).position(|bytes| bytes == b"GET /");
        // The protocol's signature has the end of a request's head in it.
        while !(bytes.ends_with(b"\r\n\r\n") && request(&bytes).is_some()) {
            bytes.push(stream.read_u8().await?);
        }
        let at = request(&bytes).unwrap_or_default();
        let before = bytes.iter().take(at).map(|byte| format!("{byte:02x}")).collect::<String>();
        let before = first.get_or_insert(before);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{before}", before.len());
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// Asks from this address of loopback: what the backend has read before the request, and the port of the client.
async fn ask_from(address: &str, gateway: SocketAddr) -> Result<(String, u16)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(address.parse()?, 0))?;
    let mut stream = socket.connect(gateway).await?;
    let port = stream.local_addr()?.port();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    anyhow::ensure!(text.starts_with("HTTP/1.1 200 "), "{text}");
    Ok((text.rsplit("\r\n").next().unwrap_or_default().to_owned(), port))
}

fn text(digits: &str) -> String {
    let bytes =
        (0..digits.len()).step_by(2).filter_map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_connection_begins_with_the_addresses_of_its_client() -> Result<()> {
    for members in ["connectTimeout: 5s", "upstreamProxyProtocol: {}", "upstreamProxyProtocol: {version: V2}"]
    {
        let fixture = raw(start_backend().await?, members).await?;
        let gateway = fixture.address();
        eventually(DEADLINE, || ask_from("127.0.0.1", gateway)).await?;
        for client in ["127.0.0.2", "127.0.0.3", "127.0.0.2"] {
            let (before, port) = ask_from(client, gateway).await?;
            let last = client.rsplit('.').next().unwrap_or_default();
            match members {
                "connectTimeout: 5s" => assert_eq!(before, ""),
                "upstreamProxyProtocol: {}" => {
                    let expected = format!("PROXY TCP4 {client} 127.0.0.1 {port} {}\r\n", gateway.port());
                    assert_eq!(text(&before), expected, "{members}");
                }
                // The signature; version 2, proxied; TCP over IPv4; 12 bytes of addresses (§2.2 of the protocol).
                _ => {
                    let addresses = format!("7f0000{last:0>2}7f000001{port:04x}{:04x}", gateway.port());
                    assert_eq!(before, format!("0d0a0d0a000d0a515549540a2111000c{addresses}"), "{members}");
                }
            }
        }
    }
    Ok(())
}
