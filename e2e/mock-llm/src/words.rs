//! How tokens are counted here: by words, so that a test can compute what a usage must say.
//!
//! The counts do not depend on the protocol that carried a request: what has no words in common between
//! protocols (JSON of a tool, bytes of an image) costs a fixed number of tokens.

use crate::ask::{Ask, Part};

/// What a declared tool costs in input tokens, whatever its schema.
pub const TOKENS_OF_TOOL: u64 = 10;
/// What a tool call costs, as input (in the history) and as output.
pub const TOKENS_OF_CALL: u64 = 5;
/// What an image costs in input tokens.
pub const TOKENS_OF_IMAGE: u64 = 85;

/// The number of words in `text`, which is the number of its tokens.
#[must_use]
pub fn count_words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// The input tokens of a request: all words of system prompt, messages and tool results, and the fixed
/// costs of tools, calls and images.
#[must_use]
pub fn input_tokens(ask: &Ask) -> u64 {
    let system: u64 = ask.system.iter().map(|text| count_words(text)).sum();
    let parts: u64 = ask.turns.iter().flat_map(|turn| &turn.parts).map(tokens_of_part).sum();
    system + parts + ask.tools.len() as u64 * TOKENS_OF_TOOL
}

fn tokens_of_part(part: &Part) -> u64 {
    match part {
        Part::Text(text) | Part::Result { text, .. } => count_words(text),
        Part::Image { .. } => TOKENS_OF_IMAGE,
        Part::Call { .. } => TOKENS_OF_CALL,
        // Providers do not charge again for what a model thought before.
        Part::Thinking(_) => 0,
    }
}

/// `text` in pieces of one word each, every piece but the first with the white space before it, so that the
/// pieces joined are `text` again.
#[must_use]
pub fn pieces(text: &str) -> Vec<&str> {
    let mut cuts = vec![0];
    let mut in_word = true;
    for (at, letter) in text.char_indices() {
        if letter.is_whitespace() && in_word && at > 0 {
            cuts.push(at);
        }
        in_word = !letter.is_whitespace();
    }
    cuts.push(text.len());
    cuts.windows(2).filter_map(|pair| text.get(pair[0]..pair[1])).filter(|piece| !piece.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_joined_are_the_text() {
        for text in
            ["", "one", "You said: hello  there", " leading", "trailing \n", "\u{e9}t\u{e9} \u{1f600} ok"]
        {
            assert_eq!(pieces(text).concat(), text);
        }
        assert_eq!(pieces("You said: hi"), ["You", " said:", " hi"]);
    }

    #[test]
    fn words_are_tokens() {
        assert_eq!(count_words("  two words\n"), 2);
        assert_eq!(count_words(""), 0);
    }
}
