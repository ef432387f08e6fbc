//! Raw BSON to MongoDB Extended JSON and back, changing nothing.
//!
//! [`Encoder`] writes canonical Extended JSON v2, one document a line (or spread over lines), straight from the bytes
//! of a document. [`Decoder`] reads that, and liberally what others write: relaxed v2, the legacy v1 of older drivers
//! and tools, any spacing. [`Splitter`] cuts a long text that arrives in pieces into whole documents for it.
//!
//! The rule is that **`decode(encode(d))` is byte-identical to `d`** for every document that a server can hold.
//! Extended JSON alone cannot do that: a sub-document `{"$oid": "…"}` would come back as an ObjectId, and there is no
//! text for invalid UTF-8, a NaN with a payload or a non-canonical Decimal128. A document that text cannot carry
//! exactly becomes one that holds the BSON itself, still legal Extended JSON:
//!
//! ```json
//! {"mongotar:raw-bson":{"$binary":{"base64":"DwAAABAkb2lkAAUAAAAA","subType":"00"}}}
//! ```
//!
//! The encoder wraps a document when anything in it, at any depth, is one of these:
//!
//! - a key with a meaning in Extended JSON (v1 or v2), such as `$oid`, `$date`, `$regex`. `$ref`, `$id` and `$db` do
//!   not count: a DBRef is an ordinary document, written as text in its own field order;
//! - a duplicate key in one document, or an array whose keys are not `0`, `1`, `2`, …;
//! - invalid UTF-8 in a key, string, symbol, code, namespace or regular expression;
//! - an unusual NaN, a Decimal128 that does not survive its own text;
//! - a regular expression whose options are not sorted, a boolean that is neither 0 nor 1, a binary of subtype 2 whose
//!   inner length is off, a code with scope whose length is off;
//! - nesting deeper than [`MAX_TEXT_DEPTH`];
//! - bytes that are not BSON at all;
//!
//! and when its own first key is [`RAW_BSON_KEY`], so that a wrapper always means a wrapped document.
//!
//! When reading, a type key makes its object a typed value wherever it does in PyMongo's `json_util`, and a type key
//! with a wrong value (`{"$oid": 5}`) is an error: guessing would silently change data. The one exception is `$regex`,
//! which is also a query operator: unless its object is a regular expression of the legacy form, it stays an ordinary
//! document, like any object with `$` keys that are not type keys (`{"$gt": 5}`).

mod binary;
mod date;
mod decimal;
mod decode;
mod duplicates;
mod encode;
mod error;
mod frequent;
mod keys;
mod legacy;
mod lexer;
mod position;
mod pretty;
mod scan;
mod splitter;
mod values;
mod wrapper;

pub use decode::{Decoder, Limits};
pub use encode::{Carried, Encoder, Style};
pub use error::DecodeError;
pub use position::TextPosition;
pub use splitter::{DocumentText, Splitter};

/// The only key of a line that holds a document's BSON instead of its text. Its value is a Binary of subtype 0.
pub const RAW_BSON_KEY: &str = "mongotar:raw-bson";

/// Documents nested deeper than this are wrapped. The outermost document is level 1, each document, array or scope
/// inside adds one. A server stops at 200 ([`maxBSONDepth`]); a reader that takes less than this cannot read every
/// archive.
///
/// [`maxBSONDepth`]: https://github.com/mongodb/mongo/blob/r8.0.0/src/mongo/bson/bson_depth.h
pub const MAX_TEXT_DEPTH: usize = 220;

/// The largest document a server holds: 16 MiB, and 16 KiB more for its own additions.
const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024 + 16 * 1024;

#[cfg(test)]
mod tests;
