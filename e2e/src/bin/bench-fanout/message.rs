//! Reads delta responses as they come, without keeping them.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use bytes::{Buf as _, BytesMut};
use prost013::Message as _;
use prost013::encoding::decode_varint;
use xds_api::pb::envoy::service::discovery::v3::Resource;

/// A compression flag and the length of the message.
const PREFIX_LEN: usize = 5;

const RESOURCES: u64 = 2;
const TYPE_URL: u64 = 4;
const NONCE: u64 = 5;
/// The wire type of strings and messages, which is that of all fields of a response.
const LENGTH_DELIMITED: u64 = 2;

/// Names and versions, by type URL.
pub(crate) type Versions = BTreeMap<String, BTreeMap<String, String>>;

/// A response, as far as it matters.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) type_url: String,
    pub(crate) nonce: String,
}

/// The reader of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pending: BytesMut,
    /// Whether the prefix of a message was read.
    in_message: bool,
    /// How much of the message is left.
    left: usize,
    /// How much of that comes next and is not looked at.
    skip: usize,
    head: Head,
    /// The names and versions in the message; only if `records`.
    versions: Vec<(String, String)>,
    records: bool,
}

impl Reader {
    /// One that `records` the versions it sees.
    pub(crate) fn new(records: bool) -> Self {
        Self { records, ..Self::default() }
    }

    /// Takes what arrived; returns the responses that are complete by that, and notes in `versions` what they bring.
    pub(crate) fn take(&mut self, data: &[u8], versions: &mut Versions) -> Result<Vec<Head>> {
        self.pending.extend_from_slice(data);
        let mut complete = Vec::new();
        loop {
            let skipped = self.skip.min(self.pending.len());
            self.pending.advance(skipped);
            self.skip -= skipped;
            self.left -= skipped;
            if self.skip > 0 {
                return Ok(complete);
            }
            if !self.in_message {
                if self.pending.len() < PREFIX_LEN {
                    return Ok(complete);
                }
                self.pending.advance(1);
                self.left = self.pending.get_u32() as usize;
                self.in_message = true;
            } else if self.left == 0 {
                self.in_message = false;
                complete.push(self.end(versions));
            } else if !self.take_field()? {
                return Ok(complete);
            }
        }
    }

    fn end(&mut self, versions: &mut Versions) -> Head {
        let head = std::mem::take(&mut self.head);
        if self.records {
            versions.entry(head.type_url.clone()).or_default().extend(self.versions.drain(..));
        }
        head
    }

    /// Takes or skips the next field; false if too little of it has arrived.
    fn take_field(&mut self) -> Result<bool> {
        let mut rest = &self.pending[..];
        let (Ok(key), Ok(len)) = (decode_varint(&mut rest), decode_varint(&mut rest)) else {
            return Ok(false);
        };
        let header = self.pending.len() - rest.len();
        let len = usize::try_from(len)?;
        let field = key >> 3;
        ensure!(key & 7 == LENGTH_DELIMITED, "field {field} is none of a response");
        let is_wanted = matches!(field, TYPE_URL | NONCE) || self.records && field == RESOURCES;
        if is_wanted && rest.len() < len {
            return Ok(false);
        }
        ensure!(header + len <= self.left, "a field is longer than its message");
        self.pending.advance(header);
        self.left -= header;
        if !is_wanted {
            self.skip = len;
            return Ok(true);
        }
        self.left -= len;
        let value = self.pending.split_to(len);
        match field {
            TYPE_URL => self.head.type_url = String::from_utf8(value.to_vec())?,
            NONCE => self.head.nonce = String::from_utf8(value.to_vec())?,
            _ => {
                let resource = Resource::decode(&*value)?;
                self.versions.push((resource.name, resource.version));
            }
        }
        Ok(true)
    }
}
