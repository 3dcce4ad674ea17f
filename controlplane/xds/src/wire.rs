//! Responses as gRPC messages, assembled from shared bytes.
//!
//! Only the few fields around the resources are encoded per stream. A body is produced piece by piece as the
//! connection takes it, so a slow client holds references, not copies.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tonic::Status;

use crate::resource::put_field;
use crate::response::Response;
use crate::session::Form;

/// A compression flag and the length of the message (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX_LEN: usize = 5;

// Tags shared by `DiscoveryResponse` and `DeltaDiscoveryResponse`, but for the last. `resources` (2) comes
// encoded with each resource.
const VERSION_INFO_TAG: u32 = 1;
const TYPE_URL_TAG: u32 = 4;
const NONCE_TAG: u32 = 5;
const REMOVED_RESOURCES_TAG: u32 = 6;

/// Entries of at least this size go out as they are; smaller ones are gathered.
const SHARED_LEN: usize = 8 * 1024;
/// Gathered pieces are about this long.
const PIECE_LEN: usize = 32 * 1024;

/// One gRPC message, in pieces.
#[derive(Debug)]
pub(crate) struct Message {
    len: usize,
    head: BytesMut,
    entries: VecDeque<Bytes>,
}

impl Message {
    /// # Errors
    /// The message would be longer than gRPC can say (4 GiB).
    pub(crate) fn new(response: &Response, form: Form) -> Result<Self, Status> {
        let entries: VecDeque<Bytes> = response
            .resources
            .iter()
            .map(|resource| match form {
                Form::Delta => resource.delta_entry(),
                Form::Sotw => resource.any_entry(),
            })
            .collect();

        let mut fields = BytesMut::new();
        put_field(VERSION_INFO_TAG, response.version.to_string().as_bytes(), &mut fields);
        put_field(TYPE_URL_TAG, response.resource_type.type_url().as_bytes(), &mut fields);
        put_field(NONCE_TAG, response.nonce.to_string().as_bytes(), &mut fields);
        if form == Form::Delta {
            for name in &response.removed {
                put_field(REMOVED_RESOURCES_TAG, name.as_bytes(), &mut fields);
            }
        }

        let len = fields.len() + entries.iter().map(Bytes::len).sum::<usize>();
        let stated_len = u32::try_from(len)
            .map_err(|_| Status::out_of_range("the configuration exceeds the size of a gRPC message"))?;
        let mut head = BytesMut::with_capacity(PREFIX_LEN + fields.len());
        head.put_u8(0);
        head.put_u32(stated_len);
        head.extend_from_slice(&fields);
        Ok(Self { len: len + PREFIX_LEN, head, entries })
    }

    /// Length with the prefix.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The next piece; `None` at the end.
    fn next_piece(&mut self) -> Option<Bytes> {
        let mut piece = std::mem::take(&mut self.head);
        while piece.len() < PIECE_LEN {
            let Some(entry) = self.entries.pop_front() else { break };
            if entry.len() < SHARED_LEN {
                piece.extend_from_slice(&entry);
            } else if piece.is_empty() {
                return Some(entry);
            } else {
                self.entries.push_front(entry);
                break;
            }
        }
        (!piece.is_empty()).then(|| piece.freeze())
    }
}

/// The body of a streaming response: messages as they come, then the status as trailers.
#[derive(Debug)]
pub(crate) struct MessageBody {
    messages: mpsc::Receiver<Result<Message, Status>>,
    current: Option<Message>,
    ended: bool,
}

impl MessageBody {
    /// Ends with the first error, or with "ok" when the sender is dropped.
    pub(crate) fn new(messages: mpsc::Receiver<Result<Message, Status>>) -> Self {
        Self { messages, current: None, ended: false }
    }

    fn end(&mut self, status: &Status) -> Option<Result<Frame<Bytes>, Status>> {
        self.ended = true;
        let mut trailers = HeaderMap::new();
        Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
    }
}

impl Body for MessageBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(piece) = self.current.as_mut().and_then(Message::next_piece) {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            self.current = None;
            match std::task::ready!(self.messages.poll_recv(context)) {
                Some(Ok(message)) => self.current = Some(message),
                Some(Err(status)) => return Poll::Ready(self.end(&status)),
                None => return Poll::Ready(self.end(&Status::ok(""))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests;
