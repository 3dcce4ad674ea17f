//! Repeatable random choices.

/// A source of random numbers (xorshift64*). Not for secrets.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Numbers that follow from `CHANCERY_SEED` or, without it, always the same; prints the seed.
    #[must_use]
    pub fn from_environment() -> Self {
        let seed = setting("CHANCERY_SEED", 0x2545_F491_4F6C_DD1D);
        println!("CHANCERY_SEED={seed}");
        Self::new(seed)
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    /// One of the choices, of which there is at least one.
    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// A number from the environment; `default` if it is not there or none.
#[must_use]
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
