//! Raw BSON put together byte by byte, since no library lets one write what a server lets one store.

/// A document under construction; nothing in it is checked.
#[derive(Clone, Debug, Default)]
pub struct Raw(Vec<u8>);

impl Raw {
    pub fn new() -> Self {
        Self::default()
    }

    /// A document that begins with that number as its `_id`.
    pub fn with_id(id: i32) -> Self {
        Self::new().int32("_id", id)
    }

    pub fn element(mut self, kind: u8, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.push(kind);
        self.0.extend_from_slice(key.as_ref());
        self.0.push(0);
        self.0.extend_from_slice(value.as_ref());
        self
    }

    pub fn double_bits(self, key: impl AsRef<[u8]>, bits: u64) -> Self {
        self.element(0x01, key, bits.to_le_bytes())
    }

    pub fn text(self, key: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> Self {
        self.element(0x02, key, string(text))
    }

    pub fn document(self, key: impl AsRef<[u8]>, document: Raw) -> Self {
        self.element(0x03, key, document.bytes())
    }

    pub fn array(self, key: impl AsRef<[u8]>, array: Raw) -> Self {
        self.element(0x04, key, array.bytes())
    }

    pub fn binary(self, key: impl AsRef<[u8]>, subtype: u8, bytes: &[u8]) -> Self {
        self.element(0x05, key, [&length(bytes.len())[..], &[subtype], bytes].concat())
    }

    pub fn date(self, key: impl AsRef<[u8]>, millis: i64) -> Self {
        self.element(0x09, key, millis.to_le_bytes())
    }

    pub fn regex(self, key: impl AsRef<[u8]>, pattern: impl AsRef<[u8]>, options: &str) -> Self {
        self.element(0x0B, key, [pattern.as_ref(), &[0], options.as_bytes(), &[0]].concat())
    }

    pub fn int32(self, key: impl AsRef<[u8]>, value: i32) -> Self {
        self.element(0x10, key, value.to_le_bytes())
    }

    pub fn timestamp(self, key: impl AsRef<[u8]>, value: u64) -> Self {
        self.element(0x11, key, value.to_le_bytes())
    }

    pub fn int64(self, key: impl AsRef<[u8]>, value: i64) -> Self {
        self.element(0x12, key, value.to_le_bytes())
    }

    pub fn decimal_bits(self, key: impl AsRef<[u8]>, bits: u128) -> Self {
        self.element(0x13, key, bits.to_le_bytes())
    }

    pub fn bytes(&self) -> Vec<u8> {
        [&length(self.0.len() + 5)[..], &self.0, &[0]].concat()
    }
}

/// A BSON string's value: length, bytes, NUL.
pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    [&length(text.as_ref().len() + 1)[..], text.as_ref(), &[0]].concat()
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("test documents are small").to_le_bytes()
}
