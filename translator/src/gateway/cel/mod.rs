//! Expressions in CEL (Common Expression Language, https://cel.dev) by which requests are chosen, for a log or by rights.
//!
//! Envoy refuses a listener or a route table for an expression that it does not take, and takes another part of the language than other
//! programs: no macros but `has`, no functions of extensions, and a tree of at most 32 levels. Admitted is what the pinned
//! Envoy was seen to take (`e2e/tests/admitted.rs` shows it again).

mod tree;

pub(super) use tree::tree;

use crate::gateway::validate;

/// The most levels of an expression's tree. Envoy's limit is 32, and it counts some more than are counted here.
const MAX_LEVELS: u32 = 20;

/// The longest expression, in bytes.
const MAX_BYTES: usize = 4096;

/// Words that are no names.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Functions, with the number of their arguments.
const FUNCTIONS: &[(&str, usize)] = &[
    ("bool", 1),
    ("bytes", 1),
    ("double", 1),
    ("duration", 1),
    ("dyn", 1),
    ("int", 1),
    ("size", 1),
    ("timestamp", 1),
    ("type", 1),
    ("uint", 1),
];

/// Functions of a value, with the number of their other arguments. `matches` is another matter.
const METHODS: &[(&str, usize)] = &[
    ("contains", 1),
    ("endsWith", 1),
    ("getDate", 0),
    ("getDayOfMonth", 0),
    ("getDayOfWeek", 0),
    ("getDayOfYear", 0),
    ("getFullYear", 0),
    ("getHours", 0),
    ("getMilliseconds", 0),
    ("getMinutes", 0),
    ("getMonth", 0),
    ("getSeconds", 0),
    ("size", 0),
    ("startsWith", 1),
];

/// Which headers of the request an expression may read: an error says why not.
pub(super) type HeaderCheck = fn(&str) -> Result<(), String>;

/// Checks an expression.
///
/// # Errors
/// Envoy might not take it, or it reads a header that it may not.
pub(super) fn check(text: &str, header: HeaderCheck) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("is longer than {MAX_BYTES} bytes"));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, header };
    parser.expression()?;
    match parser.peek() {
        None => Ok(()),
        Some(token) => Err(format!("{} is not expected there", token.shown())),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    /// The text of a string, without quotation marks; whether it is as Envoy reads it.
    Text {
        text: String,
        is_plain: bool,
    },
    Number,
    Sign(&'static str),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Name(name) => format!("{name:?}"),
            Self::Text { .. } => "a text".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Sign(sign) => format!("{sign:?}"),
        }
    }
}

const SIGNS: [&str; 22] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "-", "+", "*", "/", "%", "?", ":", "(", ")", "[", "]",
    ".", ",",
];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, after) = if first.is_ascii_alphabetic() || first == '_' {
            match rest.strip_prefix(['r', 'R']).filter(|rest| rest.starts_with(['\'', '"'])) {
                Some(rest) => string(rest, true)?,
                None => name(rest),
            }
        } else if first.is_ascii_digit() {
            number(rest)?
        } else if matches!(first, '\'' | '"') {
            string(rest, false)?
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign.ok_or_else(|| format!("{first:?} is not expected there"))?;
            (Token::Sign(sign), rest.strip_prefix(sign).unwrap_or_default())
        };
        tokens.push(token);
        rest = after;
    }
}

fn name(text: &str) -> (Token, &str) {
    let end = text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (Token::Name(name.to_owned()), rest)
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let end = text.find(|char: char| !char.is_ascii_alphanumeric() && char != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = digits(number) && number.parse::<i64>().is_ok();
    let is_unsigned =
        number.strip_suffix('u').is_some_and(|number| digits(number) && number.parse::<u64>().is_ok());
    let is_fraction = number
        .split_once('.')
        .is_some_and(|(left, right)| digits(left) && digits(right) && number.len() < 40);
    match is_whole || is_unsigned || is_fraction {
        true => Ok((Token::Number, rest)),
        false => Err(format!("{number:?} is not a number")),
    }
}

fn string(text: &str, is_raw: bool) -> Result<(Token, &str), String> {
    let quote = text.chars().next().unwrap_or_default();
    let body = text.strip_prefix(quote).unwrap_or_default();
    let mut found = String::new();
    let mut is_plain = true;
    let mut chars = body.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            _ if char == quote => {
                let rest = body.split_at(at + 1).1;
                // Three quotation marks would begin a text of several lines.
                if found.is_empty() && rest.starts_with(quote) {
                    return Err("a text of several lines is not supported".to_owned());
                }
                return Ok((Token::Text { text: found, is_plain }, rest));
            }
            '\\' if is_raw => {
                found.push(char);
                let (_, next) = chars.next().ok_or("a text has no end")?;
                if next == quote || next.is_control() {
                    return Err("a raw text may not hold such an escape".to_owned());
                }
                found.push(next);
            }
            '\\' => {
                is_plain = false;
                let next = chars.next().map(|(_, next)| next);
                if !matches!(next, Some('\\' | '\'' | '"' | 'n' | 'r' | 't')) {
                    return Err("a text may hold no escapes but \\\\ \\' \\\" \\n \\r \\t".to_owned());
                }
            }
            _ if char.is_control() => return Err("a text holds a control character".to_owned()),
            _ => found.push(char),
        }
    }
    Err("a text has no end".to_owned())
}

