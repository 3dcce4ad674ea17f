//! Versions: what tells equal content from other content.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// A content hash (XXH3, 128 bits), written as 32 hexadecimal digits. Equal content has equal versions on
/// every replica and after every restart, which is what lets a reconnecting client be sent nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceVersion(u128);

impl ResourceVersion {
    /// The version of a set without resources.
    pub(crate) const OF_NOTHING: Self = Self(0);

    /// The version of a resource whose encoded message is `message`.
    pub fn of(message: &[u8]) -> Self {
        Self(xxh3_128(message))
    }

    /// A version that was computed elsewhere: any hash of the content that all replicas agree on.
    pub const fn from_u128(hash: u128) -> Self {
        Self(hash)
    }

    /// The number that it is.
    pub const fn to_u128(self) -> u128 {
        self.0
    }

    /// The version of a set, which had this one, with one more resource in it.
    ///
    /// A set's version is the wrapping sum over its resources of a hash of name and version. So it depends
    /// on content only, and a change costs the same in a small and in a large set.
    #[must_use]
    pub(crate) fn with(self, name: &str, version: Self) -> Self {
        Self(self.0.wrapping_add(share_of_set(name, version)))
    }

    /// The reverse of [`with`](Self::with).
    #[must_use]
    pub(crate) fn without(self, name: &str, version: Self) -> Self {
        Self(self.0.wrapping_sub(share_of_set(name, version)))
    }
}

fn share_of_set(name: &str, version: ResourceVersion) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&version.0.to_be_bytes());
    hasher.update(name.as_bytes());
    hasher.digest128()
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A version that a client states but this server cannot have issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignVersion;

impl fmt::Display for ForeignVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a version of this server")
    }
}

impl std::error::Error for ForeignVersion {}

impl FromStr for ResourceVersion {
    type Err = ForeignVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 32 {
            return Err(ForeignVersion);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| ForeignVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_parses_what_it_prints() {
        let version = ResourceVersion::of(b"x");
        assert_eq!(version.to_string().parse(), Ok(version));
        assert_eq!(ResourceVersion::from_u128(version.to_u128()), version);
        assert_eq!("1".parse::<ResourceVersion>(), Err(ForeignVersion));
        assert_eq!("".parse::<ResourceVersion>(), Err(ForeignVersion));
    }

    #[test]
    fn the_version_of_a_set_says_which_name_has_which_version() {
        let (one, two) = (ResourceVersion::of(b"1"), ResourceVersion::of(b"2"));
        let empty = ResourceVersion::OF_NOTHING;
        let set = empty.with("a", one).with("b", two);
        assert_eq!(set, empty.with("b", two).with("a", one), "the order does not matter");
        assert_ne!(set, empty.with("a", two).with("b", one));
        assert_ne!(set, empty.with("ab", one).with("", two));
        assert_eq!(set.without("a", one), empty.with("b", two));
        assert_eq!(set.without("b", two).without("a", one), empty);
        // A change of the hash would make every state-of-the-world client reload everything once.
        assert_eq!(set.to_string(), "cc6af3ae04ef99afa703729ad50c2baa");
    }
}
