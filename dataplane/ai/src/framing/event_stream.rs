//! `application/vnd.amazon.eventstream`: the binary framing of Bedrock's streams.
//!
//! A message is: total length, length of headers, CRC-32 of these eight bytes, headers, payload,
//! CRC-32 of everything before it; all numbers big-endian.

use super::{DEFAULT_EVENT_LIMIT, FramingError};

const PRELUDE: usize = 12;
const TRAILER: usize = 4;

/// One message, borrowed from the decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The headers that hold text, in their order. Headers of other types are checked and left out.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The payload.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// The value of a text header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// `:message-type`: `event`, `exception` or `error`.
    pub fn message_type(&self) -> &str {
        self.header(":message-type").unwrap_or("event")
    }

    /// `:event-type`, or `:exception-type` or `:error-code` of a failure.
    pub fn kind(&self) -> &str {
        [":event-type", ":exception-type", ":error-code"]
            .into_iter()
            .find_map(|name| self.header(name))
            .unwrap_or("")
    }
}

/// An incremental decoder, which holds no more than one message.
#[derive(Debug)]
pub struct EventStreamDecoder {
    limit: usize,
    buffer: Vec<u8>,
}

impl Default for EventStreamDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl EventStreamDecoder {
    /// A decoder that accepts messages of up to 1 MiB.
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_EVENT_LIMIT)
    }

    /// A decoder that accepts messages of up to `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self { limit, buffer: Vec::new() }
    }

    /// Takes the next bytes and calls `on_message` for each message they complete.
    ///
    /// # Errors
    /// When a checksum or length is wrong or a message exceeds the limit. The decoder is of no use
    /// after it: there is no way to find the beginning of the next message.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut on_message: impl FnMut(Message<'_>),
    ) -> Result<(), FramingError> {
        let mut rest = bytes;
        loop {
            let wanted = match self.total_length()? {
                Some(total) => total,
                None => PRELUDE,
            };
            let missing = wanted.saturating_sub(self.buffer.len());
            let (now, later) = rest.split_at(missing.min(rest.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() < wanted {
                return Ok(());
            }
            if self.total_length()? == Some(self.buffer.len()) {
                on_message(decode(&self.buffer)?);
                self.buffer.clear();
            }
        }
    }

    /// Whether the stream ended between two messages.
    pub fn is_complete(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The length of the message whose prelude has arrived, once that is checked.
    fn total_length(&self) -> Result<Option<usize>, FramingError> {
        let Some((prelude, _)) = self.buffer.split_first_chunk::<PRELUDE>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *prelude;
        if crc32(&[a, b, c, d, e, f, g, h]) != u32::from_be_bytes([i, j, k, l]) {
            return Err(FramingError::Checksum);
        }
        let total = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let headers = usize::try_from(u32::from_be_bytes([e, f, g, h])).unwrap_or(usize::MAX);
        if total > self.limit {
            return Err(FramingError::TooLarge { limit: self.limit });
        }
        if headers.saturating_add(PRELUDE + TRAILER) > total {
            return Err(FramingError::Malformed("the headers are longer than the message"));
        }
        Ok(Some(total))
    }
}

fn decode(message: &[u8]) -> Result<Message<'_>, FramingError> {
    const SHORT: FramingError = FramingError::Malformed("it is too short");
    let (checked, trailer) = message.split_last_chunk::<TRAILER>().ok_or(SHORT)?;
    if crc32(checked) != u32::from_be_bytes(*trailer) {
        return Err(FramingError::Checksum);
    }
    let mut prelude = Reader(checked);
    prelude.take(4)?;
    let length = prelude.number::<4>()?;
    prelude.take(4)?;
    let headers = prelude.take(length)?;
    Ok(Message { headers: decode_headers(headers)?, payload: prelude.0 })
}

fn decode_headers(bytes: &[u8]) -> Result<Vec<(&str, &str)>, FramingError> {
    let mut reader = Reader(bytes);
    let mut headers = Vec::new();
    while !reader.0.is_empty() {
        let length = reader.number::<1>()?;
        let name = reader.text(length)?;
        match reader.number::<1>()? {
            0 | 1 => (),
            2 => drop(reader.take(1)?),
            3 => drop(reader.take(2)?),
            4 => drop(reader.take(4)?),
            5 | 8 => drop(reader.take(8)?),
            6 => {
                let length = reader.number::<2>()?;
                reader.take(length)?;
            }
            7 => {
                let length = reader.number::<2>()?;
                headers.push((name, reader.text(length)?));
            }
            9 => drop(reader.take(16)?),
            _ => return Err(FramingError::Malformed("a header has an unknown type")),
        }
    }
    Ok(headers)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FramingError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(FramingError::Malformed("a field ends after the message"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<usize, FramingError> {
        Ok(self.take(N)?.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
    }

    fn text(&mut self, length: usize) -> Result<&'a str, FramingError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| FramingError::Malformed("a header is not UTF-8"))
    }
}

/// Appends one message with text headers to `out`.
///
/// # Errors
/// When a header or the message does not fit the lengths of the format.
pub fn write_message(
    out: &mut Vec<u8>,
    headers: &[(&str, &str)],
    payload: &[u8],
) -> Result<(), FramingError> {
    const LONG: FramingError = FramingError::Malformed("a field is too long");
    let mut encoded = Vec::new();
    for (name, value) in headers {
        encoded.push(u8::try_from(name.len()).map_err(|_| LONG)?);
        encoded.extend_from_slice(name.as_bytes());
        encoded.push(7);
        encoded.extend_from_slice(&u16::try_from(value.len()).map_err(|_| LONG)?.to_be_bytes());
        encoded.extend_from_slice(value.as_bytes());
    }
    let total = PRELUDE + encoded.len() + payload.len() + TRAILER;
    let mut message = Vec::with_capacity(total);
    message.extend_from_slice(&u32::try_from(total).map_err(|_| LONG)?.to_be_bytes());
    message.extend_from_slice(&u32::try_from(encoded.len()).map_err(|_| LONG)?.to_be_bytes());
    message.extend_from_slice(&crc32(&message).to_be_bytes());
    message.extend_from_slice(&encoded);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32(&message).to_be_bytes());
    out.extend_from_slice(&message);
    Ok(())
}

/// Appends an event of a Bedrock stream: `:event-type`, JSON payload.
///
/// # Errors
/// When the event does not fit the lengths of the format.
pub fn write_json_event(out: &mut Vec<u8>, kind: &str, payload: &str) -> Result<(), FramingError> {
    let headers = [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    write_message(out, &headers, payload.as_bytes())
}

const CRC_TABLE: [u32; 256] = crc_table();

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time only")]
const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

/// CRC-32 as in gzip and Ethernet.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        let index = usize::from(crc.to_le_bytes()[0] ^ byte);
        CRC_TABLE.get(index).copied().unwrap_or_default() ^ (crc >> 8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = (Vec<(String, String)>, Vec<u8>);

    fn parse(chunks: &[&[u8]]) -> Result<Vec<Owned>, FramingError> {
        let mut decoder = EventStreamDecoder::new();
        let mut messages = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, |m| {
                let headers = m.headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
                messages.push((headers, m.payload.to_vec()));
            })?;
        }
        Ok(messages)
    }

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        write_json_event(&mut out, "messageStart", r#"{"role":"assistant"}"#).unwrap();
        write_message(&mut out, &[], b"").unwrap();
        write_json_event(&mut out, "messageStop", r#"{"stopReason":"end_turn"}"#).unwrap();
        out
    }

    #[test]
    fn the_checksum_is_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_published_empty_message_is_read() {
        // The smallest message: no headers, no payload.
        let bytes = [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
        assert_eq!(parse(&[&bytes]).unwrap(), [(vec![], vec![])]);
    }

    #[test]
    fn every_split_gives_the_same_messages() {
        let bytes = sample();
        let whole = parse(&[&bytes]).unwrap();
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[2].1, br#"{"stopReason":"end_turn"}"#);
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(parse(&[head, tail]).unwrap(), whole, "split at {at}");
        }
    }

    #[test]
    fn a_changed_byte_is_an_error() {
        let bytes = sample();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(parse(&[&changed]).is_err(), "byte {at}");
        }
    }

    #[test]
    fn all_types_of_headers_are_stepped_over() {
        let mut headers: Vec<u8> = Vec::new();
        for (kind, length) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
            headers.extend([1, b'h', kind]);
            headers.extend(vec![0u8; length]);
        }
        headers.extend([1, b'h', 6, 0, 2, 1, 2]);
        headers.extend([1, b't', 7, 0, 1, b'v']);
        assert_eq!(decode_headers(&headers).unwrap(), [("t", "v")]);
        assert!(decode_headers(&[1, b'h', 10]).is_err());
        assert!(decode_headers(&[5, b'h']).is_err());
    }

    #[test]
    fn the_limit_is_kept() {
        let mut out = Vec::new();
        write_message(&mut out, &[], &[0; 100]).unwrap();
        let mut decoder = EventStreamDecoder::with_limit(99);
        assert_eq!(decoder.push(&out[..12], |_| ()), Err(FramingError::TooLarge { limit: 99 }));
    }
}
