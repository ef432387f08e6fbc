//! The keys with a meaning in Extended JSON.

/// A key that turns its object into a typed value. Encoder and decoder share the list: what the one would interpret,
/// the other never writes as an ordinary document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeKey {
    Oid,
    Symbol,
    NumberInt,
    NumberLong,
    NumberDouble,
    NumberDecimal,
    Binary,
    Uuid,
    Code,
    Timestamp,
    Regex,
    RegularExpression,
    DbPointer,
    Date,
    MinKey,
    MaxKey,
    Undefined,
}

impl TypeKey {
    #[inline]
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        match key {
            [b'$', name @ ..] => Self::named(name),
            _ => None,
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"oid" => Self::Oid,
            b"symbol" => Self::Symbol,
            b"numberInt" => Self::NumberInt,
            b"numberLong" => Self::NumberLong,
            b"numberDouble" => Self::NumberDouble,
            b"numberDecimal" => Self::NumberDecimal,
            b"binary" => Self::Binary,
            b"uuid" => Self::Uuid,
            b"code" => Self::Code,
            b"timestamp" => Self::Timestamp,
            b"regex" => Self::Regex,
            b"regularExpression" => Self::RegularExpression,
            b"dbPointer" => Self::DbPointer,
            b"date" => Self::Date,
            b"minKey" => Self::MinKey,
            b"maxKey" => Self::MaxKey,
            b"undefined" => Self::Undefined,
            _ => return None,
        })
    }

    /// The key that goes with this one in a pair, which some writers put first.
    pub(super) fn partner(self) -> Option<&'static [u8]> {
        match self {
            Self::Binary => Some(b"$type"),
            Self::Regex => Some(b"$options"),
            Self::Code => Some(b"$scope"),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Oid => "$oid",
            Self::Symbol => "$symbol",
            Self::NumberInt => "$numberInt",
            Self::NumberLong => "$numberLong",
            Self::NumberDouble => "$numberDouble",
            Self::NumberDecimal => "$numberDecimal",
            Self::Binary => "$binary",
            Self::Uuid => "$uuid",
            Self::Code => "$code",
            Self::Timestamp => "$timestamp",
            Self::Regex => "$regex",
            Self::RegularExpression => "$regularExpression",
            Self::DbPointer => "$dbPointer",
            Self::Date => "$date",
            Self::MinKey => "$minKey",
            Self::MaxKey => "$maxKey",
            Self::Undefined => "$undefined",
        }
    }
}
