//! What a folder's listing, and the manifests beside its archives, tell of chains.

use futures_util::future::{BoxFuture, join_all};

use crate::archive::{ArchiveName, ChainMember, Compression, ConsistencyLevel, Joined, Manifest, Status};
use crate::failure::Failure;
use crate::store::{Location, Object, Store};

/// How many manifests are read at a time.
const AT_A_TIME: usize = 8;
/// What is said of an archive without one.
pub(crate) const NO_MANIFEST: &str = "its manifest is not beside it";

/// What a folder has under the name of an archive.
#[derive(Debug)]
pub(crate) struct InFolder {
    pub(crate) name: ArchiveName,
    /// The archive itself, in whatever form.
    pub(crate) objects: Vec<(Compression, Object)>,
    /// Whether its manifest is beside it.
    pub(crate) has_manifest: bool,
}

impl InFolder {
    /// The archive that a manifest beside it describes.
    ///
    /// # Errors
    /// That there is none.
    pub(crate) fn object_of(&self, manifest: &Manifest) -> Result<&Object, String> {
        if manifest.name != self.name {
            return Err(format!("the manifest beside it is that of {}", manifest.name));
        }
        let mut objects = self.objects.iter();
        let found = objects.find(|(form, _)| *form == manifest.compression);
        let gone = || "only its manifest is there: the archive itself is gone".to_owned();
        found.map(|(_, object)| object).ok_or_else(gone)
    }
}

/// What lies directly in a folder, the oldest first.
///
/// # Errors
/// What the store answered.
pub(crate) async fn in_folder(store: &Store, folder: &Location) -> Result<Vec<InFolder>, Failure> {
    let mut found: Vec<InFolder> = Vec::new();
    for object in store.list(folder, "backup_").await? {
        let file = object.location.file_name();
        let of_archive = ArchiveName::of_object(&file).map(|(name, compression)| (name, Some(compression)));
        let Some((name, compression)) = of_archive.or_else(|| Some((ArchiveName::of_sidecar(&file)?, None))) else {
            continue;
        };
        // A listing is sorted.
        if found.last().is_none_or(|last| last.name != name) {
            found.push(InFolder {
                name,
                objects: Vec::new(),
                has_manifest: false,
            });
        }
        if let Some(last) = found.last_mut() {
            match compression {
                Some(compression) => last.objects.push((compression, object)),
                None => last.has_manifest = true,
            }
        }
    }
    Ok(found)
}

/// By the manifests beside them, what the archives are that lie in a folder: those that show a moment and are whole, in
/// its order, and the others with what is wrong with them.
///
/// # Errors
/// What the store answered.
pub(crate) async fn members(store: &Store, folder: &Location, found: &[InFolder]) -> Result<Joined, Failure> {
    let mut members = Joined::default();
    for found in found.chunks(AT_A_TIME) {
        let mut reading: Vec<BoxFuture<'_, _>> = Vec::new();
        for found in found {
            reading.push(Box::pin(member(store, folder, found)));
        }
        for read in join_all(reading).await {
            match read? {
                Ok(member) => members.members.push(member),
                Err(apart) => members.apart.push(apart),
            }
        }
    }
    Ok(members)
}

async fn member(
    store: &Store,
    folder: &Location,
    found: &InFolder,
) -> Result<Result<ChainMember, (ArchiveName, String)>, Failure> {
    let text = match found.has_manifest {
        true => store.load(&folder.join(&found.name.sidecar())).await?,
        false => None,
    };
    let read = text.map_or_else(|| Err(NO_MANIFEST.to_owned()), |(text, _)| of_manifest(&text, found));
    Ok(read.map_err(|why| (found.name.clone(), why)))
}

fn of_manifest(text: &[u8], found: &InFolder) -> Result<ChainMember, String> {
    let manifest = Manifest::from_sidecar(text).map_err(|error| error.to_string())?;
    let object = found.object_of(&manifest)?;
    if manifest.consistency.level == ConsistencyLevel::None || manifest.consistency.cluster_time.is_none() {
        return Err("it shows no moment".to_owned());
    }
    if manifest.status == Status::Partial {
        return Err("it is partial".to_owned());
    }
    Ok(ChainMember::of(&manifest, blake3::hash(text), object.bytes))
}
