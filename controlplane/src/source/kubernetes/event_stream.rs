//! The answer to a watch: one event per line, for as long as the connection lasts.
//!
//! Not kube's `request_events`: it takes the page with which an API server refuses a watch (a text, where
//! it does not know the kind) for an event that it cannot read.

use std::time::Duration;

use bytes::BytesMut;
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::api::WatchEvent;
use kube::client::Body;
use kube::core::Status;
use serde_json::Value;
use tokio::time::timeout;

use super::end::End;

/// Bytes of a refusal that are read.
const MAX_REFUSAL_LEN: usize = 64 * 1024;

/// The events of one watch.
pub(super) struct EventStream {
    body: Body,
    /// What came and is not yet a whole line.
    buffer: BytesMut,
    /// Bytes at its start that hold no end of a line.
    searched: usize,
}

impl EventStream {
    /// Begins a watch.
    pub(super) async fn open(
        client: &Client,
        request: http::Request<Vec<u8>>,
        patience: Duration,
    ) -> Result<Self, End> {
        let answer = timeout(patience, client.send(request.map(Body::from))).await;
        let response = answer.map_err(|_| End::silent())?.map_err(|error| End::from(&error))?;
        if response.status().is_success() {
            return Ok(Self { body: response.into_body(), buffer: BytesMut::new(), searched: 0 });
        }
        let code = response.status().as_u16();
        let page = timeout(patience, Limited::new(response.into_body(), MAX_REFUSAL_LEN).collect()).await;
        let page = page.map_err(|_| End::silent())?;
        let status = page.ok().and_then(|page| serde_json::from_slice::<Status>(&page.to_bytes()).ok());
        Err(End::of_status(code, &status.unwrap_or_default()))
    }

    /// The next event; [`End::Ended`] if there is none in time.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<WatchEvent<Value>, End> {
        timeout(patience, self.read()).await.unwrap_or(Err(End::Ended))
    }

    async fn read(&mut self) -> Result<WatchEvent<Value>, End> {
        loop {
            let end_of_line = self.buffer.iter().skip(self.searched).position(|byte| *byte == b'\n');
            if let Some(position) = end_of_line {
                let line = self.buffer.split_to(self.searched + position + 1);
                self.searched = 0;
                // What cannot be read is not quoted: it may be a Secret.
                return serde_json::from_slice(&line).map_err(|_| End::unreadable());
            }
            self.searched = self.buffer.len();
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                // Half an event comes again, whole, when the watch goes on.
                Some(Err(_)) | None => return Err(End::Ended),
            }
        }
    }
}
