//! Vectors for texts: the same text gets the same vector, another text another one.

/// A vector of length 1 (but for rounding) with `dimensions` members.
#[must_use]
pub fn embedding(text: &str, dimensions: usize) -> Vec<f32> {
    // FNV-1a, stirred once more for each member.
    let stir = |state: u64, byte: u64| (state ^ byte).wrapping_mul(0x0100_0000_01b3);
    let mut state = text.bytes().fold(0xcbf2_9ce4_8422_2325, |state, byte| stir(state, byte.into()));
    let mut next = || {
        state = stir(state, state >> 33);
        // 24 bits are what a float holds exactly.
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    let raw: Vec<f32> = (0..dimensions).map(|_| next()).collect();
    let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 { raw.iter().map(|value| value / length).collect() } else { raw }
}

#[cfg(test)]
mod tests {
    use super::embedding;

    #[test]
    fn texts_have_vectors_of_their_own() {
        assert_eq!(embedding("a", 8), embedding("a", 8));
        assert_ne!(embedding("a", 8), embedding("b", 8));
        let length: f32 = embedding("hello", 64).iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-3, "{length}");
    }
}
