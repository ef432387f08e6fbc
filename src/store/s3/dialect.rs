//! What a store wants in each request, and what it lacks of the protocol: `MONGOTAR_S3_*`.
//!
//! Headers are set and removed in one place, before the signature, so that no write is forgotten.

use std::sync::OnceLock;

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

use super::answer::is_of_no_store;
use crate::archive::{MAX_PART_BYTES, MIN_PART_BYTES};

/// Objects that are only there while a run goes on are read and replaced all the time.
const IN_PROGRESS: &str = "mongotar-in-progress";

/// How a store is to be spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dialect {
    lacks_checksums: bool,
    lacks_conditions: bool,
    lacks_tags: bool,
    /// The least size of parts, where all but the last must have the same.
    equal_parts: Option<u64>,
    /// Headers of every write that makes an object.
    encryption: Vec<(&'static str, String)>,
    /// Of archives alone.
    storage_class: Option<String>,
    /// Of everything.
    owner: Option<String>,
    /// What is wrong with the variables.
    fault: Option<String>,
}

impl Dialect {
    /// That of the process's environment.
    pub(super) fn of_environment() -> &'static Self {
        static DIALECT: OnceLock<Dialect> = OnceLock::new();
        DIALECT.get_or_init(|| Self::of(|name| std::env::var(name).ok()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut fault = None;
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut one_of = |name: &'static str, allowed: &[&str]| {
            let value = set(name)?;
            if !allowed.contains(&value.as_str()) {
                fault = Some(format!("{name} may be {}", allowed.join(", ")));
            }
            Some(value)
        };
        let mut encryption = Vec::new();
        let lacks_checksums = one_of("MONGOTAR_S3_CHECKSUMS", &["crc64nvme", "none"]).as_deref() == Some("none");
        let lacks_conditions = one_of("MONGOTAR_S3_CONDITIONAL_WRITES", &["yes", "no"]).as_deref() == Some("no");
        let lacks_tags = one_of("MONGOTAR_S3_TAGS", &["yes", "no"]).as_deref() == Some("no");
        let algorithm = one_of("MONGOTAR_S3_ENCRYPTION", &["AES256", "aws:kms", "aws:kms:dsse"]);
        let bucket_key = one_of("MONGOTAR_S3_BUCKET_KEY", &["true", "false"]);
        let (key, with_kms) = (
            set("MONGOTAR_S3_KMS_KEY"),
            algorithm.as_deref().is_some_and(|algorithm| algorithm != "AES256"),
        );
        let equal_parts = set("MONGOTAR_S3_PART_SIZE").and_then(|text| {
            let bytes = text
                .parse::<u64>()
                .ok()
                .and_then(|mebibytes| mebibytes.checked_mul(1 << 20));
            let bytes = bytes.filter(|bytes| (MIN_PART_BYTES..=MAX_PART_BYTES).contains(bytes));
            if bytes.is_none() {
                fault = Some("MONGOTAR_S3_PART_SIZE is a whole number of MiB, from 5 to 5120".to_owned());
            }
            bytes
        });
        let owner = set("MONGOTAR_S3_BUCKET_OWNER");
        let is_account = |text: &String| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if owner.as_ref().is_some_and(|owner| !is_account(owner)) {
            fault = Some("MONGOTAR_S3_BUCKET_OWNER is the number of an account, twelve digits".to_owned());
        }
        if !with_kms && (key.is_some() || bucket_key.is_some()) {
            fault =
                Some("MONGOTAR_S3_KMS_KEY and MONGOTAR_S3_BUCKET_KEY need MONGOTAR_S3_ENCRYPTION=aws:kms".to_owned());
        }
        for (header, value) in [
            ("x-amz-server-side-encryption", algorithm),
            ("x-amz-server-side-encryption-aws-kms-key-id", key),
            ("x-amz-server-side-encryption-bucket-key-enabled", bucket_key),
        ] {
            encryption.extend(value.map(|value| (header, value)));
        }
        Self {
            lacks_checksums,
            lacks_conditions,
            lacks_tags,
            equal_parts,
            encryption,
            storage_class: set("MONGOTAR_S3_STORAGE_CLASS"),
            owner,
            fault,
        }
    }

    /// What is wrong with the variables.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Whether parts and objects have checksums.
    pub(super) fn has_checksums(&self) -> bool {
        !self.lacks_checksums
    }

    /// The least size of parts, where all but the last must have the same.
    pub(super) fn equal_parts(&self) -> Option<u64> {
        self.equal_parts
    }

    /// Whether the store itself refuses to write over an object.
    pub(super) fn has_conditions(&self) -> bool {
        !self.lacks_conditions
    }
}

