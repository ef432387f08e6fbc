//! The store: where archives lie, S3 or a local folder.
//!
//! Two things happen here, and both are explicit. **Reading** is by extent, with the object pinned to its ETag at
//! opening, so that nobody reads half of one object and half of another. **Writing** is an [`Upload`]: parts go out
//! concurrently and in any order, and the object appears by one [`commit`](Upload::commit) that refuses to overwrite,
//! or never, by [`abort`](Upload::abort). `Drop` does neither: a dropped upload stays unfinished and invisible, and the
//! bucket's lifecycle rule removes it.
//!
//! Both kinds obey one contract, which `tests/it/store.rs` runs on each.

mod error;
mod local;
mod location;
mod object;
mod receipt;
mod s3;
mod stream;
mod tags;
mod upload;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

pub use error::{Said, StoreError};
pub use local::Replacement;
pub use location::{Location, LocationError};
pub use object::Object;
pub use stream::Stream;
pub use tags::Tags;
pub use upload::{Upload, UploadState};

use crate::archive::Extent;

/// Access to all stores. Cheap to clone; the S3 client is built when it is first needed, and once.
#[derive(Clone, Debug, Default)]
pub struct Store {
    s3: Arc<OnceCell<aws_sdk_s3::Client>>,
    regions: s3::Regions,
    conditions: s3::Conditions,
    cancel: CancellationToken,
    tags: Tags,
}

impl Store {
    /// A store that finds its S3 configuration in the environment, as every AWS tool does.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store with a client that exists.
    pub fn with_client(client: aws_sdk_s3::Client) -> Self {
        Self {
            s3: Arc::new(OnceCell::new_with(Some(client))),
            ..Self::default()
        }
    }

    /// One that stops waiting for answers soon after `cancel`. What is being written is waited for, but not tried again
    /// if no answer comes.
    #[must_use]
    pub fn until(cancel: &CancellationToken) -> Self {
        Self {
            cancel: cancel.clone(),
            ..Self::default()
        }
    }

    /// The same store; everything that this handle writes has these tags.
    #[must_use]
    pub fn tagged(&self, tags: Tags) -> Self {
        Self { tags, ..self.clone() }
    }

    /// The least size of parts in a store that wants all but an object's last to have the same.
    pub(crate) fn equal_parts(location: &Location) -> Option<u64> {
        match location {
            Location::S3 { .. } => s3::equal_parts(),
            Location::Local(_) => None,
        }
    }

    /// Builds the S3 client now, so that a Lambda does it once, in its init phase.
    pub async fn warm_up(&self) {
        // What is wrong with the environment is said to whoever needs the client.
        let _ = self.client().await;
    }

    async fn client(&self) -> Result<&aws_sdk_s3::Client, StoreError> {
        self.s3
            .get_or_try_init(|| Box::pin(s3::client_from_environment(&self.conditions, &self.cancel)))
            .await
    }

    /// The client for a bucket: that of its region, once it is known to be in another than ours.
    async fn client_of(&self, bucket: &str) -> Result<aws_sdk_s3::Client, StoreError> {
        Ok(self.regions.client_of(bucket, self.client().await?))
    }

    /// The client to ask once more with, where a bucket was found to be in another region.
    async fn client_elsewhere<T>(
        &self,
        bucket: &str,
        said: &Result<T, StoreError>,
    ) -> Result<Option<aws_sdk_s3::Client>, StoreError> {
        Ok(match said {
            Err(StoreError::Denied {
                elsewhere: Some(region),
                ..
            }) => self.regions.learn(bucket, region, self.client().await?),
            _ => None,
        })
    }

    /// Finds an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or what prevented the look.
    pub async fn find(&self, location: &Location) -> Result<Object, StoreError> {
        match location {
            Location::S3 { bucket, key } => {
                let found = Box::pin(s3::find(&self.client_of(bucket).await?, bucket, key)).await;
                match self.client_elsewhere(bucket, &found).await? {
                    Some(client) => Box::pin(s3::find(&client, bucket, key)).await,
                    None => found,
                }
            }
            Location::Local(path) => local::find(path).await,
        }
    }

