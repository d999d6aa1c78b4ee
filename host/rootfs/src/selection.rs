//! A COPY or ADD before it meets its destination: what it takes, and the digest of that.
//!
//! Value                                  | in the digest | why
//! ---------------------------------------|---------------|-----------------------------------------------
//! destination, --chown, --chmod          |       ✓       | they decide where and as what files arrive
//! --parents, --exclude                   |       ✓       | they decide what is taken
//! epoch                                  |       ✓       | it changes times in the layer
//! names, kinds, modes, owners, links     |       ✓       | owners of a context are root's
//! contents, capabilities                 |       ✓       |
//! hard links between what is taken       |       ✓       | they are kept
//! name and mode of a folder itself       |               | only what it holds arrives
//! times                                  |               | a stage that was built again makes new ones
//!
//! With the layers below, the digest decides the layer but for times. The layers below are not opened to compute it.

use std::collections::HashMap;
use std::path::Path;

use kiln_context::FileFacts;
use kiln_layer::Kind;
use kiln_oci::{Digest, Hasher};

use crate::chmod::Chmod;
use crate::content::Content;
use crate::copy::{Copier, LooseFile};
use crate::error::CopyError;
use crate::owner::Owner;
use crate::plan::CopyPlan;
use crate::select::{Pick, Selected, select};
use crate::source::SourceNode;
use crate::spec::{CopySource, CopySpec};
use crate::staging::Staging;
use crate::stat::Stat;
use crate::view::MergedView;

/// Raise when the same digest would stand for another layer.
const FORMAT: &[u8] = b"kiln-copy-1";

/// Mode of a file made from a here-document.
const INLINE_MODE: u32 = 0o644;
/// Mode of a downloaded file.
const DOWNLOAD_MODE: u32 = 0o600;

/// What a COPY or ADD takes.
#[derive(Debug)]
pub struct Selection {
    spec: CopySpec,
    sources: Vec<(CopySource, Vec<Selected>)>,
    digest: Digest,
}

impl Selection {
    /// Find the files of all sources. Contexts are walked and their files hashed where no digest is remembered.
    pub fn new(spec: CopySpec, sources: Vec<CopySource>) -> Result<Selection, CopyError> {
        let mut fields = Fields::new(&spec);
        let mut found = Vec::with_capacity(sources.len());
        for source in sources {
            let selected = match &source {
                CopySource::Path { tree, path, .. } => select(&spec, tree, path)?,
                CopySource::Inline { .. } | CopySource::Download { .. } => Vec::new(),
            };
            fields.source(&source, &selected)?;
            found.push((source, selected));
        }
        Ok(Selection {
            spec,
            sources: found,
            digest: fields.0.finish(),
        })
    }

    /// Digest for the cache key; the layers below the step have to go into the key too.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Put the files into the image `below`. Archives may leave a nameless temporary file in `scratch` until the
    /// plan is dropped.
    pub fn plan(&self, below: &MergedView, scratch: &Path) -> Result<CopyPlan, CopyError> {
        let spec = &self.spec;
        let owner = spec
            .chown
            .as_deref()
            .map(|text| Owner::resolve(text, below))
            .transpose()?;
        let mut staging = Staging::new(below);
        let mut copier = Copier {
            staging: &mut staging,
            dest: &spec.dest,
            chmod: spec.chmod.as_ref(),
            owner,
            epoch: spec.epoch,
            scratch,
        };
        for (source, selected) in &self.sources {
            match source {
                CopySource::Path { unpack, .. } => {
                    selected
                        .iter()
                        .try_for_each(|selected| copier.copy(selected, *unpack))?;
                }
                CopySource::Inline { .. } => copier.copy_loose(loose_file(source, spec), false)?,
                CopySource::Download { unpack, .. } => {
                    copier.copy_loose(loose_file(source, spec), *unpack)?
                }
            }
        }
        CopyPlan::new(staging, self.digest)
    }
}

/// Select and plan in one go.
pub fn plan_copy(
    spec: CopySpec,
    sources: Vec<CopySource>,
    below: &MergedView,
    scratch: &Path,
) -> Result<CopyPlan, CopyError> {
    Selection::new(spec, sources)?.plan(below, scratch)
}

