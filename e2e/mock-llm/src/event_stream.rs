//! The binary framing of AWS event streams (`application/vnd.amazon.eventstream`).
//!
//! A message is: its length, the length of its headers, a CRC of these two, the headers, the payload, and a
//! CRC of all before it. Numbers are big-endian. A header is the length of its name, the name, a type (7 for
//! text), the length of the value, and the value.

/// The type of a header that is text.
const TEXT: u8 = 7;
/// Two lengths and their CRC.
const PRELUDE: usize = 12;
/// The CRC at the end.
const TRAILER: usize = 4;

/// One message with text headers and a payload.
#[must_use]
pub fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    for (name, value) in headers {
        fields.push(name.len() as u8);
        fields.extend(name.as_bytes());
        fields.push(TEXT);
        fields.extend((value.len() as u16).to_be_bytes());
        fields.extend(value.as_bytes());
    }
    let length = PRELUDE + fields.len() + payload.len() + TRAILER;
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_be_bytes());
    message.extend((fields.len() as u32).to_be_bytes());
    message.extend(crc32(&message).to_be_bytes());
    message.extend(fields);
    message.extend(payload);
    message.extend(crc32(&message).to_be_bytes());
    message
}

/// The CRC-32 of IEEE 802.3 (reflected, as in gzip). Bit by bit: messages here are short, and written so it
/// shares nothing with what reads them.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let register = bytes.iter().fold(u32::MAX, |register, byte| {
        (0..8).fold(register ^ u32::from(*byte), |register, _| {
            if register & 1 == 1 { (register >> 1) ^ 0xEDB8_8320 } else { register >> 1 }
        })
    });
    !register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_message_has_its_lengths() {
        let message = message(&[(":event-type", "chunk")], b"{}");
        assert_eq!(message[..4], (message.len() as u32).to_be_bytes());
        assert_eq!(message[4..8], (1 + 11 + 1 + 2 + 5_u32).to_be_bytes());
        assert_eq!(message.len(), PRELUDE + 20 + 2 + TRAILER);
    }
}
