//! Chance that a seed decides, so that what failed can be had again.

/// <https://prng.di.unimi.it/splitmix64.c> gives its constants.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// By the seed in the variable, else by the default; it is printed.
    pub fn seeded(test: &str, variable: &str, default: u64) -> Self {
        let seed = std::env::var(variable)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default);
        println!("{test}: {variable}={seed}");
        Self(seed)
    }

    /// Another that goes by the same seed and a number, and not by what this one has been asked.
    pub fn fork(&self, number: u64) -> Self {
        let mut other = Self(self.0 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        other.next();
        other
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Whether it happens, so many times of a hundred.
    pub fn percent(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }

    pub fn bytes(&mut self, least: u64, most: u64) -> Vec<u8> {
        let length = usize::try_from(least + self.below(most - least)).expect("it fits");
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let other = usize::try_from(self.below(at as u64 + 1)).expect("it fits");
            items.swap(at, other);
        }
    }
}
