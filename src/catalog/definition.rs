//! A server's own definition document, kept byte for byte.

use std::fmt;

use bson::{RawDocument, RawDocumentBuf};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

use crate::extjson::{Decoder, Encoder, Limits, Style, TextPosition};

/// Collection options or an index definition, as raw BSON. In JSON it is one canonical Extended JSON document,
/// written and read by [`crate::extjson`], so nothing in it is reordered, widened or dropped.
#[derive(Clone, PartialEq)]
pub struct Definition(RawDocumentBuf);

impl Definition {
    /// Keeps a document as it is.
    pub fn new(document: RawDocumentBuf) -> Self {
        Self(document)
    }

    /// A document without fields.
    pub fn empty() -> Self {
        Self(RawDocumentBuf::new())
    }

    /// The raw BSON.
    pub fn as_raw(&self) -> &RawDocument {
        &self.0
    }

    /// Whether there is no field in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A text field.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.0.get_str(key).ok()
    }

    /// A boolean field.
    pub fn get_bool(&self, key: &str) -> Option<bool> {
        self.0.get_bool(key).ok()
    }

    /// A sub-document.
    pub fn get_document(&self, key: &str) -> Option<&RawDocument> {
        self.0.get_document(key).ok()
    }

    /// Canonical Extended JSON on one line, without a line end.
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        Encoder::new(Style::Compact).encode(self.0.as_bytes(), &mut text);
        while text.last() == Some(&b'\n') {
            text.pop();
        }
        String::from_utf8(text).expect("the encoder writes UTF-8 only: what is not is wrapped in base64")
    }

    /// Reads one Extended JSON document.
    pub fn from_json(text: &str) -> Result<Self, crate::extjson::DecodeError> {
        let mut raw = Vec::new();
        let mut position = TextPosition::default();
        Decoder::new(Limits::default()).decode_next(text.as_bytes(), &mut position, &mut raw)?;
        Ok(RawDocumentBuf::from_bytes(raw).map_or_else(|_| Self::empty(), Self))
    }
}

impl Default for Definition {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<RawDocumentBuf> for Definition {
    fn from(document: RawDocumentBuf) -> Self {
        Self(document)
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl Serialize for Definition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_json())
            .map_err(ser::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Definition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(text.get()).map_err(de::Error::custom)
    }
}
