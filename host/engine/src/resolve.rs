//! Base images for the planner: those that the local store has.

use kiln_oci::{ImageConfig, ImageName, Platform};
use kiln_plan::{BaseResolver, ResolveError};
use kiln_store::Store;

/// Finds base images in the store.
pub struct StoreImages<'a> {
    store: &'a Store,
}

impl<'a> StoreImages<'a> {
    /// The images of this store.
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }
}

impl BaseResolver for StoreImages<'_> {
    fn image(&self, name: &str, _: &Platform) -> Result<Option<ImageConfig>, ResolveError> {
        find(self.store, name).map_err(|source| ResolveError {
            name: name.to_owned(),
            source: Box::new(source),
        })
    }
}

/// The config of the image with this name or id, whatever its platform; `None` if there is none. A name stands for one
/// image, so there is nothing to choose from.
pub fn find(store: &Store, name: &str) -> Result<Option<ImageConfig>, kiln_store::Error> {
    let record = match name.parse::<ImageName>() {
        Ok(parsed) => match store.resolve_name(&parsed)? {
            Some(record) => record,
            None => match store.resolve(name) {
                Ok(record) => record,
                Err(kiln_store::Error::NoSuchImage { .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
        },
        Err(_) => return Ok(None),
    };
    store.config(record.id).map(Some)
}
