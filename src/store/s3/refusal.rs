//! S3's refusals in words: status, code, message and request id, and the likely cause if known.
//!
//! Codes are those of AWS ("Error responses", Amazon S3 API reference); other stores use the same ones.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::dialect::Dialect;
use super::permission::{permission, writes};

/// What is asked where something else than a store has answered.
const NO_STORE: &str = "is AWS_ENDPOINT_URL the address of a store?";

/// An answer that is an error, as far as something can be told from it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusal<'a> {
    pub(super) status: u16,
    /// None for a HEAD, whose answer has no body.
    pub(super) code: Option<&'a str>,
    pub(super) message: Option<&'a str>,
    pub(super) request: Option<&'a str>,
    /// Where the bucket is, where the store says so.
    pub(super) region: Option<&'a str>,
    /// Whether it is a page, as no S3 has them.
    pub(super) is_page: bool,
}

impl Refusal<'_> {
    /// Whether nothing was wrong with the store, but with who asked, or how: the same again is refused again.
    pub(super) fn is_denial(&self) -> bool {
        matches!(
            self.code,
            Some(
                "AccessDenied"
                    | "AccountProblem"
                    | "AllAccessDisabled"
                    | "AuthorizationHeaderMalformed"
                    | "ExpiredToken"
                    | "InvalidAccessKeyId"
                    | "InvalidSecurity"
                    | "InvalidToken"
                    | "PermanentRedirect"
                    | "RequestTimeTooSkewed"
                    | "SignatureDoesNotMatch"
            )
        ) || self.is_about_keys()
            || self.status == 403 && !self.is_full()
            || self.status == 301
    }

    /// Whether the store lacks what it was asked for.
    pub(super) fn is_unknown(&self) -> bool {
        self.code == Some("NotImplemented") || self.status == 501
    }

    /// Whether nothing more fits in: a quota, a cap, or a disk.
    fn is_full(&self) -> bool {
        let by_code = |code: &str| code.contains("Quota") || code.contains("StorageFull");
        self.status == 507 || self.code.is_some_and(by_code) || self.says("cap exceeded")
    }

    /// Whether it has too much to do.
    fn is_busy(&self) -> bool {
        let by_code = |code: &str| {
            let busy = ["SlowDown", "Throttl", "TooManyRequests", "RequestLimit"];
            busy.iter().any(|word| code.contains(word))
        };
        self.status == 429 || self.code.is_some_and(by_code)
    }

    /// Whether a key of KMS cannot be used: not that KMS is busy, or fails.
    fn is_about_keys(&self) -> bool {
        let by_code = |code: &str| code.starts_with("KMS.") && !code.contains("Throttling");
        self.status < 500 && (self.code.is_some_and(by_code) || self.says(" kms:") || self.says("master key"))
    }

    /// Whether it is the algorithm, or the header, that the store does not want.
    fn refuses_checksums(&self) -> bool {
        let is_about_them = self.says("hecksum") || self.says("sdk-checksum-algorithm");
        let refuses = [
            "upported",
            "nvalid",
            "nknown",
            "ecogni",
            "not allowed",
            "not implemented",
        ];
        self.status == 400 && is_about_them && refuses.iter().any(|word| self.says(word))
    }

    fn says(&self, what: &str) -> bool {
        self.message.is_some_and(|message| message.contains(what))
    }

    /// All of it, and the likely cause; `action` is the operation of S3 that was tried.
    pub(super) fn told(&self, action: &str) -> String {
        let mut text = self.said();
        if let Some(cause) = self.cause(action) {
            let _ = write!(text, ". {cause}");
        }
        text
    }

    /// What was answered.
    pub(super) fn said(&self) -> String {
        let mut text = match (self.code, self.status) {
            (Some(code), status) => format!("{status} {code}"),
            (None, status @ 200..300) => {
                format!("status {status}, but no answer of S3: {NO_STORE}")
            }
            (None, status) if self.message.is_some() => format!("status {status}"),
            (None, status) => format!("status {status}, without a reason"),
        };
        if let Some(message) = self.message {
            let _ = write!(text, ": {}", message.trim_end_matches('.'));
        }
        if let Some(request) = self.request {
            let _ = write!(text, " (request {request})");
        }
        text
    }

    /// The likely cause, and what to do.
    fn cause(&self, action: &str) -> Option<String> {
        let says = |what: &str| self.says(what);
        let writes = writes(action);
        if let Some(region) = self.other_region() {
            return Some(format!("The bucket is in the region {region}: set AWS_REGION={region}"));
        }
        let passing = match self.code {
            _ if self.is_full() => "The store is full, or its quota is used up: free space in it, or raise the quota",
            _ if self.is_busy() => {
                "The store asks for fewer requests: try again later, or run fewer backups and restores at once"
            }
            None if self.status == 407 => {
                "A proxy on the way asks for a user and a password, which mongotar gives to no proxy: lead the way to the store past it"
            }
            None if matches!(self.status, 500 | 502..=504) => {
                "The store, or a proxy before it, is down or overloaded: try again later"
            }
            _ => "",
        };
        if !passing.is_empty() {
            return Some(passing.to_owned());
        }
        if self.is_page {
            return Some(format!("No S3 answers with a page: {NO_STORE}"));
        }
        if self.code.is_none() && (300..400).contains(&self.status) {
            return Some(format!("It leads elsewhere, as no S3 does: {NO_STORE}"));
        }
        // A refusal without a body is one of access, too.
        let cause = match self.code.or((self.status == 403).then_some("AccessDenied"))? {
            "RequestTimeTooSkewed" | "RequestExpired" => "The clock of this machine is wrong: set it (NTP)",
            "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
                "The temporary credentials have run out, or are not those of this key: sign in again, or renew AWS_SESSION_TOKEN"
            }
            "InvalidAccessKeyId" => {
                "This store does not know the access key (of AWS_ACCESS_KEY_ID, a profile, a role or a container): it was deleted, belongs to another store, or is temporary and has run out or lacks its session token"
            }
            "SignatureDoesNotMatch" => {
                "AWS_SECRET_ACCESS_KEY does not belong to this key, or a proxy on the way changes requests"
            }
            _ if self.is_about_keys() => {
                let needed = if writes {
                    "kms:GenerateDataKey and kms:Decrypt"
                } else {
                    "kms:Decrypt"
                };
                return Some(format!(
                    "The KMS key cannot be used: allow the role {needed} on it, and check that it is enabled"
                ));
            }
            "AccessDenied" if says("explicit deny") => {
                let encryption = if writes {
                    "encryption (MONGOTAR_S3_ENCRYPTION), "
                } else {
                    ""
                };
                return Some(format!(
                    "A policy denies it, whatever else is allowed. Look for conditions in the bucket's policy: {encryption}TLS, the VPC endpoint, the bucket's owner"
                ));
            }
            "AccessDenied" => {
                let encryption = match writes {
                    true => ". If the policy demands encryption, set MONGOTAR_S3_ENCRYPTION",
                    false => "",
                };
                return Some(format!(
                    "{action} needs the permission {}: allow it in the role and in the bucket's policy{encryption}",
                    permission(action)
                ));
            }
            _ if says("form of Server Side Encryption") => {
                "The object is encrypted with a key that its owner sends along (SSE-C), which mongotar does not do: copy it without"
            }
            _ if writes && matches!(self.status, 400 | 501) && says("ncryption") => {
                "This store does not have that encryption: see MONGOTAR_S3_ENCRYPTION"
            }
            "NotImplemented" if !writes => "This store lacks a part of the protocol",
            "NotImplemented" => {
                "This store lacks a part of the protocol: see MONGOTAR_S3_CHECKSUMS and MONGOTAR_S3_CONDITIONAL_WRITES"
            }
            "XAmzContentSHA256Mismatch" | "BadDigest" | "InvalidDigest" | "InvalidChecksum" => {
                "The data changed on the way, or this store does not know CRC64NVME: see MONGOTAR_S3_CHECKSUMS"
            }
            "InvalidStorageClass" => "This store does not have the storage class: see MONGOTAR_S3_STORAGE_CLASS",
            _ if self.status == 400 && says("required") && (says("hecksum") || says("Content-MD5")) => {
                "This store demands a checksum: leave MONGOTAR_S3_CHECKSUMS unset. If it is, the store does not know CRC64NVME"
            }
            _ if self.refuses_checksums() && Dialect::of_environment().has_checksums() => {
                "This store does not know CRC64NVME: set MONGOTAR_S3_CHECKSUMS=none"
            }
            code if code.contains("AccountProblem") || matches!(code, "AllAccessDisabled" | "NotSignedUp") => {
                "The account of these keys is blocked, or not paid for: ask the store's provider"
            }
            code if self.status == 403 => {
                return Some(format!(
                    "No permission is named: look up what {code} means in the store's documentation, or ask its provider"
                ));
            }
            _ if self.status >= 500 => "The store failed: try again later",
            _ => return None,
        };
        Some(cause.to_owned())
    }

    /// Where the bucket is, if it was asked for somewhere else.
    pub(super) fn other_region(&self) -> Option<&str> {
        let is_elsewhere = matches!(self.code, Some("AuthorizationHeaderMalformed" | "PermanentRedirect"))
            || matches!(self.code, Some("IllegalLocationConstraintException"))
            || self.code.is_none() && matches!(self.status, 301 | 400);
        let expected = || {
            let (_, behind) = self.message?.split_once("expecting '")?;
            behind.split('\'').next()
        };
        self.region.or_else(expected).filter(|_| is_elsewhere)
    }
}
