//! Parsed expressions.

use super::Flags;
use crate::class::Class;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Matches the empty text.
    Empty,
    /// One byte, in both cases of its letter if it is folded.
    Literal { byte: u8, folded: bool },
    /// One byte of a class.
    Class(Class),
    /// Any character (`.` with the flag `s`), which is a byte here.
    AnyChar,
    /// One byte (`\C`).
    AnyByte,
    /// A place: a boundary of a line, of the text or of a word.
    Assertion(Assertion),
    /// A group whose match can be referred to.
    Capture(Box<Node>),
    /// One after the other.
    Concat(Vec<Node>),
    /// One of them.
    Alternate(Vec<Node>),
    /// Repeated from `min` to `max` times; `None` for no limit.
    Repeat { node: Box<Node>, min: u32, max: Option<u32>, greedy: bool, flags: Flags },
}

impl Node {
    /// How many groups it has whose matches can be referred to.
    pub(crate) fn captures(&self) -> usize {
        match self {
            Self::Capture(node) => 1 + node.captures(),
            Self::Repeat { node, .. } => node.captures(),
            Self::Concat(nodes) | Self::Alternate(nodes) => nodes.iter().map(Self::captures).sum(),
            Self::Empty
            | Self::Literal { .. }
            | Self::Class(_)
            | Self::AnyChar
            | Self::AnyByte
            | Self::Assertion(_) => 0,
        }
    }
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assertion {
    LineStart,
    LineEnd,
    TextStart,
    TextEnd,
    /// The same, written as `$`.
    Dollar,
    WordBoundary,
    NoWordBoundary,
}
