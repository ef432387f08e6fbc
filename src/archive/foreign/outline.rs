//! What a collection's first documents share that marks a time series: the names of fields that hold dates and objects.
//!
//! It takes some hundred bytes; for each of a thousand collections, the documents would take a hundred times as much.

use bson::RawDocumentBuf;
use bson::spec::ElementType;

use crate::elements::Elements;

/// How many fields are kept in mind: the first ones of the first documents. A time series has a handful.
const MOST_FIELDS: usize = 32;
/// Longer names are no usual ones.
const LONGEST_NAME: usize = 128;

/// Fields of documents that hold dates and objects, and in how many documents they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    documents: u64,
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: Box<str>,
    kind: ElementType,
    /// In how many documents it is.
    documents: u64,
    /// Whether the first document has it.
    in_first: bool,
}

impl Outline {
    /// That of these documents.
    pub fn of<'a>(documents: impl IntoIterator<Item = &'a RawDocumentBuf>) -> Self {
        let mut outline = Self::default();
        documents
            .into_iter()
            .for_each(|document| outline.add(document.as_bytes()));
        outline
    }

    /// Takes another document in.
    pub(super) fn add(&mut self, document: &[u8]) {
        let in_first = self.documents == 0;
        self.documents += 1;
        for element in Elements::of(document).map_while(Result::ok) {
            let (Some(kind), Ok(name)) = (of_interest(element.kind), std::str::from_utf8(element.key)) else {
                continue;
            };
            let room = MOST_FIELDS.saturating_sub(self.fields.len());
            let known = self
                .fields
                .iter_mut()
                .find(|field| field.kind == kind && *field.name == *name);
            match known {
                // A name that a document has twice counts once.
                Some(field) => field.documents = (field.documents + 1).min(self.documents),
                None if room > 0 && name.len() <= LONGEST_NAME => self.fields.push(Field {
                    name: name.into(),
                    kind,
                    documents: 1,
                    in_first,
                }),
                None => {}
            }
        }
    }

    /// How many documents it is of.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// In how many of them the field has that type: [`ElementType::DateTime`] or [`ElementType::EmbeddedDocument`].
    pub fn with(&self, name: &str, kind: ElementType) -> u64 {
        self.get(name, kind).map_or(0, |field| field.documents)
    }

    /// Whether all have such a field, and there is any.
    pub fn all_have(&self, name: &str, kind: ElementType) -> bool {
        self.documents > 0 && self.with(name, kind) == self.documents
    }

    /// Whether the first of them has such a field.
    pub(super) fn first_has(&self, name: &str, kind: ElementType) -> bool {
        self.get(name, kind).is_some_and(|field| field.in_first)
    }

    /// The fields of that type that all have, in the order of the first document.
    pub fn common(&self, kind: ElementType) -> impl Iterator<Item = &str> {
        let common = self
            .fields
            .iter()
            .filter(move |field| field.kind == kind && field.documents == self.documents);
        common.map(|field| &*field.name)
    }

    fn get(&self, name: &str, kind: ElementType) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.kind == kind && *field.name == *name)
    }
}

/// The types that tell a time series.
fn of_interest(kind: u8) -> Option<ElementType> {
    [ElementType::DateTime, ElementType::EmbeddedDocument]
        .into_iter()
        .find(|interesting| *interesting as u8 == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{DateTime, rawdoc};

    #[test]
    fn it_knows_what_all_documents_have_and_does_not_grow_with_them() {
        let at = DateTime::from_millis(0);
        let mut documents = vec![
            rawdoc! {"_id": {"a": 1}, "at": at, "meta": {}, "n": 1},
            rawdoc! {"at": at, "_id": {}, "n": at},
        ];
        documents.push(rawdoc! {"at": at, "_id": {}, "late": at});
        let outline = Outline::of(&documents);
        assert_eq!(outline.documents(), 3);
        assert_eq!(outline.common(ElementType::DateTime).collect::<Vec<_>>(), ["at"]);
        assert_eq!(
            outline.common(ElementType::EmbeddedDocument).collect::<Vec<_>>(),
            ["_id"]
        );
        assert_eq!(outline.with("n", ElementType::DateTime), 1);
        assert!(outline.first_has("meta", ElementType::EmbeddedDocument));
        assert!(
            !outline.first_has("n", ElementType::DateTime) && !outline.all_have("meta", ElementType::EmbeddedDocument)
        );
        for number in 0..1_000 {
            let mut document = rawdoc! {};
            let name = bson::raw::CString::try_from(format!("field_{number}")).expect("a name");
            document.append(&*name, at);
            documents.push(document);
        }
        assert!(Outline::of(&documents).fields.len() <= MOST_FIELDS);
    }
}
