//! `appProtocol: kubernetes.io/ws`: a connection becomes a WebSocket, and only where the backend says so.

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::scene::{Scene, route, service};

const HANDSHAKE: &str = "Host: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A server that agrees to every WebSocket, and sends back what comes through it.
async fn upgrading() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let head = read_head(&mut stream).await?.to_ascii_lowercase();
                let answer = match head.contains("upgrade: websocket") {
                    true => {
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                    }
                    false => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                };
                stream.write_all(answer.as_bytes()).await?;
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await?;
                anyhow::Ok(())
            });
        }
    });
    Ok(port)
}

/// Reads up to the empty line.
async fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.context("the end of a head")?);
    }
    Ok(String::from_utf8(head)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_becomes_a_websocket_where_the_backend_says_so() -> Result<()> {
    let port = upgrading().await?;
    let rules = r#"
  - matches: [{path: {value: /ws}}]
    timeouts: {request: 200ms}
    backendRefs: [{name: socket, port: 80}]
  - backendRefs: [{name: plain, port: 80}]"#;
    let objects = [
        route("route", "", rules),
        service("socket", ", appProtocol: kubernetes.io/ws", &[port]),
        service("plain", "", &[port]),
    ];
    let scene = Scene::start_with(&objects.join("---\n")).await?;
    for (path, status) in [("/ws", "101"), ("/plain", "403")] {
        let mut stream = TcpStream::connect(scene.fixture.address()).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\n{HANDSHAKE}").as_bytes()).await?;
        let head = read_head(&mut stream).await?;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}");
        if status == "101" {
            // The limit of a request is no limit of what becomes of it.
            for message in ["first", "second"] {
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                stream.write_all(message.as_bytes()).await?;
                let mut back = vec![0; message.len()];
                stream.read_exact(&mut back).await?;
                assert_eq!(back, message.as_bytes());
            }
        }
    }
    Ok(())
}
