//! Expressions in CEL (Common Expression Language, https://cel.dev) by which requests are chosen, for a log or by rights.
//!
//! Envoy refuses a listener or a route table for an expression that it does not take, and takes another part of the language than other
//! programs: no macros but `has`, no functions of extensions, and a tree of at most 32 levels. Admitted is what the pinned
//! Envoy was seen to take (`e2e/tests/admitted.rs` shows it again).

mod tree;

use ir::CelExpr;

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

/// Reads an expression into its tree, which Envoy's rights want in place of its text.
///
/// # Errors
/// As [`check`] has them, with the place in the text.
pub(super) fn parse(text: &str, header: HeaderCheck) -> Result<CelExpr, String> {
    // First, since the tree is read by recursion: only the check bounds how deep it goes.
    check(text, header)?;
    tree::tree(text)
}

/// Checks an expression.
///
/// # Errors
/// Envoy might not take it, or it reads a header that it may not; with the place in the text.
pub(super) fn check(text: &str, header: HeaderCheck) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("is longer than {MAX_BYTES} bytes"));
    }
    let tokens = tokens(text).map_err(|(offset, error)| placed(text, offset, &error))?;
    let (offsets, tokens): (Vec<_>, Vec<_>) = tokens.into_iter().unzip();
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, header };
    parser.whole().map_err(|error| {
        let offset = offsets.get(parser.at).copied().unwrap_or(text.len());
        placed(text, offset, &error)
    })
}

/// A message with the place that it is about, an offset in bytes: line and column, both from 1, the column in characters.
fn placed(text: &str, offset: usize, error: &str) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {error}")
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

/// The tokens of a text, each with its offset in bytes; or the offset of what is none, and why.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, (usize, String)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let offset = text.len() - rest.len();
        let (token, after) = token(first, rest).map_err(|error| (offset, error))?;
        tokens.push((offset, token));
        rest = after;
    }
}

