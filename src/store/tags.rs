//! Tags of objects in S3; a bucket's lifecycle rules go by them.

/// The tags that objects are written with. Writing without tags needs no `s3:PutObjectTagging`; local files have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<(&'static str, &'static str)>);

impl Tags {
    /// One tag. Keys and values are this program's own words: letters, digits and dashes.
    pub fn new(key: &'static str, value: &'static str) -> Self {
        Self(vec![(key, value)])
    }

    /// For objects that are needed only until a run ends: should it die, the bucket removes them.
    pub fn in_progress() -> Self {
        Self::new("mongotar-in-progress", "true")
    }

    /// The value of `x-amz-tagging`.
    pub(super) fn header(&self) -> Option<String> {
        let tags: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        (!tags.is_empty()).then(|| tags.join("&"))
    }
}
