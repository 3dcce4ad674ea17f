//! Amounts of money: whole numbers, so that nothing is lost.

use std::collections::HashMap;
use std::fmt;

/// The largest amount in dollars that may be spent in a unit of time.
const MAX_AMOUNT: u64 = 1_000_000_000;

/// Parts of a dollar in an [`Usd`].
const PICOS: u128 = 1_000_000_000_000;

/// Parts of a millionth of a dollar in an [`Usd`].
const PICOS_PER_MICRO: u128 = 1_000_000;

/// Digits behind the point that a price may have: a millionth of a dollar for a million tokens is one [`Usd`] for each.
const PRICE_DIGITS: usize = 6;

/// The highest price in dollars for a million tokens.
pub const MAX_PRICE: u64 = 1_000_000;

/// An amount of money in 10^-12 US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(u128);

impl Usd {
    /// So many 10^-12 dollars.
    pub const fn from_picos(picos: u128) -> Self {
        Self(picos)
    }

    /// So many millionths of a dollar.
    pub fn from_micros(micros: u64) -> Self {
        Self(u128::from(micros) * PICOS_PER_MICRO)
    }

    /// What so many tokens cost at a price per token.
    pub fn of_tokens(tokens: u64, price: u64) -> Self {
        Self(u128::from(tokens) * u128::from(price))
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// In millionths of a dollar; what is left of one counts as a whole one.
    pub fn micros_rounded_up(self) -> u64 {
        u64::try_from(self.0.div_ceil(PICOS_PER_MICRO)).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Usd {
    /// In dollars, exactly, without zeros at the end: `0.0001375`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / PICOS, self.0 % PICOS);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:012}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// Reads a price in US dollars for a million tokens, such as `2.50`: what a token costs in 10^-12 dollars.
///
/// # Errors
/// It is no decimal number, has too many digits behind the point, or is too high: what is wrong with it.
pub fn price_of_token(text: &str) -> Result<u64, String> {
    millionths(text, MAX_PRICE)
}

/// Reads an amount of US dollars, such as `2.50`: in millionths of a dollar.
///
/// # Errors
/// It is no decimal number, has too many digits behind the point, or is too large: what is wrong with it.
pub fn micros(text: &str) -> Result<u64, String> {
    millionths(text, MAX_AMOUNT)
}

/// The millionths of a decimal number of at most `max`.
fn millionths(text: &str, max: u64) -> Result<u64, String> {
    let (whole, rest) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !rest.is_none_or(is_number) {
        return Err(format!("{text:?} is no decimal number, such as 2.50"));
    }
    let rest = rest.unwrap_or_default().trim_end_matches('0');
    if rest.len() > PRICE_DIGITS {
        return Err(format!("{text:?} has more than {PRICE_DIGITS} digits behind the point"));
    }
    let too_high = || format!("{text:?} is more than {max}");
    let millionths: u64 = format!("{whole}{rest:0<PRICE_DIGITS$}").parse().map_err(|_| too_high())?;
    if millionths > max * 1_000_000 { Err(too_high()) } else { Ok(millionths) }
}

/// Sums of money in whole millionths of a dollar, for counters that take no less: what does not make a whole one is kept for
/// the next time, so that nothing is lost over many small amounts.
#[derive(Debug, Default)]
pub struct Micros(HashMap<Vec<String>, u64>);

impl Micros {
    /// Adds to the sum of this name: by how many millionths its counter goes up now.
    pub fn add(&mut self, name: &[&str], amount: Usd) -> u64 {
        let name: Vec<String> = name.iter().copied().map(str::to_owned).collect();
        let kept = self.0.entry(name).or_default();
        let sum = amount.0.saturating_add(u128::from(*kept));
        *kept = u64::try_from(sum % PICOS_PER_MICRO).unwrap_or_default();
        u64::try_from(sum / PICOS_PER_MICRO).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_exactly_or_refused() {
        for (text, picos) in [
            ("0", 0),
            ("2.5", 2_500_000),
            ("2.50", 2_500_000),
            ("02.500000000", 2_500_000),
            ("0.000001", 1),
            ("0.546875", 546_875),
            ("600", 600_000_000),
            ("1000000", 1_000_000_000_000),
            ("1000000.000000", 1_000_000_000_000),
        ] {
            assert_eq!(price_of_token(text), Ok(picos), "{text}");
        }
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            " 1",
            "1 ",
            "1.5.5",
            "٣",
            "0.0000001",
            "1000000.000001",
            "1000001",
            "99999999999999999999999999",
            "NaN",
            "$1",
        ] {
            assert!(price_of_token(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_read_exactly_or_refused() {
        for (text, expected) in
            [("0", 0), ("2.5", 2_500_000), ("0.000001", 1), ("1000000000", 1_000_000_000_000_000)]
        {
            assert_eq!(micros(text), Ok(expected), "{text}");
            assert_eq!(micros(&Usd::from_micros(expected).to_string()), Ok(expected), "{text}");
        }
        for text in ["", "-1", "1e3", "0.0000001", "1000000000.000001", "99999999999999999999"] {
            assert!(micros(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_written_exactly() {
        for (picos, text, micros) in [
            (0, "0", 0),
            (1, "0.000000000001", 1),
            (137_500_000, "0.0001375", 138),
            (1_000_000, "0.000001", 1),
            (1_000_001, "0.000001000001", 2),
            (PICOS, "1", 1_000_000),
            (12 * PICOS + 500_000_000_000, "12.5", 12_500_000),
            (u128::MAX, "340282366920938463463374607.431768211455", u64::MAX),
        ] {
            assert_eq!(Usd(picos).to_string(), text);
            assert_eq!(Usd(picos).micros_rounded_up(), micros, "{text}");
        }
    }

    #[test]
    fn small_amounts_add_up() {
        let mut micros = Micros::default();
        let counted: u64 = (0..10).map(|_| micros.add(&["a"], Usd(300_000))).sum();
        assert_eq!(counted, 3);
        assert_eq!(micros.add(&["b"], Usd(999_999)), 0, "each sum is kept for itself");
        assert_eq!(micros.add(&["a"], Usd(2_999_999)), 2);
        assert_eq!(micros.add(&["a"], Usd(1)), 1);
    }
}
