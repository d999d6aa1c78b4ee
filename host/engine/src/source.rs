//! Where files come from: the context, named contexts, stages and images.
//!
//! Nothing is read before a step needs it. A context is walked once, whatever number of steps copy from it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_config::Project;
use kiln_context::{Context, Ignore};
use kiln_oci::{ChainId, DiffId, Digest};
use kiln_rootfs::{CopySpec, MergedView, Selection, SourceTree};
use kiln_store::Store;

use crate::error::{Cause, ProjectError};
use crate::request::{BuildRequest, NamedContext};

/// File in a context that says what of it a build may not see.
const IGNORE_FILE: &str = ".dockerignore";

/// Bytes that are read of files with rules: one more than their parsers take.
const MAX_SETTINGS: u64 = (1 << 20) + 1;

/// The contexts of one build.
pub struct Sources<'a> {
    store: &'a Store,
    request: &'a BuildRequest,
    main: Option<Arc<Context>>,
    named: BTreeMap<String, Arc<Context>>,
    ignore_path: Option<PathBuf>,
}

/// What a mount of a RUN shows.
pub struct MountTree {
    /// Equal for equal files; takes part in the cache key.
    pub content: Digest,
    /// The files themselves.
    pub files: MountFiles,
    /// Path of what is shown, inside of the files.
    pub path: String,
}

/// Where a mount's files are.
pub enum MountFiles {
    /// Layers that the store has.
    Layers(Vec<DiffId>),
    /// A layer that is only written if the RUN really runs.
    Selected(Selection),
}

impl<'a> Sources<'a> {
    /// The contexts that the request names, none of them read yet.
    pub fn new(store: &'a Store, request: &'a BuildRequest) -> Self {
        Self {
            store,
            request,
            main: None,
            named: BTreeMap::new(),
            ignore_path: None,
        }
    }

    /// The build context.
    pub fn context(&mut self) -> Result<Arc<Context>, Cause> {
        if let Some(context) = &self.main {
            return Ok(Arc::clone(context));
        }
        let root = self.request.context.as_ref().ok_or(Cause::NoContext)?;
        let (ignore, path) = self.ignore(root)?;
        self.ignore_path = path;
        let context = self.open(root, ignore)?;
        self.main = Some(Arc::clone(&context));
        Ok(context)
    }

    /// A context given with `--build-context`.
    pub fn named(&mut self, name: &str) -> Result<SourceTree, Cause> {
        if let Some(context) = self.named.get(name) {
            return Ok(SourceTree::Context(Arc::clone(context)));
        }
        match self.request.named_contexts.get(name) {
            Some(NamedContext::Folder(root)) => {
                let ignore = read_ignore(&root.join(IGNORE_FILE))?.unwrap_or_else(Ignore::none);
                let context = self.open(root, ignore)?;
                self.named.insert(name.to_owned(), Arc::clone(&context));
                Ok(SourceTree::Context(context))
            }
            Some(NamedContext::Image(image)) => {
                let layers = self.image(image)?;
                Ok(SourceTree::Image(Arc::new(MergedView::of_store(
                    self.store, &layers,
                ))))
            }
            None => Err(Cause::ImageMissing {
                name: name.to_owned(),
            }),
        }
    }

    /// The layers of an image of the store, which must be for the platform of the build.
    pub fn image(&self, name: &str) -> Result<Vec<DiffId>, Cause> {
        let name = name.to_owned();
        let Some(config) = crate::resolve::find(self.store, &name)? else {
            return Err(Cause::ImageMissing { name });
        };
        let (wanted, found) = (self.request.platform.clone(), config.runs_on());
        if wanted.preference(&found).is_none() {
            return Err(Cause::OtherPlatform {
                name,
                found,
                wanted,
            });
        }
        Ok(config.rootfs.diff_ids)
    }

    /// Name of the file with the context's ignore rules, if there is one and the context was read.
    pub fn ignore_name(&self) -> String {
        let name = self.ignore_path.as_deref().and_then(Path::file_name);
        name.map_or_else(
            || IGNORE_FILE.to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    /// Keeps the digests that were computed for the next build.
    pub fn remember(&self) {
        for context in self.main.iter().chain(self.named.values()) {
            // The next build then computes them again.
            let _ = context.save_stat_index();
        }
    }

    fn open(&self, root: &Path, ignore: Ignore) -> Result<Arc<Context>, Cause> {
        let project = read_project(&root.join(kiln_config::FILE_NAME))?;
        let context = Context::new(root, ignore)
            .with_modes(project.modes)
            .with_case(project.case)
            .with_stat_index(&self.store.stat_index_path(root));
        Ok(Arc::new(context))
    }

    /// The rules of the context: those beside the Dockerfile, if it has its own, else those in the context's root.
    fn ignore(&self, root: &Path) -> Result<(Ignore, Option<PathBuf>), Cause> {
        let own = self.request.dockerfile.path.as_ref().map(|path| {
            let mut name = path.clone().into_os_string();
            name.push(IGNORE_FILE);
            PathBuf::from(name)
        });
        for path in own.into_iter().chain([root.join(IGNORE_FILE)]) {
            if let Some(ignore) = read_ignore(&path)? {
                return Ok((ignore, Some(path)));
            }
        }
        Ok((Ignore::none(), None))
    }
}

fn read_ignore(path: &Path) -> Result<Option<Ignore>, Cause> {
    match read_if_there(path)? {
        Some(bytes) => Ok(Some(
            Ignore::parse(&bytes).map_err(kiln_context::ContextError::from)?,
        )),
        None => Ok(None),
    }
}

/// What the project says of this context; the defaults where it says nothing.
fn read_project(path: &Path) -> Result<Project, Cause> {
    let Some(bytes) = read_if_there(path)? else {
        return Ok(Project::default());
    };
    Project::parse(&bytes).map_err(|error| {
        Cause::Project(Box::new(ProjectError {
            path: path.to_owned(),
            bytes,
            error,
        }))
    })
}

/// The bytes of a small file of the context's folder, as many as its parser may refuse.
fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Cause> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAX_SETTINGS).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(kiln_context::ContextError::Open {
            path: path.to_owned(),
            source,
        }
        .into()),
    }
}

impl MountTree {
    /// Files of a stage or an image.
    pub fn of_layers(layers: Vec<DiffId>, path: &str) -> Self {
        let content = ChainId::of(&layers).map_or_else(|| Digest::of(b"scratch"), |chain| chain.0);
        Self {
            content,
            files: MountFiles::Layers(layers),
            path: path.to_owned(),
        }
    }

    /// Files of a folder on the host: what `path` selects becomes a layer, and nothing else of the folder does.
    pub fn of_folder(tree: SourceTree, path: &str) -> Result<Self, Cause> {
        let source = kiln_rootfs::CopySource::Path {
            tree,
            path: escape_pattern(path),
            unpack: false,
        };
        let spec = CopySpec {
            dest: path.as_bytes().to_vec(),
            ..CopySpec::default()
        };
        let selection = Selection::new(spec, vec![source])?;
        Ok(Self {
            content: selection.digest(),
            files: MountFiles::Selected(selection),
            path: path.to_owned(),
        })
    }
}

/// A path as a pattern that matches nothing but the path.
fn escape_pattern(path: &str) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_in_mount_sources_are_taken_literally() {
        assert_eq!(escape_pattern("/a*[b]"), b"/a\\*\\[b]");
    }
}
