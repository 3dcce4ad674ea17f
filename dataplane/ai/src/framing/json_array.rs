//! A JSON array that comes piece by piece, as Gemini streams its answers unless it is asked for Server-Sent Events.

use super::DEFAULT_EVENT_LIMIT;

/// A part of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArrayPart<'a> {
    /// An object among the elements, whole.
    Element(&'a [u8]),
    /// What stands between the objects: brackets, commas and blanks, and nothing else in an array of objects.
    Between(&'a [u8]),
}

/// Splits an array into its elements, byte for byte. An object that stands alone is an element, too. Holds no more than one.
#[derive(Debug, Default)]
pub(crate) struct ArraySplitter {
    held: Vec<u8>,
    /// How many brackets are open inside of the element.
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
}

/// An element is larger than is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl ArraySplitter {
    /// Takes in the next piece.
    pub(crate) fn push(&mut self, piece: &[u8], mut take: impl FnMut(ArrayPart<'_>)) -> Result<(), TooLarge> {
        let mut start = 0;
        for (at, byte) in piece.iter().enumerate() {
            if self.depth == 0 {
                if *byte == b'{' {
                    self.between(piece.get(start..at).unwrap_or_default(), &mut take);
                    (start, self.depth) = (at, 1);
                }
                continue;
            }
            self.step(*byte);
            if self.depth == 0 {
                self.held.extend_from_slice(piece.get(start..=at).unwrap_or_default());
                take(ArrayPart::Element(&self.held));
                self.held.clear();
                start = at + 1;
            }
        }
        let rest = piece.get(start..).unwrap_or_default();
        if self.depth == 0 {
            self.between(rest, &mut take);
        } else if self.held.len() + rest.len() > DEFAULT_EVENT_LIMIT {
            return Err(TooLarge);
        } else {
            self.held.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Whether the array has ended between two elements.
    pub(crate) fn is_complete(&self) -> bool {
        self.depth == 0
    }

    fn between(&self, bytes: &[u8], take: &mut impl FnMut(ArrayPart<'_>)) {
        if !bytes.is_empty() {
            take(ArrayPart::Between(bytes));
        }
    }

    fn step(&mut self, byte: u8) {
        if self.is_in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.is_in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_whole_wherever_the_array_is_split() {
        let text = "[{\"a\":\"}\\\"{\",\"b\":[{}]}\n,\r\n{} , {\"c\":1}]\n";
        for split in 0..=text.len() {
            let mut splitter = ArraySplitter::default();
            let (mut all, mut elements) = (String::new(), Vec::new());
            for piece in [&text[..split], &text[split..]] {
                let taken = splitter.push(piece.as_bytes(), |part| match part {
                    ArrayPart::Element(element) => {
                        let element = String::from_utf8(element.to_vec()).unwrap();
                        all.push_str(&element);
                        elements.push(element);
                    }
                    ArrayPart::Between(bytes) => all.push_str(std::str::from_utf8(bytes).unwrap()),
                });
                taken.unwrap();
            }
            assert_eq!(all, text, "at {split}");
            assert_eq!(elements, ["{\"a\":\"}\\\"{\",\"b\":[{}]}", "{}", "{\"c\":1}"], "at {split}");
            assert!(splitter.is_complete());
        }
        let mut splitter = ArraySplitter::default();
        let large = vec![b'x'; DEFAULT_EVENT_LIMIT];
        assert_eq!(splitter.push(b"[{\"", |_| ()), Ok(()));
        assert_eq!(splitter.push(&large, |_| ()), Err(TooLarge));
    }
}