    /// Finds an archive: an object, or a local folder, which is read as the tar of its files.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn find_archive(&self, location: &Location) -> Result<Object, StoreError> {
        match location {
            Location::S3 { .. } => self.find(location).await,
            Location::Local(path) => local::find_or_folder(path).await,
        }
    }

    /// Whether a local folder is that of one database, beside which `mongodump --oplog` has put the oplog.
    pub(crate) async fn has_oplog_beside(&self, location: &Location) -> bool {
        match location {
            Location::S3 { .. } => false,
            Location::Local(path) => local::has_oplog_beside(path).await,
        }
    }

    /// Reads an extent of an object that was found.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if it is no longer the same object; an extent beyond its end is an error.
    pub async fn read(&self, object: &Object, extent: Extent) -> Result<Bytes, StoreError> {
        if extent.length == 0 {
            return Ok(Bytes::new());
        }
        // Asked here for both kinds: a damaged table of contents must neither cost memory nor six downloads.
        let end = extent.offset.checked_add(extent.length);
        if end.is_none_or(|end| end > object.bytes) {
            return Err(StoreError::Failed {
                location: object.location.clone(),
                action: "reading",
                reason: format!(
                    "{} bytes at offset {} are beyond its end, {}",
                    extent.length, extent.offset, object.bytes
                ),
            });
        }
        match &object.location {
            Location::S3 { bucket, key } => {
                Box::pin(s3::read(
                    &self.client_of(bucket).await?,
                    bucket,
                    key,
                    &object.etag,
                    extent,
                ))
                .await
            }
            Location::Local(path) => local::read(path, &object.etag, extent).await,
        }
    }

    /// The objects directly below a folder or prefix whose names begin with `name_prefix`, sorted by name.
    ///
    /// # Errors
    /// What prevented the listing. A folder that is not there is empty.
    pub async fn list(&self, folder: &Location, name_prefix: &str) -> Result<Vec<Object>, StoreError> {
        match folder {
            Location::S3 { bucket, key } => {
                let found = Box::pin(s3::list(&self.client_of(bucket).await?, bucket, key, name_prefix)).await;
                match self.client_elsewhere(bucket, &found).await? {
                    Some(client) => Box::pin(s3::list(&client, bucket, key, name_prefix)).await,
                    None => found,
                }
            }
            Location::Local(path) => local::list(path, name_prefix).await,
        }
    }

    /// The names of the folders directly below a folder or prefix that begin with `name_prefix`, sorted.
    ///
    /// # Errors
    /// What prevented the listing.
    pub async fn folders(&self, folder: &Location, name_prefix: &str) -> Result<Vec<String>, StoreError> {
        match folder {
            Location::S3 { bucket, key } => {
                let found = Box::pin(s3::folders(&self.client_of(bucket).await?, bucket, key, name_prefix)).await;
                match self.client_elsewhere(bucket, &found).await? {
                    Some(client) => Box::pin(s3::folders(&client, bucket, key, name_prefix)).await,
                    None => found,
                }
            }
            Location::Local(path) => local::folders(path, name_prefix).await,
        }
    }

    /// Writes a small object at once, unless one is there.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if it is there already.
    pub async fn put(&self, location: &Location, bytes: Bytes, content_type: &'static str) -> Result<(), StoreError> {
        match location {
            Location::S3 { bucket, key } => {
                Box::pin(s3::put(
                    &self.client_of(bucket).await?,
                    bucket,
                    key,
                    bytes,
                    content_type,
                    &self.tags,
                    &self.conditions,
                ))
                .await
            }
            Location::Local(path) => local::put(path, bytes).await,
        }
    }

    /// Begins to write an object, with at most `in_flight` parts on their way at a time.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if it exists or somebody else is writing it, or what prevented it.
    pub async fn upload(&self, location: &Location, in_flight: usize) -> Result<Upload, StoreError> {
        self.refuse_existing(location).await?;
        let sink = match location {
            Location::S3 { bucket, key } => {
                let client = &self.client_of(bucket).await?;
                upload::Sink::S3(
                    Box::pin(s3::Multipart::begin(client, bucket, key, &self.tags, &self.conditions)).await?,
                )
            }
            Location::Local(path) => upload::Sink::Local(local::Temporary::begin(path, local::Claim::Name).await?),
        };
        let upload = Upload::new(sink, in_flight);
        // Whoever held the name when we looked first may have committed before we claimed it.
        if let Err(error) = self.refuse_existing(location).await {
            upload.abort().await?;
            return Err(error);
        }
        Ok(upload)
    }

    /// Resumes an upload that another invocation began.
    ///
    /// # Errors
    /// What the store answered. If it is gone, the next part or the commit finds out.
    pub async fn resume_upload(&self, state: UploadState, in_flight: usize) -> Result<Upload, StoreError> {
        let sink = match &state.location {
            Location::S3 { bucket, key } => {
                let client = &self.client_of(bucket).await?;
                upload::Sink::S3(s3::Multipart::resume(client, bucket, key, state.id, &self.conditions))
            }
            Location::Local(path) => upload::Sink::Local(local::Temporary::resume(path, state.id.into()).await?),
        };
        Ok(Upload::new(sink, in_flight).with_receipts(state.receipts))
    }

    /// Reads a small object that may change, and what identifies this version.
    ///
    /// # Errors
    /// What prevented it; that it is not there is none.
    pub async fn load(&self, location: &Location) -> Result<Option<(Bytes, String)>, StoreError> {
        match location {
            Location::S3 { bucket, key } => {
                let loaded = Box::pin(s3::state::load(&self.client_of(bucket).await?, bucket, key)).await;
                match self.client_elsewhere(bucket, &loaded).await? {
                    Some(client) => Box::pin(s3::state::load(&client, bucket, key)).await,
                    None => loaded,
                }
            }
            Location::Local(path) => local::state::load(path).await,
        }
    }

    /// Writes a small object whatever is there. For the state of runs only, which is marked as such.
    ///
    /// # Errors
    /// What prevented it.
    pub async fn save(&self, location: &Location, bytes: Bytes) -> Result<(), StoreError> {
        match location {
            Location::S3 { bucket, key } => {
                Box::pin(s3::state::save(&self.client_of(bucket).await?, bucket, key, bytes)).await
            }
            Location::Local(path) => local::state::save(path, bytes).await,
        }
    }

    /// Writes a small object if its present version is the `expected` one, or if there is none. Returns what identifies
    /// the new version.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if somebody was faster.
    pub async fn swap(&self, location: &Location, bytes: Bytes, expected: Option<&str>) -> Result<String, StoreError> {
        match location {
            Location::S3 { bucket, key } => {
                let client = &self.client_of(bucket).await?;
                Box::pin(s3::state::swap(client, bucket, key, bytes, expected, &self.conditions)).await
            }
            Location::Local(path) => local::state::swap(path, bytes, expected).await,
        }
    }

    /// Removes an object of a run's state. Archives are never removed by this program.
    ///
    /// # Errors
    /// What prevented it; that it is not there is none.
    pub async fn remove(&self, location: &Location) -> Result<(), StoreError> {
        match location {
            Location::S3 { bucket, key } => {
                Box::pin(s3::state::remove(&self.client_of(bucket).await?, bucket, key)).await
            }
            Location::Local(path) => local::state::remove(path).await,
        }
    }

    /// Removes a folder of a run's state that is empty; S3 has no folders.
    ///
    /// # Errors
    /// What prevented it.
    pub async fn remove_folder(&self, folder: &Location) -> Result<(), StoreError> {
        match folder {
            Location::S3 { .. } => Ok(()),
            Location::Local(path) => local::state::remove_folder(path).await,
        }
    }

    async fn refuse_existing(&self, location: &Location) -> Result<(), StoreError> {
        match self.find(location).await {
            Err(StoreError::NotFound(..)) => Ok(()),
            // A role that may only write archives cannot look; the commit refuses to overwrite all the same.
            Err(StoreError::Denied { .. }) => Ok(()),
            Ok(_) => Err(StoreError::Exists(location.clone(), Said::NOTHING)),
            Err(error) => Err(error),
        }
    }
}
