//! FIELD 3, cases 1 to 4 and 14: single documents.

use super::documents::{self, LARGEST, Nest, deep, identified, of_size};
use super::harness::round_trip;
use super::raw::Raw;

fn numbered(documents: Vec<Raw>) -> Vec<Vec<u8>> {
    documents
        .iter()
        .enumerate()
        .map(|(id, fields)| identified(id, fields))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sub_documents_that_look_like_extended_json_stay_documents() {
    round_trip(&numbered(documents::look_alikes())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_order_and_duplicate_keys_are_kept() {
    round_trip(&numbered(documents::orders_and_duplicates())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_keep_their_type_and_every_bit() {
    round_trip(&numbered(documents::numbers())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_before_year_0_and_after_9999_are_kept() {
    round_trip(&numbered(documents::dates())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_text_holds_is_kept() {
    let all = [
        documents::texts(),
        documents::binaries(),
        documents::deprecated(),
        documents::regular_expressions(),
    ];
    round_trip(&numbered(all.concat())).await;
}

/// An `_id` of invalid UTF-8 was left out of lookups, and the server's duplicate-key error that quotes it could not be
/// read.
#[tokio::test(flavor = "multi_thread")]
async fn every_id_is_found_again_whatever_its_type() {
    round_trip(&documents::odd_ids()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nesting_to_the_server_s_limit_comes_back() {
    let levels = [2, 99, 100, 101, 150, documents::DEEPEST];
    let both = levels
        .iter()
        .flat_map(|&levels| [deep(levels, Nest::Documents), deep(levels, Nest::Arrays)]);
    round_trip(&numbered(both.collect())).await;
}

/// As text a control character takes six bytes, so that the second of these grows to 96 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_mebibyte_documents_come_back() {
    let documents = [
        of_size(LARGEST, 1, b'x'),
        of_size(LARGEST, 2, 1),
        of_size(LARGEST - 1, 3, b'"'),
    ];
    round_trip(&documents).await;
}

/// The lookups of a sample or a merge are commands too, and must fit the server's 16 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn ids_of_a_mebibyte_each_come_back() {
    let ids = (0..40_u8).map(|n| Raw::new().text("_id", vec![b'A' + n; 1 << 20]).bytes());
    round_trip(&ids.collect::<Vec<_>>()).await;
}
