//! Where something lies: `s3://bucket/key` or a path.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::failure::Failure;
use crate::hidden::hidden;

/// An object, or the folder that objects are in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// In S3. A folder's key is a prefix that ends in `/`, or is empty.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key or prefix.
        key: String,
    },
    /// In the local file system.
    Local(PathBuf),
}

/// Why a text names no location.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a location: use s3://bucket/prefix/ or a local path{meant}")]
pub struct LocationError {
    text: String,
    /// What was probably meant, as the end of a sentence.
    meant: String,
}

impl From<LocationError> for Failure {
    fn from(error: LocationError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl Location {
    /// The object `name` in this folder.
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::S3 { bucket, key } => {
                let slash = if key.is_empty() || key.ends_with('/') { "" } else { "/" };
                Self::S3 {
                    bucket: bucket.clone(),
                    key: format!("{key}{slash}{name}"),
                }
            }
            Self::Local(path) => Self::Local(path.join(name)),
        }
    }

    /// The folder that this object is in.
    pub fn parent(&self) -> Self {
        match self {
            Self::S3 { bucket, key } => Self::S3 {
                bucket: bucket.clone(),
                key: key
                    .rfind('/')
                    .map_or_else(String::new, |slash| key[..=slash].to_owned()),
            },
            Self::Local(path) => Self::Local(match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
                _ => PathBuf::from("."),
            }),
        }
    }

    /// The folder that this folder is in.
    pub fn above(&self) -> Self {
        match self {
            Self::S3 { bucket, key } => Self::S3 {
                bucket: bucket.clone(),
                key: key.trim_end_matches('/').to_owned(),
            }
            .parent(),
            Self::Local(path) if path.file_name().is_none() => Self::Local(path.join("..")),
            Self::Local(_) => self.parent(),
        }
    }

    /// The last component: an object's name without its folder.
    pub fn file_name(&self) -> String {
        match self {
            Self::S3 { key, .. } => key.rsplit('/').next().unwrap_or_default().to_owned(),
            Self::Local(path) => path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let error = || LocationError {
            text: hidden(text).into_owned(),
            meant: String::new(),
        };
        if let Some(rest) = almost_s3(text) {
            let url = format!("s3://{rest}");
            // What other tools take before an `@` is not for everybody's eyes.
            let shown = match rest.contains('@') {
                true => hidden(&url).into_owned(),
                false => text.to_owned(),
            };
            let meant = url.parse::<Self>().map(|_| format!(". Did you mean {url}?"));
            return Err(LocationError {
                text: shown,
                meant: meant.unwrap_or_default(),
            });
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            // No bucket has an `@` or a `:` in its name: they belong to keys, which other tools take here.
            if bucket.is_empty() || bucket.contains(['@', ':']) {
                return Err(error());
            }
            return Ok(Self::S3 {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            });
        }
        // A shell that does not see it, as in `.env`, leaves the ~ there: it became a folder of that name.
        if text == "~" || text.starts_with("~/") {
            return Err(LocationError {
                meant: ". ~ is left as it is here: write the whole path (a folder of that name is ./~)".to_owned(),
                ..error()
            });
        }
        let arn = text.strip_prefix("arn:").and_then(|arn| arn.split_once(":s3:::"));
        if let Some((_, rest)) = arn.filter(|(partition, _)| !partition.contains('/')) {
            return Err(LocationError {
                meant: format!(". Did you mean s3://{rest}?"),
                ..error()
            });
        }
        if text.trim().is_empty() || text.contains("://") && !text.starts_with("file://") {
            return Err(error());
        }
        Ok(Self::Local(PathBuf::from(text.strip_prefix("file://").unwrap_or(text))))
    }
}

/// What stands behind an `s3://` that is not written so: `s3:/bucket`, `s3:bucket`, `s3//bucket`, `S3://bucket`. A folder
/// of such a name is `./s3:`.
fn almost_s3(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked(2)?;
    let begins = rest.starts_with(':') || rest.starts_with("//");
    let is_s3 = scheme == "s3" && rest.starts_with("://");
    (scheme.eq_ignore_ascii_case("s3") && begins && !is_s3).then(|| rest.trim_start_matches([':', '/']))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_told_apart() {
        let at = |text: &str| text.parse::<Location>();
        let folder = at("s3://b/prefix").expect("valid");
        assert_eq!(folder.join("x.tar").to_string(), "s3://b/prefix/x.tar");
        assert_eq!(
            at("s3://b/prefix/").expect("valid").join("x").to_string(),
            "s3://b/prefix/x"
        );
        assert_eq!(at("s3://b").expect("valid").join("x").to_string(), "s3://b/x");
        assert_eq!(at("s3://b/p/x.tar").expect("valid").parent().to_string(), "s3://b/p/");
        assert_eq!(at("backups").expect("valid").join("x").to_string(), "backups/x");
        assert_eq!(at("x.tar").expect("valid").parent().to_string(), ".");
        assert_eq!(at("p/x.tar").expect("valid").file_name(), "x.tar");
        for secret in ["mongodb://u:secret@h/", "s3://id:secret@b/k", "s3://id:a/secret@b/k"] {
            let error = at(secret).expect_err("no location").to_string();
            assert!(!error.contains("secret") && error.contains("not shown"), "{error}");
        }
        for wrong in ["", "s3://", "s3:///key", "gs://b/k"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_lies_in_another() {
        for (folder, expected) in [
            ("s3://b/n/backup_1.chain/", "s3://b/n/"),
            ("s3://b/backup_1.chain/", "s3://b/"),
            ("/n/backup_1.chain", "/n"),
            ("backup_1.chain", "."),
            (".", "./.."),
        ] {
            let folder: Location = folder.parse().expect("a folder");
            assert_eq!(folder.above().to_string(), expected, "{folder}");
        }
    }

    /// A backup went into a folder `s3:`, on this machine.
    #[test]
    fn what_is_almost_a_place_in_s3_is_no_folder() {
        let at = |text: &str| text.parse::<Location>();
        for almost in [
            "s3:/b/x.tar",
            "s3:b/x.tar",
            "S3://b/x.tar",
            "s3//b/x.tar",
            "S3:/b/x.tar",
        ] {
            let error = at(almost).expect_err(almost).to_string();
            assert!(error.starts_with(&format!("{almost:?} is not a location")), "{error}");
            assert!(error.ends_with("Did you mean s3://b/x.tar?"), "{error}");
        }
        for secret in ["s3:/id:secret@b/k", "S3://id:secret@b/k"] {
            let error = at(secret).expect_err(secret).to_string();
            assert!(!error.contains("secret") && !error.contains("mean"), "{error}");
        }
        // Each was taken for a folder, too.
        for (wrong, says) in [
            ("~/backups", "write the whole path"),
            ("~", "write the whole path"),
            ("arn:aws:s3:::b/x.tar", "Did you mean s3://b/x.tar?"),
            (" ", "is not a location"),
        ] {
            let error = at(wrong).expect_err(wrong).to_string();
            assert!(error.contains(says), "{error}");
        }
        for folder in ["./s3:/b", "s3", "s3backups", "s3/b", "./~", "~x", "arn"] {
            assert!(matches!(at(folder), Ok(Location::Local(_))), "{folder}");
        }
    }
}
