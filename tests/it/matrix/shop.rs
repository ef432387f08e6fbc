//! A database of everything that a release knows.

use bson::{Document, doc};

use super::Knows;
use crate::fidelity::{documents, harness, indexes, time_series, timestamps, validators};
use crate::restore::{Place, numbered};

/// Fills a database with every kind of collection, document and index that the release knows.
pub async fn fill(place: &Place, knows: Knows) {
    let (client, database) = (&place.client, place.database.as_str());
    for create in creates(knows) {
        harness::run(client, database, create).await;
    }
    for (name, known) in [
        ("capped", knows.capped),
        ("collated", knows.collations),
        ("plain", true),
    ] {
        if known {
            place.insert(name, numbered(0..50, "archived")).await;
        }
    }
    harness::put(&place.tools, database, "every type", &every_type(knows)).await;
    harness::put(&place.tools, database, "timestamps", &documents::odd_ids()).await;
    timestamps::empty_timestamps(client, database, "timestamps").await;
    match knows.all_indexes {
        true => indexes::build(client, database).await,
        false => few_indexes(place).await,
    }
    validators::build(client, database).await;
    if knows.time_series {
        time_series::build(client, &place.tools, database).await;
    }
    if knows.clustered {
        place.insert("clustered", numbered(0..50, "archived")).await;
    }
    if knows.images {
        place.insert("images", numbered(0..50, "archived")).await;
    }
}

/// What every engine has.
async fn few_indexes(place: &Place) {
    place.insert("indexed", numbered(0..50, "archived")).await;
    let indexes = vec![
        doc! {"key": {"z": 1, "a": -1, "m": 1}, "name": "compound"},
        doc! {"key": {"a": 1}, "name": "sparse", "sparse": true},
        doc! {"key": {"_id": 1, "a": 1}, "name": "unique", "unique": true},
        doc! {"key": {"at": 1}, "name": "expiring", "expireAfterSeconds": 3600},
    ];
    harness::index(&place.client, &place.database, "indexed", indexes).await;
}

fn creates(knows: Knows) -> Vec<Document> {
    let mut creates = vec![doc! {"create": "empty"}];
    if knows.capped {
        creates.push(doc! {"create": "capped", "capped": true, "size": 100_000, "max": 500});
    }
    if knows.collations && knows.views {
        creates.extend([
            doc! {"create": "collated", "collation": {"locale": "de", "strength": 3, "caseFirst": "upper"}},
            doc! {"create": "zz view", "viewOn": "collated", "pipeline": [{"$match": {"_id": {"$lt": 5}}}], "collation": {"locale": "de", "strength": 3, "caseFirst": "upper"}},
            doc! {"create": "a view on a view", "viewOn": "zz view", "pipeline": [{"$project": {"_id": 1}}], "collation": {"locale": "de", "strength": 3, "caseFirst": "upper"}},
        ]);
    }
    if knows.views {
        creates.push(doc! {"create": "a view of nothing", "viewOn": "not there", "pipeline": []});
    }
    if knows.clustered {
        creates.push(doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true, "name": "in the tree"}, "expireAfterSeconds": 1_000_000_000_i64});
    }
    if knows.images {
        creates.push(doc! {"create": "images", "changeStreamPreAndPostImages": {"enabled": true}});
    }
    creates
}

/// Documents of every type. Servers before 5.0 take no field of a document's own that begins with a dollar.
fn every_type(knows: Knows) -> Vec<Vec<u8>> {
    if knows.dollar_keys {
        return documents::all();
    }
    let kinds = [
        documents::numbers(),
        documents::dates(),
        documents::texts(),
        documents::binaries(),
        documents::regular_expressions(),
    ];
    let numbered = kinds.into_iter().flatten().enumerate();
    numbered
        .map(|(id, fields)| documents::identified(id, &fields))
        .collect()
}

/// Fills a database with enough for several invocations, and for several workers.
pub async fn fill_large(place: &Place, knows: Knows, mebibytes: u8) {
    let large: Vec<u8> = (0..mebibytes).collect();
    for chunk in large.chunks(8) {
        let documents = chunk.iter().map(|&at| {
            let bytes = bson::Binary {
                subtype: bson::spec::BinarySubtype::Generic,
                bytes: vec![at; 1 << 20],
            };
            doc! {"_id": i64::from(at), "bytes": bytes}
        });
        place.insert("large", documents.collect()).await;
    }
    let capped = doc! {"create": "capped", "capped": true, "size": 1 << 20};
    let view = doc! {"create": "view", "viewOn": "one", "pipeline": []};
    for (known, create) in [(knows.capped, capped), (knows.views, view)] {
        if known {
            place.run(create).await;
        }
    }
    for (name, known) in [("one", true), ("two", true), ("capped", knows.capped)] {
        if known {
            place.insert(name, numbered(0..50, "archived")).await;
        }
    }
    let index = doc! {"key": {"text": 1, "_id": -1}, "name": "by_text"};
    harness::index(&place.client, &place.database, "one", vec![index]).await;
    if knows.time_series {
        place
            .run(doc! {"create": "measured", "timeseries": {"timeField": "t", "metaField": "m"}})
            .await;
        let measured = (0..200).map(|at| doc! {"t": bson::DateTime::from_millis(at * 1_000), "m": at % 3, "v": at});
        place.insert("measured", measured.collect()).await;
    }
}
