//! RE2's grammar (its `doc/syntax.txt`, with the rules of its parser where that page is silent), for the
//! options that Envoy uses: everything of Perl's that RE2 knows, in UTF-8.

mod escape;
mod node;

use crate::class::{Class, perl_class, posix_class, unicode_class};
use crate::error::{Error, ErrorKind};

pub(crate) use node::{Assertion, Node};

/// The largest count of a repetition, also of nested ones together.
pub(crate) const MAX_REPEAT: u32 = 1000;

/// How deep groups may nest. RE2 allows more; what is deeper is only ever written to do harm, and each level
/// costs stack.
const MAX_NESTING: usize = 200;

/// What `(?imsU)` switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_matches_newline: bool,
    swap_greed: bool,
}

/// An open group.
struct Group {
    captures: bool,
    /// Those outside of it.
    flags: Flags,
    alternatives: Vec<Node>,
    sequence: Vec<Node>,
    /// Where it begins.
    start: usize,
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    at: usize,
    flags: Flags,
    groups: Vec<Group>,
    /// Where the repetition operator before `at` begins, if there is one right before it.
    last_repetition: Option<usize>,
}

impl<'a> Parser<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Node, Error> {
        let mut parser = Self {
            text,
            at: 0,
            flags: Flags::default(),
            groups: vec![Group::new(false, Flags::default(), 0)],
            last_repetition: None,
        };
        while let Some(char) = parser.peek() {
            parser.step(char)?;
        }
        match (parser.groups.pop(), parser.groups.pop()) {
            (Some(whole), None) => Ok(whole.into_node()),
            (Some(open), Some(_)) => Err(parser.error(ErrorKind::MissingParenthesis, open.start)),
            (None, _) => Ok(Node::Empty),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += char.len_utf8();
        Some(char)
    }

    fn take_if(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    /// An error about the text from `start` to here.
    fn error(&self, kind: ErrorKind, start: usize) -> Error {
        let piece = self.text.get(start..self.at.max(start)).unwrap_or_default();
        Error { kind, at: start, piece: piece.chars().take(40).collect() }
    }

    fn push(&mut self, node: Node) {
        if let Some(group) = self.groups.last_mut() {
            group.sequence.push(node);
        }
    }

    /// Takes one element of the grammar.
    fn step(&mut self, char: char) -> Result<(), Error> {
        let start = self.at;
        let last_repetition = self.last_repetition.take();
        match char {
            '(' if self.rest().starts_with("(?") => return self.flags_or_group(),
            '(' => {
                self.at += 1;
                return self.open(true, start);
            }
            ')' => return self.close(),
            '|' => {
                self.at += 1;
                if let Some(group) = self.groups.last_mut() {
                    let sequence = std::mem::take(&mut group.sequence);
                    group.alternatives.push(concat(sequence));
                }
            }
            '*' | '+' | '?' => {
                self.at += 1;
                let (min, max) = match char {
                    '*' => (0, None),
                    '+' => (1, None),
                    _ => (0, Some(1)),
                };
                return self.repeat(min, max, start, last_repetition);
            }
            '{' => match self.counts() {
                Some((min, max)) => return self.repeat(min, max, start, last_repetition),
                None => {
                    self.at += 1;
                    self.push_literal('{');
                }
            },
            '^' => {
                self.at += 1;
                let place = if self.flags.multi_line { Assertion::LineStart } else { Assertion::TextStart };
                self.push(Node::Assertion(place));
            }
            '$' => {
                self.at += 1;
                let place = if self.flags.multi_line { Assertion::LineEnd } else { Assertion::Dollar };
                self.push(Node::Assertion(place));
            }
            '.' => {
                self.at += 1;
                let any_but_newline = Node::Class(Class::of(b'\n').negated());
                self.push(if self.flags.dot_matches_newline { Node::AnyChar } else { any_but_newline });
            }
            '[' => {
                let class = self.class()?;
                self.push(Node::Class(class));
            }
            '\\' => return self.backslash(),
            char => {
                self.at += char.len_utf8();
                self.push_literal(char);
            }
        }
        Ok(())
    }

    fn push_literal(&mut self, char: char) {
        let (byte, folded) = (latin_1(char), self.flags.fold_case);
        self.push(Node::Literal { byte: if folded { byte.to_ascii_lowercase() } else { byte }, folded });
    }

    // --- Groups ---

    fn open(&mut self, captures: bool, start: usize) -> Result<(), Error> {
        if self.groups.len() > MAX_NESTING {
            return Err(self.error(ErrorKind::NestingTooDeep, start));
        }
        self.groups.push(Group::new(captures, self.flags, start));
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        let start = self.at;
        self.at += 1;
        if self.groups.len() < 2 {
            return Err(self.error(ErrorKind::UnexpectedParenthesis, start));
        }
        let Some(group) = self.groups.pop() else { return Ok(()) };
        self.flags = group.flags;
        let captures = group.captures;
        let node = group.into_node();
        self.push(if captures { Node::Capture(Box::new(node)) } else { node });
        Ok(())
    }

    /// What begins with `(?`: a named group, flags, or a group with flags.
    fn flags_or_group(&mut self) -> Result<(), Error> {
        let start = self.at;
        let rest = self.rest();
        for look in ["(?=", "(?!", "(?<=", "(?<!"] {
            if rest.starts_with(look) {
                self.at += look.len();
                return Err(self.error(ErrorKind::Group, start));
            }
        }
        if let Some(head) = ["(?P<", "(?<"].into_iter().find(|head| rest.starts_with(head)) {
            return self.named_group(head.len(), start);
        }
        self.at += 2;
        let (mut flags, mut negated, mut saw_flag) = (self.flags, false, false);
        loop {
            let char = self.take();
            match char {
                Some('i') => flags.fold_case = !negated,
                Some('m') => flags.multi_line = !negated,
                Some('s') => flags.dot_matches_newline = !negated,
                Some('U') => flags.swap_greed = !negated,
                Some('-') if !negated => {
                    negated = true;
                    saw_flag = false;
                    continue;
                }
                Some(':' | ')') if !negated || saw_flag => {
                    if char == Some(':') {
                        self.open(false, start)?;
                    }
                    self.flags = flags;
                    return Ok(());
                }
                None => return Err(self.error(ErrorKind::MissingParenthesis, start)),
                Some(_) => return Err(self.error(ErrorKind::Group, start)),
            }
            saw_flag = true;
        }
    }

    fn named_group(&mut self, head: usize, start: usize) -> Result<(), Error> {
        self.at += head;
        let rest = self.rest();
        let Some(end) = rest.find('>') else {
            self.at = self.text.len();
            return Err(self.error(ErrorKind::GroupName, start));
        };
        let name = rest.get(..end).unwrap_or_default();
        self.at += end + 1;
        if name.is_empty() || !name.chars().all(is_name_char) {
            return Err(self.error(ErrorKind::GroupName, start));
        }
        self.open(true, start)
    }

    // --- Repetitions ---

    fn repeat(
        &mut self,
        min: u32,
        max: Option<u32>,
        start: usize,
        last_repetition: Option<usize>,
    ) -> Result<(), Error> {
        let lazy = self.take_if("?");
        if let Some(first) = last_repetition {
            return Err(self.error(ErrorKind::RepeatedRepetition, first));
        }
        if max.is_some_and(|max| max < min || max > MAX_REPEAT) || min > MAX_REPEAT {
            return Err(self.error(ErrorKind::RepetitionSize, start));
        }
        let Some(node) = self.groups.last_mut().and_then(|group| group.sequence.pop()) else {
            return Err(self.error(ErrorKind::NothingToRepeat, start));
        };
        let node = Node::Repeat {
            node: Box::new(node),
            min,
            max,
            greedy: lazy == self.flags.swap_greed,
            flags: self.flags,
        };
        if remaining_repeat(&node, MAX_REPEAT) == 0 {
            return Err(self.error(ErrorKind::RepetitionSize, start));
        }
        self.push(node);
        self.last_repetition = Some(start);
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`, taken only if it is one of them.
    fn counts(&mut self) -> Option<(u32, Option<u32>)> {
        let body = self.rest().strip_prefix('{')?;
        let end = body.find('}')?;
        let inner = body.get(..end)?;
        let counts = match inner.split_once(',') {
            None => {
                let count = number(inner)?;
                (count, Some(count))
            }
            Some((min, "")) => (number(min)?, None),
            Some((min, max)) => (number(min)?, Some(number(max)?)),
        };
        self.at += end + 2;
        Some(counts)
    }

    // --- Escapes ---
}

impl Group {
    fn new(captures: bool, flags: Flags, start: usize) -> Self {
        Self { captures, flags, alternatives: Vec::new(), sequence: Vec::new(), start }
    }

    fn into_node(mut self) -> Node {
        let last = concat(self.sequence);
        if self.alternatives.is_empty() {
            return last;
        }
        self.alternatives.push(last);
        Node::Alternate(self.alternatives)
    }
}

fn concat(mut sequence: Vec<Node>) -> Node {
    match sequence.len() {
        0 => Node::Empty,
        1 => sequence.pop().unwrap_or(Node::Empty),
        _ => Node::Concat(sequence),
    }
}

/// What nested repetitions leave of the number that all of them together may reach; 0 is too many.
fn remaining_repeat(node: &Node, budget: u32) -> u32 {
    match node {
        Node::Repeat { node, min, max, .. } => {
            let count = match max {
                Some(max) => *max,
                None if *min > 1 => *min,
                None => 0,
            };
            let budget = budget.checked_div(count).unwrap_or(budget);
            if budget == 0 { 0 } else { remaining_repeat(node, budget) }
        }
        Node::Capture(node) => remaining_repeat(node, budget),
        Node::Concat(nodes) | Node::Alternate(nodes) => {
            nodes.iter().map(|node| remaining_repeat(node, budget)).min().unwrap_or(budget)
        }
        Node::Empty
        | Node::Literal { .. }
        | Node::Class(_)
        | Node::AnyChar
        | Node::AnyByte
        | Node::Assertion(_) => budget,
    }
}

/// A count as RE2 reads it: without leading zeros.
fn number(text: &str) -> Option<u32> {
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && !has_leading_zero;
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

/// The parser works on texts in which every character stands for a byte.
fn latin_1(char: char) -> u8 {
    u8::try_from(u32::from(char)).unwrap_or(u8::MAX)
}

/// What names of groups are made of: letters, marks, digits and connectors of Unicode.
fn is_name_char(char: char) -> bool {
    let categories = ["Lu", "Ll", "Lt", "Lm", "Lo", "Nl", "Mn", "Mc", "Nd", "Pc"];
    char == '_'
        || char.is_ascii_alphanumeric()
        || !char.is_ascii()
            && categories.iter().any(|name| unicode_class(name).is_some_and(|class| class.has(latin_1(char))))
}