/// The token that a text begins with, and what stands behind it; `first` is the first character.
fn token(first: char, text: &str) -> Result<(Token, &str), String> {
    if first.is_ascii_alphabetic() || first == '_' {
        match text.strip_prefix(['r', 'R']).filter(|text| text.starts_with(['\'', '"'])) {
            Some(text) => string(text, true),
            None => Ok(name(text)),
        }
    } else if first.is_ascii_digit() {
        number(text)
    } else if matches!(first, '\'' | '"') {
        string(text, false)
    } else {
        let sign = SIGNS.into_iter().find(|sign| text.starts_with(sign));
        let sign = sign.ok_or_else(|| format!("{first:?} is not expected there"))?;
        Ok((Token::Sign(sign), text.strip_prefix(sign).unwrap_or_default()))
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
    /// The next token. After an error, the one that the error is about.
    at: usize,
    depth: u32,
    header: HeaderCheck,
}

impl Parser<'_> {
    /// All tokens are one expression.
    fn whole(&mut self) -> Result<(), String> {
        self.expression()?;
        match self.peek() {
            None => Ok(()),
            Some(token) => Err(format!("{} is not expected there", token.shown())),
        }
    }

    /// An error about an earlier token.
    fn refuse<T>(&mut self, at: usize, error: String) -> Result<T, String> {
        self.at = at;
        Err(error)
    }

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
                let named_at = self.at;
                let name = self.field()?;
                levels += 1;
                if self.takes("(") {
                    levels = levels.max(self.method(&name, named_at)? + 1);
                }
            } else if self.takes("[") {
                levels = levels.max(self.expression()?) + 1;
                self.expect("]")?;
            } else {
                break;
            }
            level(levels)?;
        }
        let member = self.tokens.get(start..self.at).unwrap_or_default();
        match check_request(member, self.header) {
            Ok(()) => Ok(levels),
            Err(error) => self.refuse(start, error),
        }
    }

    fn field(&mut self) -> Result<String, String> {
        let Some(Token::Name(name)) = self.peek() else {
            return Err("a name is missing behind a dot".to_owned());
        };
        if RESERVED.contains(&name.as_str()) {
            return Err(format!("{name:?} is reserved"));
        }
        let name = name.clone();
        self.at += 1;
        Ok(name)
    }

    /// Behind the opening parenthesis of a function of a value; the token of its name is at `named_at`.
    fn method(&mut self, name: &str, named_at: usize) -> Result<u32, String> {
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
            false => {
                let error = format!("the proxy has no function {name:?} of a value with {count} arguments");
                self.refuse(named_at, error)
            }
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
        let start = self.at;
        let token = self.peek().cloned().ok_or("it ends too early")?;
        self.at += 1;
        match token {
            Token::Name(name) if RESERVED.contains(&name.as_str()) && !is_literal(&name) => {
                self.refuse(start, format!("{name:?} is reserved"))
            }
            Token::Name(name) if self.takes("(") => self.function(&name, start),
            Token::Number | Token::Text { .. } | Token::Name(_) => Ok(1),
            token => self.refuse(start, format!("{} is not expected there", token.shown())),
        }
    }

    /// Behind the opening parenthesis of a function; the token of its name is at `named_at`.
    fn function(&mut self, name: &str, named_at: usize) -> Result<u32, String> {
        let start = self.at;
        let (count, levels) = self.arguments()?;
        if name == "has" && count == 1 {
            let argument = self.tokens.get(start..self.at.saturating_sub(1)).unwrap_or_default();
            return match argument {
                [Token::Name(_), rest @ ..] if is_path(rest) => level(levels + 1),
                _ => self.refuse(start, "has needs names with dots between them".to_owned()),
            };
        }
        match FUNCTIONS.contains(&(name, count)) {
            true => level(levels + 1),
            false => {
                self.refuse(named_at, format!("the proxy has no function {name:?} with {count} arguments"))
            }
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
    use ir::CelExpr;

    fn check(text: &str) -> Result<(), String> {
        super::check(text, crate::gateway::access_log::check_header_name)
    }

    fn parse(text: &str) -> Result<CelExpr, String> {
        super::parse(text, |_| Ok(()))
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

    #[test]
    fn no_depth_and_no_length_exhausts_the_stack() {
        for (start, step, end) in [
            ("a", ".a", ""),
            ("1", "+1", ""),
            ("a", "[0]", ""),
            ("a", ".size()", ""),
            ("", "!", "a"),
            ("", "-", "1"),
            ("", "(", "1"),
            ("", "[", "1"),
            ("", "a?1:", "1"),
            ("", "size(", "1"),
            ("", "a[", "1"),
        ] {
            // The shorter one is bounded by its levels alone.
            for count in [8000, 500] {
                let text = format!("{start}{}{end}", step.repeat(count));
                let error = parse(&text).unwrap_err();
                assert_eq!(error.contains("longer"), text.len() > super::MAX_BYTES, "{step}: {error}");
                assert!(check(&text).is_err(), "{step}");
            }
        }
    }

    #[test]
    fn what_is_refused_is_told_with_its_place() {
        for (text, place) in [
            ("", "line 1, column 1: it ends too early"),
            ("a ==", "line 1, column 5: it ends too early"),
            ("request.path ==\n  && true", "line 2, column 3: \"&&\" is not expected there"),
            ("'é' == a b", "line 1, column 10: \"b\" is not expected there"),
            ("a == 'b", "line 1, column 6: a text has no end"),
            ("a == é", "line 1, column 6: 'é' is not expected there"),
            ("a.in", "line 1, column 3: \"in\" is reserved"),
            ("true &&\r\n package", "line 2, column 2: \"package\" is reserved"),
            ("a.lowerAscii(b)", "line 1, column 3: the proxy has no function \"lowerAscii\""),
            ("1 + string(1) + 1", "line 1, column 5: the proxy has no function \"string\""),
            ("has(1)", "line 1, column 5: has needs names"),
            ("a.matches('(')", "line 1, column 11: "),
            ("(a", "line 1, column 3: \")\" is missing at the end"),
            ("true && request.headers", "line 1, column 9: request.headers needs"),
            ("true && request.headers['cookie'] == ''", "line 1, column 9: "),
        ] {
            let error = super::parse(text, |name| Err(format!("{name} may not be read"))).unwrap_err();
            assert!(error.starts_with(place), "{text}: {error}");
        }
    }
}
