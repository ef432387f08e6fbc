//! What goes through S3 and back is what it was: every type, every kind of collection, every index, every odd name.
//!
//! The hard cases, and the tests that have their names. Paths are of this test program, or of the library (`lib:`).
//!
//! | case | test |
//! |---|---|
//! | 1 `$`-prefixed keys that look like values | `fidelity::named_documents::sub_documents_that_look_like_extended_json_stay_documents`, `lib: extjson::tests::named::dollar_keys_that_look_like_types_survive`, `lib: extjson::tests::named::other_dollar_keys_and_references_stay_text` |
//! | 2 order of fields, duplicate keys; order in an embedded `_id`, DBRef, index keys, view pipelines | `fidelity::named_documents::field_order_and_duplicate_keys_are_kept`, `fidelity::named_documents::every_id_is_found_again_whatever_its_type`, `fidelity::indexes::index_definitions_come_back_as_they_were` (`compound`), `fidelity::collections::every_kind_of_collection_keeps_its_options` (`a view on a view`) |
//! | 3 numbers and dates: of relaxed and legacy JSON, beyond the years 0 and 9999, `-0.0`, NaN, subnormals, small int64 | `fidelity::named_documents::numbers_keep_their_type_and_every_bit`, `fidelity::named_documents::dates_before_year_0_and_after_9999_are_kept`, `foreign::ancestor::what_a_dialect_cannot_say_comes_back_as_an_equal_value`, `lib: extjson::tests::foreign::relaxed_numbers`, `lib: extjson::tests::foreign::dates_of_all_ages` |
//! | 4 what no text holds | `fidelity::named_documents::what_no_text_holds_is_kept`, `lib: extjson::tests::named::what_no_text_holds_is_wrapped` |
//! | 5 `Timestamp(0,0)`, on a server that replaces it | `fidelity::timestamps::timestamp_zero_survives_on_a_server_that_replaces_it`, `lib: restore::insert::tests::only_top_level_empty_timestamps_need_repair` |
//! | 5 `Timestamp(0,0)`, on a server that can be told not to | `lib: mongo::insert::tests::a_server_that_knows_how_is_told_to_leave_empty_timestamps_alone` (the rig's server is older) |
//! | 6 time series: measurements, TTL, granularity and bucket parameters | `fidelity::time_series::measurements_come_back_once_each_however_they_are_identified`, `fidelity::time_series::parameters_and_time_to_live_come_back`, `restore::definitions::every_option_comes_back_and_is_no_difference` |
//! | 6 time series: never past the validator of their buckets | `fidelity::time_series::force_does_not_write_past_the_buckets_validator` |
//! | 6 time series: recognised by metadata, by nothing but `system.buckets.*`, by a sample; the opt-out | `foreign::timeseries::each_signal_makes_a_time_series_and_says_so`, `foreign::timeseries::inference_can_be_switched_off` |
//! | 6 time series: odd names of fields, also within arrays | `fidelity::time_series::odd_names_of_fields_come_back_also_within_arrays` |
//! | 7 TTL: counted first, built last | `fidelity::ttl::ttl_does_not_eat_what_was_just_restored` |
//! | 8 a unique index over data that breaks it, its key named, the others built | `fidelity::indexes::a_unique_index_over_data_that_breaks_it_does_not_lose_the_others`, `restore::failures::an_index_that_cannot_be_built_does_not_lose_the_others` |
//! | 9 partial success; totals balance | `fidelity::indexes::totals_balance_when_another_unique_key_is_taken`, `fidelity::collections::a_refused_document_does_not_take_the_rest_of_a_capped_collection_with_it`, `restore::twice::the_second_time_nothing_is_inserted_and_nothing_replaced` |
//! | 10 indexes: doubles as key values, hashed `_id`, 2dsphere versions, 2d, text, hidden, sparse, partial, wildcard, collated, v:1, long names | `fidelity::indexes::index_definitions_come_back_as_they_were`, `restore::definitions::every_option_comes_back_and_is_no_difference` |
//! | 11 creation-only options: collation with its `_id` index, clustered, capped, pre- and post-images, encrypted | `fidelity::collections::every_kind_of_collection_keeps_its_options`, `restore::definitions::every_option_comes_back_and_is_no_difference`, `lib: plan::decide::tests::what_the_server_does_not_rename_is_done_in_place` |
//! | 11 capped order | `fidelity::collections::capped_order_is_kept`, `restore::merge::a_capped_collection_keeps_its_order_also_when_it_is_merged_into` |
//! | 11 options and indexes that the server refuses | `restore::rehearsal::everything_that_the_target_would_refuse_is_told_at_once_and_nothing_is_changed` |
//! | 12 validators: old documents, level and action | `fidelity::validators::force_puts_old_documents_past_the_validator_and_counts_them`, `fidelity::validators::without_force_the_validator_rules_and_every_refused_document_is_named`, `restore::validators::the_validator_is_never_off_not_even_for_a_moment` |
//! | 12 validators: the privilege to pass them by | `restore::consent::a_user_who_may_only_read_can_plan_and_is_refused_before_the_first_change` |
//! | 13 views on views, in order; a view of nothing | `fidelity::collections::every_kind_of_collection_keeps_its_options` (`a view on a view`, `a view of nothing`), `lib: plan::views::tests::a_view_comes_after_what_it_reads_from_and_cycles_end` |
//! | 14 documents of 16 MiB | `fidelity::named_documents::sixteen_mebibyte_documents_come_back`, `lib: extjson::tests::named::a_document_of_16_mib_grows_and_comes_back` |
//! | 14 lookups and batches at the limit of a message | `fidelity::named_documents::ids_of_a_mebibyte_each_come_back` |
//! | 14 nesting, 100 deep and to the server's limit | `fidelity::named_documents::nesting_to_the_server_s_limit_comes_back`, `lib: extjson::tests::named::nesting_up_to_the_limit_is_text_and_beyond_it_wrapped` |
//! | 15 truncation, a missing entry | `damage::truncated`, `foreign::damage::a_truncated_tar_is_refused_with_the_entry_at_which_it_ends` |
//! | 15 names with newlines, slashes and the rest | `fidelity::collections::every_name_that_the_server_takes_comes_back` |
//! | 15 a target that is not what was planned | `restore::consent::the_right_token_is_consent_and_a_token_for_another_target_is_stale` |
//! | stored functions, and what the server keeps for itself | `fidelity::functions::stored_functions_are_saved_restored_and_compared`, `fidelity::functions::what_is_the_server_s_own_is_named_in_report_manifest_and_show` |
//! | all of them in one database | `fidelity::everything` |

