//! One collection: what an archive has of it, and what became of it.

use bson::spec::ElementType;

use super::found::{Content, File, Tally};
use super::member::Written;
use super::metadata::Described;
use super::{Reading, Seen};
use crate::archive::{Saved, SavedStatus};
use crate::catalog::Kind;
use crate::digest::{Digest, Hashing};

const BUCKETS_ONLY: &str = "the dump holds this time series as compressed buckets, which are not unpacked here: restore it with mongorestore, \
                            or back it up with mongotar";

/// What an archive has of one collection.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) file: Option<File>,
    pub(super) described: Option<Described>,
    pub(super) buckets: Option<Written>,
}

impl Parts {
    fn kind(&self) -> Kind {
        match (&self.described, self.buckets) {
            (Some(described), _) if described.fault.is_none() => described.kind(),
            (_, Some(_)) if self.file.is_none() => Kind::Timeseries,
            _ => Kind::Collection,
        }
    }

    /// How whole it is, and what is wrong.
    fn status(&self) -> (SavedStatus, Option<String>) {
        let fault = self.described.as_ref().and_then(|described| described.fault.clone());
        if self.kind() == Kind::View {
            return (SavedStatus::Complete, None);
        }
        match self.file.as_ref().map(|file| &file.content) {
            Some(Content::Read { tally, .. }) if self.holds_buckets(tally) => {
                (SavedStatus::Failed, Some(BUCKETS_ONLY.to_owned()))
            }
            Some(Content::Read { fault: None, .. }) => match fault {
                None => (SavedStatus::Complete, None),
                Some(fault) => (SavedStatus::Partial, Some(fault)),
            },
            Some(Content::Read { fault: Some(fault), .. }) => (SavedStatus::Partial, Some(fault.clone())),
            Some(Content::Unusable(why)) => (SavedStatus::Failed, Some(why.clone())),
            Some(Content::Unread) | None => {
                let why = match self.buckets {
                    Some(Written::Bson) => BUCKETS_ONLY,
                    Some(Written::Json) => "the archive has the buckets of this time series, and not its documents",
                    None => "the archive has its definition, and not its documents",
                };
                (SavedStatus::Failed, fault.or_else(|| Some(why.to_owned())))
            }
        }
    }

    /// Newer servers have no collection of buckets any more: a raw dump then has them under the time series' own name.
    fn holds_buckets(&self, tally: &Tally) -> bool {
        let timeseries = self
            .described
            .as_ref()
            .and_then(|described| described.options.get_document("timeseries"));
        let Some(options) = timeseries else { return false };
        let first = |name: &str, kind| tally.outline.first_has(name, kind);
        let dated = options
            .get_str("timeField")
            .is_ok_and(|field| first(field, ElementType::DateTime));
        let has = |name| first(name, ElementType::EmbeddedDocument);
        !dated && has("control") && has("data")
    }

    /// As a manifest would have it.
    pub(super) fn saved(&self, name: &str, warnings: &mut Vec<String>) -> Saved {
        let kind = self.kind();
        let (status, error) = self.status();
        let hashing = if kind == Kind::Timeseries {
            Hashing::SortedFields
        } else {
            Hashing::Raw
        };
        let mut digest = match self.file.as_ref().map(|file| &file.content) {
            Some(Content::Read { tally, .. }) if status != SavedStatus::Failed => tally.digest(hashing),
            _ => Digest::default(),
        };
        if kind == Kind::View && digest.documents() > 0 {
            let count = digest.documents();
            warnings.push(format!(
                "{name:?} is a view: the {count} documents that were saved of it are left out"
            ));
            digest = Digest::default();
        }
        let described = self.described.clone().unwrap_or_default();
        Saved {
            name: name.to_owned(),
            kind,
            uuid: described.uuid,
            options: described.options,
            indexes: described.indexes,
            status,
            error,
            documents: digest.documents(),
            bytes: digest.bytes(),
            wrapped: 0,
            digest: digest.sum(),
            hashing,
            definition: None,
            entry: None,
            abandoned: Vec::new(),
        }
    }

    /// What speaks for a time series.
    pub(super) fn seen(&self) -> Option<Seen> {
        let tally = match self.file.as_ref().map(|file| &file.content) {
            Some(Content::Read { tally, .. }) => Some(tally),
            _ => None,
        };
        (tally.is_some() || self.buckets.is_some()).then(|| Seen {
            described: self.described.is_some(),
            buckets: self.buckets.is_some(),
            outline: tally.map(|tally| tally.outline.clone()).unwrap_or_default(),
            digest_by_fields: tally
                .map(|tally| tally.digest(Hashing::SortedFields).sum())
                .unwrap_or_default(),
        })
    }

    /// The entry to read again for the documents, and its path.
    pub(super) fn reading(&self, saved: &Saved) -> Option<(String, Reading)> {
        let file = self
            .file
            .as_ref()
            .filter(|file| matches!(file.content, Content::Read { .. }))?;
        let reading = Reading {
            collection: saved.name.clone(),
            form: file.form,
            packing: file.packing,
            size: file.size,
            lane: file.lane,
            documents: saved.documents,
            status: saved.status,
        };
        (saved.kind != Kind::View && saved.status != SavedStatus::Failed).then(|| (file.path.clone(), reading))
    }
}
