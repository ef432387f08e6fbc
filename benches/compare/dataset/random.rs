//! Numbers that look random and are the same in every run: SplitMix64.

/// A sequence.
#[derive(Debug)]
pub struct Random(u64);

const WORDS: [&str; 48] = [
    "anchor", "basket", "copper", "dinner", "engine", "fabric", "garden", "hammer", "island", "jacket", "kettle",
    "ladder", "market", "needle", "orange", "pocket", "quiver", "ribbon", "saddle", "timber", "urchin", "velvet",
    "window", "yellow", "zipper", "candle", "drawer", "feather", "gravel", "harbour", "insect", "jungle", "kitchen",
    "lantern", "mirror", "nickel", "oyster", "pencil", "quartz", "rocket", "silver", "tunnel", "violet", "walnut",
    "über", "crème", "naïve", "日本",
];

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(0x9e37_79b9))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn int(&mut self, n: i32) -> i32 {
        i32::try_from(self.below(u64::from(n.unsigned_abs()))).expect("below an i32")
    }

    /// A double in `0..n`, with as many digits as measurements have.
    pub fn double(&mut self, n: f64) -> f64 {
        (self.next() >> 40) as f64 / (1_u64 << 24) as f64 * n
    }

    /// An amount of money.
    pub fn price(&mut self) -> f64 {
        self.below(50_000) as f64 / 100.0
    }

    pub fn word(&mut self) -> &'static str {
        self.pick(&WORDS)
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).expect("an index")]
    }

    pub fn words(&mut self, count: u64) -> String {
        let mut text = String::new();
        for _ in 0..count {
            text.push_str(self.word());
            text.push(' ');
        }
        text
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(count);
        bytes
    }
}
