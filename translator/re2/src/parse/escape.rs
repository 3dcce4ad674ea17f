//! Escapes and classes of characters.

use super::*;

impl Parser<'_> {
    pub(super) fn backslash(&mut self) -> Result<(), Error> {
        let place = [
            ("\\b", Assertion::WordBoundary),
            ("\\B", Assertion::NoWordBoundary),
            ("\\A", Assertion::TextStart),
            ("\\z", Assertion::TextEnd),
        ];
        for (escape, assertion) in place {
            if self.take_if(escape) {
                self.push(Node::Assertion(assertion));
                return Ok(());
            }
        }
        if self.take_if("\\C") {
            self.push(Node::AnyByte);
            return Ok(());
        }
        if self.take_if("\\Q") {
            let rest = self.rest();
            let (quoted, end) = match rest.split_once("\\E") {
                Some((quoted, _)) => (quoted, quoted.len() + 2),
                None => (rest, rest.len()),
            };
            quoted.chars().for_each(|char| self.push_literal(char));
            self.at += end;
            return Ok(());
        }
        if let Some(class) = self.class_escape()? {
            self.push(Node::Class(class));
            return Ok(());
        }
        let char = self.escaped_char()?;
        self.push_literal(char);
        Ok(())
    }

    /// `\pL`, `\p{Greek}`, `\d` and their like; nothing is taken if it is something else.
    fn class_escape(&mut self) -> Result<Option<Class>, Error> {
        let start = self.at;
        let mut chars = self.rest().chars();
        let (Some('\\'), Some(kind)) = (chars.next(), chars.next()) else { return Ok(None) };
        if let Some(class) = perl_class(kind) {
            self.at += 2;
            return Ok(Some(self.fold(class)));
        }
        if kind != 'p' && kind != 'P' {
            return Ok(None);
        }
        self.at += 2;
        let name = match self.take() {
            Some('{') => {
                let rest = self.rest();
                let Some(end) = rest.find('}') else {
                    self.at = self.text.len();
                    return Err(self.error(ErrorKind::ClassRange, start));
                };
                self.at += end + 1;
                rest.get(..end).unwrap_or_default().to_owned()
            }
            Some(char) => char.to_string(),
            None => return Err(self.error(ErrorKind::Escape, start)),
        };
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (kind == 'p', name),
            None => (kind == 'P', name.as_str()),
        };
        let Some(class) = unicode_class(name) else {
            return Err(self.error(ErrorKind::ClassRange, start));
        };
        let class = self.fold(class);
        Ok(Some(if negated { class.negated() } else { class }))
    }

    fn fold(&self, class: Class) -> Class {
        if self.flags.fold_case { class.folded() } else { class }
    }

    /// One character, written with a backslash.
    fn escaped_char(&mut self) -> Result<char, Error> {
        let start = self.at;
        self.at += 1;
        let Some(char) = self.take() else {
            return Err(self.error(ErrorKind::TrailingBackslash, start));
        };
        let code = match char {
            '1'..='7' if !self.peek().is_some_and(|next| ('0'..='7').contains(&next)) => None,
            '0'..='7' => {
                let mut code = char.to_digit(8);
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else { break };
                    self.at += 1;
                    code = code.map(|code| code * 8 + digit);
                }
                code
            }
            'x' if self.take_if("{") => self.hexadecimal(),
            'x' => {
                let high = self.take().and_then(|digit| digit.to_digit(16));
                let low = high.and_then(|_| self.take()).and_then(|digit| digit.to_digit(16));
                high.zip(low).map(|(high, low)| high * 16 + low)
            }
            'a' => Some(0x07),
            'f' => Some(0x0c),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            't' => Some(0x09),
            'v' => Some(0x0b),
            char if char.is_ascii() && !char.is_ascii_alphanumeric() => Some(u32::from(char)),
            _ => None,
        };
        code.and_then(|code| u8::try_from(code).ok())
            .map(char::from)
            .ok_or_else(|| self.error(ErrorKind::Escape, start))
    }

    /// The digits behind `\x{`, and the brace behind them.
    fn hexadecimal(&mut self) -> Option<u32> {
        let mut code: Option<u32> = None;
        loop {
            match self.take()? {
                '}' => return code,
                char => {
                    let digit = char.to_digit(16)?;
                    let next = code.unwrap_or(0) * 16 + digit;
                    if next > 0xff {
                        return None;
                    }
                    code = Some(next);
                }
            }
        }
    }

    // --- Classes in brackets ---

    pub(super) fn class(&mut self) -> Result<Class, Error> {
        let start = self.at;
        self.at += 1;
        let negated = self.take_if("^");
        let mut class = Class::default();
        let mut is_first = true;
        loop {
            match self.peek() {
                None => return Err(self.error(ErrorKind::MissingBracket, start)),
                Some(']') if !is_first => {
                    self.at += 1;
                    break;
                }
                Some(_) => {}
            }
            is_first = false;
            if let Some(named) = self.posix_name()? {
                class = class.with(self.fold(named));
            } else if let Some(escaped) = self.class_escape()? {
                class = class.with(escaped);
            } else {
                let range = self.range(start)?;
                class = class.with(self.fold(range));
            }
        }
        Ok(if negated { class.negated() } else { class })
    }

    /// `[:alpha:]` and its like; nothing is taken if it is something else.
    fn posix_name(&mut self) -> Result<Option<Class>, Error> {
        let start = self.at;
        let Some(rest) = self.rest().strip_prefix("[:") else { return Ok(None) };
        let Some(end) = rest.find(":]") else { return Ok(None) };
        let name = rest.get(..end).unwrap_or_default();
        self.at += end + 4;
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (true, name),
            None => (false, name),
        };
        let Some(class) = posix_class(name) else {
            return Err(self.error(ErrorKind::ClassRange, start));
        };
        Ok(Some(if negated { class.negated() } else { class }))
    }

    fn range(&mut self, class_start: usize) -> Result<Class, Error> {
        let start = self.at;
        let low = self.class_char(class_start)?;
        let rest = self.rest();
        let mut high = low;
        if rest.starts_with('-') && !rest.starts_with("-]") && rest.len() > 1 {
            self.at += 1;
            high = self.class_char(class_start)?;
            if high < low {
                return Err(self.error(ErrorKind::ClassRange, start));
            }
        }
        Ok(Class::range(latin_1(low), latin_1(high)))
    }

    fn class_char(&mut self, class_start: usize) -> Result<char, Error> {
        match self.peek() {
            Some('\\') => self.escaped_char(),
            Some(char) => {
                self.at += char.len_utf8();
                Ok(char)
            }
            None => Err(self.error(ErrorKind::MissingBracket, class_start)),
        }
    }
}