fn loose_file(source: &CopySource, spec: &CopySpec) -> LooseFile {
    let (name, content, size, mode, mtime) = match source {
        CopySource::Inline { name, content } => {
            let bytes = Content::Bytes(content.clone());
            (name, bytes, content.len() as u64, INLINE_MODE, spec.epoch)
        }
        CopySource::Download {
            name,
            file,
            size,
            mtime,
            ..
        } => (
            name,
            Content::Host(file.clone()),
            *size,
            DOWNLOAD_MODE,
            *mtime,
        ),
        CopySource::Path { .. } => unreachable!("paths are selected from trees"),
    };
    let stat = Stat {
        kind: Kind::File { size },
        mode,
        mtime: mtime.unwrap_or(0),
        ..Stat::implied_dir()
    };
    LooseFile {
        name: name.clone(),
        stat,
        content,
    }
}

/// The fields of a digest, each with its length.
struct Fields(Hasher);

impl Fields {
    fn new(spec: &CopySpec) -> Fields {
        let mut fields = Fields(Hasher::new());
        fields.bytes(FORMAT);
        fields.bytes(&spec.dest);
        fields.bytes(spec.chown.as_deref().unwrap_or("").as_bytes());
        match &spec.chmod {
            None => fields.bytes(b""),
            Some(Chmod::Octal(mode)) => fields.number(u64::from(*mode)),
            Some(Chmod::Symbolic(changes)) => fields.bytes(format!("{changes:?}").as_bytes()),
        }
        fields.number(u64::from(spec.parents));
        fields.number(spec.excludes.len() as u64);
        spec.excludes
            .iter()
            .for_each(|exclude| fields.bytes(exclude.as_bytes()));
        fields.bytes(
            &spec
                .epoch
                .map(i64::to_le_bytes)
                .map_or(Vec::new(), |epoch| epoch.to_vec()),
        );
        fields
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn source(&mut self, source: &CopySource, selected: &[Selected]) -> Result<(), CopyError> {
        match source {
            CopySource::Path { tree, unpack, .. } => {
                self.bytes(b"path");
                self.number(u64::from(*unpack));
                self.number(selected.len() as u64);
                let files: Vec<(&SourceNode, &Stat)> =
                    selected.iter().flat_map(Selected::files).collect();
                let facts = tree.facts(&files)?;
                let mut facts = facts.iter();
                selected
                    .iter()
                    .for_each(|selected| self.selected(selected, &mut facts));
            }
            CopySource::Inline { name, content } => {
                self.bytes(b"inline");
                self.bytes(name);
                self.bytes(content);
            }
            CopySource::Download {
                name,
                digest,
                mtime,
                unpack,
                ..
            } => {
                self.bytes(b"download");
                self.number(u64::from(*unpack));
                self.bytes(name);
                self.bytes(digest.as_bytes());
                // A time that comes from the server is part of what it serves.
                self.number(mtime.map_or(u64::MAX, |mtime| mtime as u64));
            }
        }
        Ok(())
    }

    fn selected<'f>(
        &mut self,
        selected: &Selected,
        facts: &mut impl Iterator<Item = &'f FileFacts>,
    ) {
        let mut inodes = HashMap::new();
        if selected.stat.is_dir() {
            // Its own name and mode do not reach the image.
            self.bytes(b"folder");
        } else {
            self.bytes(&selected.name);
            self.stat(&selected.stat, facts);
        }
        self.number(selected.picks.len() as u64);
        for Pick {
            path,
            stat,
            on_the_way,
            ..
        } in &selected.picks
        {
            self.bytes(path);
            self.number(u64::from(*on_the_way));
            self.stat(stat, facts);
            let next = inodes.len() as u64;
            self.number(
                stat.inode
                    .map_or(u64::MAX, |inode| *inodes.entry(inode).or_insert(next)),
            );
        }
    }

    fn stat<'f>(&mut self, stat: &Stat, facts: &mut impl Iterator<Item = &'f FileFacts>) {
        self.number(u64::from(stat.mode));
        self.number(u64::from(stat.uid) << 32 | u64::from(stat.gid));
        match &stat.kind {
            Kind::File { size } => {
                let facts = facts.next().expect("asked for each file");
                self.bytes(b"file");
                self.number(*size);
                self.bytes(&facts.digest);
                self.bytes(facts.capability.as_deref().unwrap_or(b""));
            }
            Kind::Dir => self.bytes(b"dir"),
            Kind::Symlink { target } | Kind::Hardlink { target } => {
                self.bytes(b"link");
                self.bytes(target);
            }
            Kind::Fifo => self.bytes(b"fifo"),
            Kind::CharDevice { major, minor } => self.device(b"char", *major, *minor),
            Kind::BlockDevice { major, minor } => self.device(b"block", *major, *minor),
        }
    }

    fn device(&mut self, kind: &[u8], major: u32, minor: u32) {
        self.bytes(kind);
        self.number(u64::from(major));
        self.number(u64::from(minor));
    }
}
