//! One of our archives by itself, whatever it continues: from its last bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::file::{ArchiveFile, Form};
use super::native;
use super::turns::Passes;
use crate::archive::{Extent, FOOTER_SUFFIX, Footer, Opened};
use crate::failure::Failure;
use crate::run::Memory;
use crate::store::{Location, Object, Store};

/// The first read of an archive's end: footer and, of all but large archives, the manifest with it.
pub(super) const SUFFIX: u64 = 256 << 10;

/// Opens one.
pub(super) async fn open_own(store: &Store, location: &Location, memory: Memory) -> Result<ArchiveFile, Failure> {
    let object = store.find(location).await?;
    let suffix = read_end(store, &object, SUFFIX).await?;
    let footer = Footer::find(last(&suffix, FOOTER_SUFFIX), object.bytes);
    let footer = footer.map_err(|error| Failure::from(error).at(location))?;
    let opened = own(store, &object, footer, &suffix).await?;
    Ok(file(store, object, Form::Native(opened), memory))
}

pub(super) async fn own(
    store: &Store,
    object: &Object,
    footer: Footer,
    suffix: &Bytes,
) -> Result<Arc<Opened>, Failure> {
    let trailer = native::trailer(store, object, &footer, suffix).await?;
    let opened = Opened::verify(footer, &trailer);
    opened
        .map(Arc::new)
        .map_err(|error| Failure::from(error).at(&object.location))
}

pub(super) fn file(store: &Store, object: Object, form: Form, memory: Memory) -> ArchiveFile {
    ArchiveFile {
        store: store.clone(),
        object,
        form,
        memory,
        pages: Arc::default(),
        passes: Passes::default(),
        origins: false,
    }
}

pub(super) async fn read_end(store: &Store, object: &Object, length: u64) -> Result<Bytes, Failure> {
    let length = length.min(object.bytes);
    let extent = Extent {
        offset: object.bytes - length,
        length,
    };
    Ok(store.read(object, extent).await?)
}

pub(super) fn last(bytes: &[u8], length: u64) -> &[u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    &bytes[bytes.len().saturating_sub(length)..]
}
