//! The little of the tar format (POSIX ustar) that images need.

use crate::error::Result;

use super::unsupported;

/// The unit of a tar archive, in bytes.
const BLOCK: usize = 512;

/// The longest path that fits a header without extensions, in bytes.
const LONGEST_NAME: usize = 100;

/// A tar archive in memory. Owned by root, from 1970: the same input gives the same bytes.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
}

impl Archive {
    /// Adds a folder.
    pub(super) fn folder(&mut self, path: &str, mode: u32) -> Result<()> {
        self.header(&format!("{path}/"), mode, 0, b'5')
    }

    /// Adds a file.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.header(path, mode, content.len(), b'0')?;
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    /// The archive's bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn header(&mut self, path: &str, mode: u32, size: usize, kind: u8) -> Result<()> {
        if path.len() > LONGEST_NAME {
            return Err(unsupported(path));
        }
        let mut header = [0_u8; BLOCK];
        let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
        put(0, path.as_bytes());
        put(100, format!("{mode:07o}\0").as_bytes());
        put(108, b"0000000\0"); // user
        put(116, b"0000000\0"); // group
        put(124, format!("{size:011o}\0").as_bytes());
        put(136, b"00000000000\0"); // time
        put(148, b"        "); // the checksum counts as blanks
        put(156, &[kind]);
        put(257, b"ustar\x0000");
        let checksum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&header);
        Ok(())
    }
}
