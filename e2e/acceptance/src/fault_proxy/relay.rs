//! Bodies of answers on their way through the proxy.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use tokio::sync::{mpsc, watch};

use super::{Fault, Faults};
use crate::Collection;

/// The event that ends a watch that is too far behind.
const EXPIRED: &str = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"too old resource version: 1 (2)","reason":"Expired","code":410}}"#,
    "\n"
);

/// Pieces that may wait for the caller.
const QUEUE: usize = 16;

type Piece = Result<Frame<Bytes>, io::Error>;

/// A body that is made while it is sent.
#[derive(Debug)]
pub(super) enum Relay {
    /// All of it, once.
    Whole(Option<Bytes>),
    /// As it comes.
    Plain(Incoming),
    /// What a task makes of it.
    Made(mpsc::Receiver<Piece>),
    /// Nothing, for ever.
    Silent,
}

impl Relay {
    pub(super) fn whole(body: Bytes) -> Self {
        Self::Whole(Some(body))
    }

    pub(super) fn plain(body: Incoming) -> Self {
        Self::Plain(body)
    }

    pub(super) fn silent() -> Self {
        Self::Silent
    }

    pub(super) fn expired() -> Self {
        Self::whole(Bytes::from_static(EXPIRED.as_bytes()))
    }

    /// The events of a watch, subject to the faults of its kind.
    pub(super) fn watched(body: Incoming, collection: Collection, faults: watch::Receiver<Faults>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(pass_on(body, collection, faults, sender));
        Self::Made(receiver)
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        match &mut *self {
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Plain(body) => Pin::new(body)
                .poll_frame(context)
                .map(|piece| piece.map(|piece| piece.map_err(io::Error::other))),
            Self::Made(receiver) => receiver.poll_recv(context),
            Self::Silent => Poll::Pending,
        }
    }
}

/// Passes whole lines on until the watch ends or a fault ends it.
async fn pass_on(
    mut body: Incoming,
    collection: Collection,
    mut faults: watch::Receiver<Faults>,
    sender: mpsc::Sender<Piece>,
) {
    let mut buffer = BytesMut::new();
    loop {
        let fault = faults.borrow_and_update().of(collection);
        match fault {
            Some(Fault::Expired) => {
                let _ = sender.send(data(Bytes::from_static(EXPIRED.as_bytes()))).await;
                return;
            }
            Some(Fault::Status(_)) => return,
            // The watch is as dead after the fault as in it.
            Some(Fault::HalfOpen) => return sender.closed().await,
            Some(Fault::Truncated | Fault::Delayed | Fault::Empty) | None => {}
        }
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let mut line = buffer.split_to(end + 1);
            let is_cut = fault == Some(Fault::Truncated);
            if is_cut {
                line.truncate(line.len() / 2);
            }
            if sender.send(data(line.freeze())).await.is_err() {
                return;
            }
            if is_cut {
                // The connection breaks: there is no end of the answer.
                let _ = sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                return;
            }
        }
        tokio::select! {
            frame = body.frame() => match frame {
                Some(Ok(frame)) => buffer.extend(frame.into_data().unwrap_or_default()),
                Some(Err(_)) | None => return,
            },
            Ok(()) = faults.changed() => {}
            () = sender.closed() => return,
        }
    }
}

fn data(bytes: Bytes) -> Piece {
    Ok(Frame::data(bytes))
}