mod collections;
pub mod documents;
mod everything;
mod functions;
pub mod harness;
pub mod indexes;
mod named_documents;
mod raw;
pub mod time_series;
pub mod timestamps;
mod ttl;
pub mod validators;

/// A table that names tests which are gone proves nothing.
#[test]
fn every_test_that_the_table_names_is_there() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let names = include_str!("fidelity.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.contains("::"));
    let mut found = 0;
    for name in names {
        let (folder, path) = match name.strip_prefix("lib: ") {
            Some(path) if path.starts_with("extjson") => ("codec/src", path),
            Some(path) => ("src", path),
            None => ("tests/it", name),
        };
        // The last part is a test or a whole file; `tests` is the file's own module where there is no file of that
        // name.
        let parts: Vec<&str> = path.split("::").collect();
        let source =
            |parts: &[&str]| std::fs::read_to_string(root.join(folder).join(parts.join("/")).with_extension("rs"));
        let (test, module) = parts.split_last().expect("a path");
        let is_test = |text: String| text.contains(&format!("fn {test}("));
        let within = module.split_last().filter(|(last, _)| **last == "tests");
        let there = source(&parts).is_ok()
            || source(module).is_ok_and(is_test)
            || within.is_some_and(|(_, module)| source(module).is_ok_and(is_test));
        assert!(there, "{name} is not there");
        found += 1;
    }
    assert!(found > 40, "{found} names");
}