impl Intercept for Dialect {
    fn name(&self) -> &'static str {
        "Dialect"
    }

    /// What answers everything with a page, even with an `ETag`, was taken for an object.
    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        match answer.status().is_success() && is_of_no_store(answer) {
            true => Err("no answer of S3".into()),
            false => Ok(()),
        }
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let (method, query) = (request.method().to_owned(), request.uri().to_owned());
        let query = query.split_once('?').map_or("", |(_, query)| query);
        let begins_upload = method == "POST" && query.split('&').any(|part| part.trim_end_matches('=') == "uploads");
        let makes_object = begins_upload || method == "PUT" && !query.contains("partNumber=");
        let headers = request.headers_mut();
        if self.lacks_checksums {
            let names: Vec<String> = headers.iter().map(|(name, _)| name.to_owned()).collect();
            for name in names.iter().filter(|name| is_of_checksums(name)) {
                headers.remove(name.as_str());
            }
        }
        if self.lacks_conditions && method != "GET" {
            headers.remove("if-none-match");
            headers.remove("if-match");
        }
        if makes_object {
            for (name, value) in &self.encryption {
                headers.insert(*name, value.clone());
            }
        }
        let is_kept = !headers
            .get("x-amz-tagging")
            .is_some_and(|tags| tags.contains(IN_PROGRESS));
        if let Some(class) = self.storage_class.as_ref().filter(|_| begins_upload && is_kept) {
            headers.insert("x-amz-storage-class", class.clone());
        }
        if self.lacks_tags {
            headers.remove("x-amz-tagging");
        }
        if let Some(owner) = &self.owner {
            headers.insert("x-amz-expected-bucket-owner", owner.clone());
        }
        Ok(())
    }
}

fn is_of_checksums(header: &str) -> bool {
    let newer = ["x-amz-checksum-", "x-amz-sdk-checksum-", "x-amz-mp-object-size"];
    newer.iter().any(|beginning| header.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Dialect {
        Dialect::of(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn variables_say_how_a_store_is_spoken_to() {
        assert_eq!(of(&[]), Dialect::default());
        assert_eq!(of(&[("MONGOTAR_S3_CHECKSUMS", "")]), Dialect::default());
        let old = of(&[
            ("MONGOTAR_S3_CHECKSUMS", "none"),
            ("MONGOTAR_S3_CONDITIONAL_WRITES", "no"),
        ]);
        assert!(!old.has_checksums() && !old.has_conditions());
        let even = of(&[("MONGOTAR_S3_PART_SIZE", "64"), ("MONGOTAR_S3_TAGS", "no")]);
        assert_eq!((even.equal_parts(), even.lacks_tags), (Some(64 << 20), true));
        let encrypted = of(&[
            ("MONGOTAR_S3_ENCRYPTION", "aws:kms"),
            ("MONGOTAR_S3_KMS_KEY", "alias/backups"),
            ("MONGOTAR_S3_BUCKET_KEY", "true"),
        ]);
        assert_eq!((encrypted.encryption.len(), encrypted.fault), (3, None));
    }

    #[test]
    fn a_variable_that_is_not_understood_is_an_error_that_names_it() {
        for (set, part) in [
            (
                vec![("MONGOTAR_S3_CHECKSUMS", "md5")],
                "MONGOTAR_S3_CHECKSUMS may be crc64nvme, none",
            ),
            (vec![("MONGOTAR_S3_CONDITIONAL_WRITES", "off")], "may be yes, no"),
            (vec![("MONGOTAR_S3_ENCRYPTION", "kms")], "aws:kms"),
            (vec![("MONGOTAR_S3_TAGS", "none")], "MONGOTAR_S3_TAGS may be yes, no"),
            (vec![("MONGOTAR_S3_PART_SIZE", "4")], "from 5 to 5120"),
            (vec![("MONGOTAR_S3_PART_SIZE", "5121")], "from 5 to 5120"),
            (vec![("MONGOTAR_S3_PART_SIZE", "64MiB")], "whole number of MiB"),
            (vec![("MONGOTAR_S3_BUCKET_OWNER", "12345")], "twelve digits"),
            (vec![("MONGOTAR_S3_KMS_KEY", "alias/x")], "need MONGOTAR_S3_ENCRYPTION"),
            (
                vec![("MONGOTAR_S3_ENCRYPTION", "AES256"), ("MONGOTAR_S3_BUCKET_KEY", "true")],
                "need MONGOTAR_S3_ENCRYPTION",
            ),
        ] {
            let fault = of(&set).fault.unwrap_or_default();
            assert!(fault.contains(part), "{set:?}: {fault}");
        }
    }
}
