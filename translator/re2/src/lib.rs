//! Which regular expressions RE2 takes, and how large their programs are, as Envoy 1.40 uses it: Perl's
//! syntax as far as RE2 has it, and Latin-1. Envoy sets no option of RE2's but the encoding, so every byte
//! of an expression and of a matched text is a character of its own (seen with the real binary: `\\x{100}`
//! is refused, `.` is one byte). An expression in ASCII means what it means elsewhere.
//!
//! Written after RE2's `doc/syntax.txt` and the behaviour of its parser and compiler. Two tests hold it to
//! the real Envoy: `e2e/tests/regex.rs` compares verdicts and sizes of generated expressions.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod class;
mod error;
mod parse;
mod program;
mod simplify;

pub use error::{Error, ErrorKind};

/// What there is to know about an expression that RE2 takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The number of instructions of its program, which Envoy compares with the runtime key
    /// `re2.max_program_size.error_level`. Never less than RE2's own number.
    pub program_size: usize,
    /// How many groups it has whose matches a substitution can refer to.
    pub groups: usize,
}

/// Reads an expression that Envoy is to compile, with a limit on the size of its program.
///
/// # Errors
/// Envoy would refuse it; the error says why and where.
pub fn check(expression: &str, largest_program: usize) -> Result<Compiled, Error> {
    if expression.is_empty() {
        return Err(Error { kind: ErrorKind::Empty, at: 0, piece: String::new() });
    }
    let bytes: String = expression.bytes().map(char::from).collect();
    let parsed = parse::Parser::parse(&bytes)?;
    let groups = parsed.captures();
    let node = simplify::normalise(parsed);
    let size = program::size(node, largest_program);
    if size > largest_program {
        let kind = ErrorKind::TooLarge { size, limit: largest_program };
        return Err(Error { kind, at: 0, piece: String::new() });
    }
    Ok(Compiled { program_size: size, groups })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn groups_are_counted_that_a_substitution_can_refer_to() {
        for (expression, groups) in
            [("a", 0), ("(a)", 1), ("(?:a)(b)", 1), ("(a(b)|(?P<n>c))*", 3), (r"\(a\)[(]", 0)]
        {
            assert_eq!(check(expression, 1000).unwrap().groups, groups, "{expression}");
        }
    }
}
