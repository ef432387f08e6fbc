//! What the documents look like.

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, DateTime, RawArrayBuf, RawDocumentBuf, rawdoc};

use super::Random;

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// About 1.1 KB: nested documents, an array of documents, many types.
    Order,
    /// About 180 bytes, flat.
    Event,
    /// About 500 bytes.
    User,
    /// Some 40 to 70 KB, mostly text.
    Article,
    /// A measurement of a time series: about 120 bytes, mostly doubles.
    Reading,
    /// 15 MB that no compression makes smaller, nearly as large as a document may be.
    Blob,
}

/// 2026-01-01, in milliseconds.
const EPOCH: i64 = 1_767_225_600_000;

impl Shape {
    /// About how large a document is, bytes.
    pub fn typical_bytes(self) -> u64 {
        match self {
            Self::Order => 1_100,
            Self::Event => 180,
            Self::User => 500,
            Self::Article => 56_000,
            Self::Reading => 120,
            Self::Blob => 15_000_000,
        }
    }

    /// Document `index` of chunk `number`.
    pub fn document(self, random: &mut Random, number: u64, index: u64) -> RawDocumentBuf {
        match self {
            Self::Order => order(random, number, index),
            Self::Event => event(random, number, index),
            Self::User => user(random, number, index),
            Self::Article => article(random, number, index),
            Self::Reading => reading(random, number, index),
            Self::Blob => {
                rawdoc! {"_id": id(number, index), "content": binary(random.bytes(15_000_000), BinarySubtype::Generic)}
            }
        }
    }
}

/// Rising within a chunk and unique in a collection, as those are that one driver makes.
fn id(number: u64, index: u64) -> ObjectId {
    let mut bytes = [0x69; 12];
    bytes[1..6].copy_from_slice(&number.to_be_bytes()[3..]);
    bytes[8..].copy_from_slice(&index.to_be_bytes()[4..]);
    ObjectId::from_bytes(bytes)
}

fn date(random: &mut Random) -> DateTime {
    DateTime::from_millis(EPOCH + i64::try_from(random.below(20_000_000_000)).expect("below an i64"))
}

fn binary(bytes: Vec<u8>, subtype: BinarySubtype) -> Binary {
    Binary { subtype, bytes }
}

fn address(random: &mut Random) -> RawDocumentBuf {
    let street = format!("{} {}", random.words(2).trim_end(), random.below(300));
    let zip = format!("{:05}", random.below(100_000));
    rawdoc! {
        "street": street,
        "city": random.word(),
        "zip": zip,
        "country": random.pick(&["DE", "FR", "AT", "JP", "GB"]),
        "position": {"type": "Point", "coordinates": [random.double(180.0), random.double(90.0)]},
    }
}

fn order(random: &mut Random, number: u64, index: u64) -> RawDocumentBuf {
    let mut items = RawArrayBuf::new();
    for _ in 0..=random.below(7) {
        let sku = format!("{}-{:06}", random.word(), random.below(1_000_000));
        let title = random.words(4);
        items.push(rawdoc! {
            "sku": sku,
            "title": title,
            "quantity": random.int(9),
            "price": random.price(),
            "gift": random.below(8) == 0,
            "tags": [random.word(), random.word()],
        });
    }
    let customer = random.below(200_000);
    let status = random.pick(&["paid", "sent", "open", "returned"]);
    let note = random.below(46);
    rawdoc! {
        "_id": id(number, index),
        "number": i64::try_from(number * 1_000_000 + index).expect("below an i64"),
        "user": id(customer >> 12, customer & 0xfff),
        "placed": date(random),
        "status": status,
        "total": random.price(),
        "currency": "EUR",
        "address": address(random),
        "items": items,
        "note": random.words(note),
        "coupon": bson::RawBson::Null,
    }
}

fn event(random: &mut Random, number: u64, index: u64) -> RawDocumentBuf {
    rawdoc! {
        "_id": id(number, index),
        "at": date(random),
        "kind": random.pick(&["view", "click", "basket", "search"]),
        "user": id(random.below(50), random.below(4_000)),
        "session": binary(random.bytes(16), BinarySubtype::Uuid),
        "page": random.word(),
        "referrer": random.word(),
        "milliseconds": random.int(30_000),
        "score": random.double(1.0),
        "mobile": random.below(2) == 0,
    }
}

fn user(random: &mut Random, number: u64, index: u64) -> RawDocumentBuf {
    let email = format!(
        "{}.{}@{}.example",
        random.word(),
        random.below(1_000_000),
        random.word()
    );
    let name = random.words(2);
    rawdoc! {
        "_id": id(number, index),
        "email": email,
        "name": name,
        "created": date(random),
        "password": binary(random.bytes(32), BinarySubtype::Generic),
        "device": binary(random.bytes(16), BinarySubtype::Uuid),
        "roles": ["customer", random.word()],
        "preferences": {"newsletter": random.below(2) == 0, "language": random.pick(&["de", "fr", "ja"]), "limit": random.int(100)},
        "addresses": [address(random)],
        "visits": i64::try_from(random.below(1 << 40)).expect("below an i64"),
    }
}

fn article(random: &mut Random, number: u64, index: u64) -> RawDocumentBuf {
    let (title, length) = (random.words(6), 6_000 + random.below(4_000));
    rawdoc! {
        "_id": id(number, index),
        "title": title,
        "published": date(random),
        "body": random.words(length),
        "tags": [random.word(), random.word(), random.word()],
    }
}

/// One sensor a chunk, a reading a second, as gateways send them.
fn reading(random: &mut Random, number: u64, index: u64) -> RawDocumentBuf {
    let at = EPOCH + i64::try_from(index).expect("below an i64") * 1_000;
    rawdoc! {
        "ts": DateTime::from_millis(at),
        "meta": {"sensor": i32::try_from(number).expect("few sensors"), "site": "harbour"},
        "_id": id(number, index),
        "temperature": random.double(40.0),
        "humidity": random.double(100.0),
        "pm25": random.double(300.0),
    }
}