/// Reads an expression, and gives the number of its levels at each step.
struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: u32,
    header: HeaderCheck,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Goes past a sign, if it is there.
    fn takes(&mut self, sign: &str) -> bool {
        let is_there = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        match self.takes(sign) {
            true => Ok(()),
            false => Err(match self.peek() {
                Some(token) => format!("{sign:?} is expected in place of {}", token.shown()),
                None => format!("{sign:?} is missing at the end"),
            }),
        }
    }

    fn expression(&mut self) -> Result<u32, String> {
        self.depth += 1;
        level(self.depth)?;
        let mut levels = self.chain(0)?;
        if self.takes("?") {
            levels = levels.max(self.chain(0)?);
            self.expect(":")?;
            levels = level(levels.max(self.expression()?) + 1)?;
        }
        self.depth -= 1;
        Ok(levels)
    }

    /// Operators of one precedence between operands of the next one.
    fn chain(&mut self, precedence: usize) -> Result<u32, String> {
        const PRECEDENCES: [&[&str]; 5] =
            [&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];
        let Some(signs) = PRECEDENCES.get(precedence) else { return self.unary() };
        let mut levels = self.chain(precedence + 1)?;
        loop {
            let is_in = precedence == 2 && matches!(self.peek(), Some(Token::Name(name)) if name == "in");
            self.at += usize::from(is_in);
            if !is_in && !signs.iter().any(|sign| self.takes(sign)) {
                return Ok(levels);
            }
            levels = level(levels.max(self.chain(precedence + 1)?) + 1)?;
        }
    }

    fn unary(&mut self) -> Result<u32, String> {
        let mut signs = 0;
        for sign in ["!", "-"] {
            while signs < MAX_LEVELS && self.takes(sign) {
                signs += 1;
            }
            if signs > 0 {
                break;
            }
        }
        let levels = self.member()?;
        level(levels + signs)
    }

    fn member(&mut self) -> Result<u32, String> {
        let start = self.at;
        let mut levels = self.primary()?;
        loop {
            if self.takes(".") {
                let name = self.field()?;
                let called = self.takes("(");
                levels += 1;
                if called {
                    levels = levels.max(self.method(&name)? + 1);
                }
            } else if self.takes("[") {
                levels = levels.max(self.expression()?) + 1;
                self.expect("]")?;
            } else {
                break;
            }
            level(levels)?;
        }
        self.tokens.get(start..self.at).map_or(Ok(()), |member| check_request(member, self.header))?;
        Ok(levels)
    }

    fn field(&mut self) -> Result<String, String> {
        let Some(Token::Name(name)) = self.peek() else {
            return Err("a name is missing behind a dot".to_owned());
        };
        let name = name.clone();
        self.at += 1;
        match RESERVED.contains(&name.as_str()) {
            true => Err(format!("{name:?} is reserved")),
            false => Ok(name),
        }
    }

    fn method(&mut self, name: &str) -> Result<u32, String> {
        if name == "matches" {
            let Some(Token::Text { text, is_plain: true }) = self.peek() else {
                return Err("matches needs a text without escapes, such as r'\\d+'".to_owned());
            };
            validate::regex(text)?;
            self.at += 1;
            self.expect(")")?;
            return Ok(1);
        }
        let (count, levels) = self.arguments()?;
        match METHODS.contains(&(name, count)) {
            true => Ok(levels),
            false => Err(format!("the proxy has no function {name:?} of a value with {count} arguments")),
        }
    }

    /// Behind the opening parenthesis: the number of arguments, and their levels.
    fn arguments(&mut self) -> Result<(usize, u32), String> {
        let (mut count, mut levels) = (0, 0);
        if self.takes(")") {
            return Ok((0, 0));
        }
        loop {
            levels = levels.max(self.expression()?);
            count += 1;
            if !self.takes(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok((count, levels))
    }

    fn primary(&mut self) -> Result<u32, String> {
        if self.takes("(") {
            let levels = self.expression()?;
            self.expect(")")?;
            return level(levels + 1);
        }
        if self.takes("[") {
            let mut levels = 0;
            while !self.takes("]") {
                levels = levels.max(self.expression()?);
                if !self.takes(",") {
                    self.expect("]")?;
                    break;
                }
            }
            return level(levels + 1);
        }
        let token = self.peek().cloned().ok_or("it ends too early")?;
        self.at += 1;
        match token {
            Token::Name(name) if RESERVED.contains(&name.as_str()) && !is_literal(&name) => {
                Err(format!("{name:?} is reserved"))
            }
            Token::Name(name) if self.takes("(") => self.function(&name),
            Token::Number | Token::Text { .. } | Token::Name(_) => Ok(1),
            token => Err(format!("{} is not expected there", token.shown())),
        }
    }

    fn function(&mut self, name: &str) -> Result<u32, String> {
        let start = self.at;
        let (count, levels) = self.arguments()?;
        if name == "has" && count == 1 {
            let argument = self.tokens.get(start..self.at.saturating_sub(1)).unwrap_or_default();
            return match argument {
                [Token::Name(_), rest @ ..] if is_path(rest) => level(levels + 1),
                _ => Err("has needs names with dots between them".to_owned()),
            };
        }
        match FUNCTIONS.contains(&(name, count)) {
            true => level(levels + 1),
            false => Err(format!("the proxy has no function {name:?} with {count} arguments")),
        }
    }
}

/// Whether these are names behind dots, at least one.
fn is_path(tokens: &[Token]) -> bool {
    let is_step = |step: &[Token]| matches!(step, [Token::Sign("."), Token::Name(_)]);
    !tokens.is_empty() && tokens.chunks(2).all(is_step)
}

fn level(levels: u32) -> Result<u32, String> {
    if levels > MAX_LEVELS { Err(format!("has more than {MAX_LEVELS} levels")) } else { Ok(levels) }
}

/// Refuses what would read all headers of the request, or one that the expression may not read.
fn check_request(member: &[Token], header: HeaderCheck) -> Result<(), String> {
    let is_name = |token: &Token, wanted: &str| matches!(token, Token::Name(name) if name == wanted);
    match member {
        [first, rest @ ..] if is_name(first, "request") => match rest {
            [Token::Sign("."), field, rest @ ..] if is_name(field, "headers") => match rest {
                [Token::Sign("["), Token::Text { text, is_plain: true }, Token::Sign("]"), ..] => {
                    header(text)
                }
                _ => {
                    Err("request.headers needs the name of a header, as in request.headers['x-a']".to_owned())
                }
            },
            [Token::Sign("."), ..] => Ok(()),
            _ => Err("request needs one of its fields, such as request.path".to_owned()),
        },
        _ => Ok(()),
    }
}

/// Whether a reserved word stands for a value.
fn is_literal(word: &str) -> bool {
    matches!(word, "true" | "false" | "null")
}

#[cfg(test)]
mod tests {
    fn check(text: &str) -> Result<(), String> {
        super::check(text, crate::gateway::access_log::check_header_name)
    }

    #[test]
    fn expressions_are_taken_that_envoy_takes() {
        for good in [
            "response.code >= 400",
            "response.code >= 400 || duration('1s') < response.total_duration && !(request.method == \"GET\")",
            "request.headers['x-a'].startsWith('b')",
            "request.path.matches(r'^/v\\d+/.*')",
            "request.method in ['GET', 'HEAD']",
            "has(request.time) ? size([1, 2u, 0.5]) > 2 : true",
            "metadata.filter_metadata['ai.kgateway.io']['total_tokens'] > 1000.0",
            "request.time.getHours() % 2 == -1",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let deep = format!("{}1{}", "(".repeat(30), ")".repeat(30));
        let long = format!("1{}", " + 1".repeat(40));
        for bad in [
            "",
            "response.code >=",
            "response.code = 400",
            "nofunc(1)",
            "[1].exists(x, x > 1)",
            "a.lowerAscii()",
            "string(1)",
            "request.path.matches('(')",
            "request.path.matches(a)",
            "has(1)",
            "'\\z'",
            "'''a'''",
            "'open",
            "99999999999999999999",
            "1e400",
            "package",
            "a.in",
            "é",
            "{'a': 1}",
            "a b",
            "request.headers",
            "request['headers']",
            "size(request.headers) > 1",
            "request.headers['Authorization'] == 'a'",
            "request.headers['x-api-key'].startsWith('a')",
            &deep,
            &long,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
