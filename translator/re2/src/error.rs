//! What is wrong with an expression.

use std::fmt;

/// Why RE2 does not take an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Where it begins, in bytes.
    pub at: usize,
    /// The beginning of the piece that is wrong.
    pub(crate) piece: String,
}

/// What is wrong with an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It is empty; Envoy's own rule (`RegexMatcher.regex`).
    Empty,
    /// An escape that RE2 does not know, such as a reference to a group.
    Escape,
    /// A backslash at the end.
    TrailingBackslash,
    /// A class or range of characters that does not exist.
    ClassRange,
    /// `[` without `]`.
    MissingBracket,
    /// `(` without `)`.
    MissingParenthesis,
    /// `)` without `(`.
    UnexpectedParenthesis,
    /// What follows `(?` is not known: look-around, or a flag other than `imsU`.
    Group,
    /// The name of a group is missing, or has a character that no name has.
    GroupName,
    /// A repetition of nothing.
    NothingToRepeat,
    /// A repetition of a repetition, such as `a**`.
    RepeatedRepetition,
    /// Repeated more than 1,000 times, nested repetitions counted together, or fewer times than at least.
    RepetitionSize,
    /// Groups are nested too deeply.
    NestingTooDeep,
    /// The compiled program has more instructions than allowed.
    TooLarge {
        /// How many there are.
        size: usize,
        /// How many are allowed.
        limit: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, at, piece } = self;
        let what = match kind {
            ErrorKind::Empty => return f.write_str("the expression is empty"),
            ErrorKind::TooLarge { size, limit } => {
                return write!(
                    f,
                    "the expression is too complex: it compiles to {size} instructions of RE2, and {limit} are allowed"
                );
            }
            ErrorKind::Escape => "is an escape that RE2 does not know",
            ErrorKind::TrailingBackslash => "is a backslash at the end",
            ErrorKind::ClassRange => "is a class or range of characters that RE2 does not know",
            ErrorKind::MissingBracket => "lacks its closing bracket",
            ErrorKind::MissingParenthesis => "lacks its closing parenthesis",
            ErrorKind::UnexpectedParenthesis => "closes no parenthesis",
            ErrorKind::Group => {
                "is a group that RE2 does not know: look-around, or a flag other than i, m, s and U"
            }
            ErrorKind::GroupName => "is a group with a name that is not possible",
            ErrorKind::NothingToRepeat => "repeats nothing",
            ErrorKind::RepeatedRepetition => "repeats a repetition",
            ErrorKind::RepetitionSize => {
                "repeats more than 1000 times, nested repetitions together, or fewer times than at least"
            }
            ErrorKind::NestingTooDeep => "is nested too deeply",
        };
        write!(f, "{piece:?} at byte {at} {what}")
    }
}

impl std::error::Error for Error {}
