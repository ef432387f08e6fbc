//! One collection: its parts in an archive, and what became of them.

use bson::RawDocument;
use bson::spec::ElementType;

use super::found::{Content, File, Tally};
use super::metadata::Described;
use super::{Buckets, Reading, Seen};
use crate::archive::{Saved, SavedStatus};
use crate::catalog::Kind;
use crate::digest::{Digest, Hashing};
use crate::wording::count;

/// What an archive has of one collection.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) file: Option<File>,
    pub(super) described: Option<Described>,
    pub(super) buckets: Option<File>,
}

impl Parts {
    fn kind(&self) -> Kind {
        match (&self.described, &self.buckets) {
            (Some(described), _) if described.fault.is_none() => described.kind(),
            (_, Some(_)) if self.file.is_none() => Kind::Timeseries,
            _ => Kind::Collection,
        }
    }

    /// The file with the documents: measurements before buckets.
    fn documents(&self) -> Option<&File> {
        self.file.as_ref().or(self.buckets.as_ref())
    }

    fn tally(&self) -> Option<&Tally> {
        match &self.documents()?.content {
            Content::Read { tally, .. } => Some(tally),
            Content::Unusable(_) | Content::Unread => None,
        }
    }

    /// How whole it is, and what is wrong.
    fn status(&self) -> (SavedStatus, Option<String>) {
        let fault = self.described.as_ref().and_then(|described| described.fault.clone());
        if self.kind() == Kind::View {
            return (SavedStatus::Complete, None);
        }
        let failed = |why: &str| (SavedStatus::Failed, fault.clone().or_else(|| Some(why.to_owned())));
        match self.documents().map(|file| &file.content) {
            Some(Content::Read { fault: Some(fault), .. }) => (SavedStatus::Partial, Some(fault.clone())),
            Some(Content::Read { tally, fault: None }) if self.file.is_none() && tally.buckets.is_none() => {
                failed("its file of buckets has something else in it")
            }
            Some(Content::Read { fault: None, .. }) if self.holds_buckets() && self.timeseries().is_none() => failed(
                "the dump has this time series' buckets, but not its options: beside them has to lie its .metadata.json, with what is \"timeseries\" in it",
            ),
            Some(Content::Read { fault: None, .. }) => match fault {
                None => (SavedStatus::Complete, None),
                Some(fault) => (SavedStatus::Partial, Some(fault)),
            },
            Some(Content::Unusable(why)) => (SavedStatus::Failed, Some(why.clone())),
            Some(Content::Unread) | None => failed(match self.buckets {
                Some(_) => "the archive has this time series' buckets, but not its documents",
                None => "the archive has its definition, but not its documents",
            }),
        }
    }

    /// The options that make it a time series.
    fn timeseries(&self) -> Option<&RawDocument> {
        self.described.as_ref()?.options.get_document("timeseries")
    }

    fn holds_buckets(&self) -> bool {
        self.held().is_some()
    }

    /// What its documents hold, where they are buckets. A server without a collection of buckets has them under the time
    /// series' own name, and so has its dump.
    fn held(&self) -> Option<Buckets> {
        let tally = self.tally()?;
        if self.file.is_some() {
            let field = self.timeseries()?.get_str("timeField").ok()?;
            let dated = tally.outline.first_has(field, ElementType::DateTime);
            if dated || tally.digest(Hashing::Raw).documents() == 0 {
                return None;
            }
        }
        tally.buckets
    }

    /// As a manifest would have it.
    pub(super) fn saved(&self, name: &str, warnings: &mut Vec<String>) -> Saved {
        let kind = self.kind();
        let (status, error) = self.status();
        let held = self.held();
        let hashing = match kind {
            Kind::Timeseries if held.is_none() => Hashing::SortedFields,
            _ => Hashing::Raw,
        };
        let mut digest = match self.tally() {
            Some(tally) if status != SavedStatus::Failed => tally.digest(hashing),
            _ => Digest::default(),
        };
        if let (Some(held), SavedStatus::Complete) = (held, status) {
            warnings.push(format!(
                "{name:?} is there as the buckets in which a server keeps its {}",
                count(held.measurements, "measurement")
            ));
        }
        if kind == Kind::View && digest.documents() > 0 {
            let count = digest.documents();
            warnings.push(format!("{name:?} is a view: its {count} saved documents are left out"));
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
            delta: None,
        }
    }

    /// What speaks for a time series.
    pub(super) fn seen(&self) -> Option<Seen> {
        let tally = self.tally();
        (tally.is_some() || self.buckets.is_some()).then(|| Seen {
            described: self.described.is_some(),
            buckets: self.buckets.is_some(),
            outline: tally.map(|tally| tally.outline.clone()).unwrap_or_default(),
            digest_by_fields: tally
                .map(|tally| tally.digest(Hashing::SortedFields).sum())
                .unwrap_or_default(),
            held: self.held(),
        })
    }

    /// The entry to read again for the documents, and its path.
    pub(super) fn reading(&self, saved: &Saved) -> Option<(String, Reading)> {
        let file = self
            .documents()
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
