//! A build of a case without RUN: plan, then COPY, ADD and WORKDIR into real layers, without a store.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use kiln_context::{Context, Ignore};
use kiln_dockerfile::Source;
use kiln_erofs::{Index, IndexBuilder};
use kiln_layer::{Entry, Kind, TarWriter};
use kiln_oci::{DiffId, Digest, ImageConfig, Platform};
use kiln_plan::{
    Base, BaseResolver, BuildGraph, CopyFrom, CopySourceKind, CopyStep, NamedContext, PlanRequest,
    ResolveError, StepKind,
};
use kiln_rootfs::{
    Chmod, CopyPlan, CopySource, CopySpec, LayerOutput, MergedView, SourceTree, Stat, plan_copy,
    plan_workdir,
};
use serde_json::Value;

use crate::case::{Case, Files, Outcome};

type Failure = Box<dyn Error>;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
    bin:x:2:2:bin:/bin:/bin/false\nmail:x:8:8:mail:/var/spool/mail:/bin/false\n\
    www-data:x:33:33:www-data:/var/www:/bin/false\noperator:x:37:37:Operator:/var:/bin/false\n\
    nobody:x:65534:65534:nobody:/home:/bin/false\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\nbin:x:2:\nmail:x:8:\nwww-data:x:33:\noperator:x:37:\nusers:x:100:\n\
    staff:x:50:operator,www-data\nnogroup:x:65534:\n";

/// The image that all names of the corpus stand for.
struct Busybox;

impl BaseResolver for Busybox {
    fn image(
        &self,
        _name: &str,
        _platform: &Platform,
    ) -> Result<Option<ImageConfig>, ResolveError> {
        Ok(Some(ImageConfig {
            architecture: "amd64".into(),
            os: "linux".into(),
            ..ImageConfig::default()
        }))
    }
}

struct Build<'a> {
    case: &'a Case,
    context: Arc<Context>,
    base: MergedView,
    done: Vec<MergedView>,
    scratch: &'a Path,
}

/// The result of a case; nothing if it runs commands.
pub fn build(case: &Case) -> Option<Outcome> {
    let graph = match plan(case) {
        Ok(graph) => graph,
        // Only the end of a build is compared here; what the planner refuses is its own matter.
        Err(_) => return None,
    };
    let steps = graph.stages.iter().flat_map(|stage| &stage.steps);
    if steps
        .clone()
        .any(|step| matches!(step.kind, StepKind::Run(_)))
        || !steps
            .clone()
            .any(|step| matches!(step.kind, StepKind::Copy(_) | StepKind::Workdir(_)))
    {
        return None;
    }
    Some(run(case, &graph).map_err(|error| error.to_string()))
}

fn plan(case: &Case) -> Result<BuildGraph, Failure> {
    let name = case.text("dockerfile").unwrap_or("Dockerfile");
    let text = String::from_utf8(std::fs::read(case.context.join(name))?)?;
    let dockerfile = kiln_dockerfile::parse(&Source::new(name, text))?;
    let pairs = |key: &str| {
        let object = case
            .about
            .get(key)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        object
            .into_iter()
            .map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned()))
    };
    let request = PlanRequest {
        build_args: pairs("build_args").collect(),
        target: case.text("target").map(str::to_owned),
        platform: Platform::linux("amd64"),
        build_platform: Platform::linux("amd64"),
        labels: BTreeMap::new(),
        named_contexts: pairs("build_contexts")
            .map(|(name, _)| (name, NamedContext::Directory))
            .collect(),
    };
    Ok(kiln_plan::plan(&dockerfile, &request, &Busybox)?)
}

fn run(case: &Case, graph: &BuildGraph) -> Result<Files, Failure> {
    let folder = tempfile::tempdir()?;
    let name = case.text("dockerfile").unwrap_or("Dockerfile");
    let own = std::fs::read(case.context.join(format!("{name}.dockerignore")));
    let ignore = own
        .or_else(|_| std::fs::read(case.context.join(".dockerignore")))
        .unwrap_or_default();
    let context = Arc::new(Context::new(&case.context, Ignore::parse(&ignore)?));
    let base = busybox(folder.path())?;
    let mut build = Build {
        case,
        context,
        base,
        done: Vec::new(),
        scratch: folder.path(),
    };
    for stage in &graph.stages {
        let mut view = match &stage.base {
            Base::Scratch => MergedView::empty(),
            Base::Image { .. } => build.base.clone(),
            Base::Stage(index) => build.done[*index].clone(),
            Base::NamedContext(_) => return Err("a named context as base".into()),
        };
        for step in &stage.steps {
            let plan = match &step.kind {
                StepKind::Copy(copy) => build.copy(copy, &view)?,
                StepKind::Workdir(step) => {
                    plan_workdir(step.path.as_bytes(), &step.user, None, &view)?
                }
                StepKind::Metadata | StepKind::Run(_) => continue,
            };
            let paths: Vec<&Vec<u8>> = plan.entries().map(|entry| &entry.path).collect();
            assert!(paths.is_sorted(), "{}: entries are not sorted", case.name);
            let mut layer = Layer::new();
            plan.write(&mut layer)?;
            view = layer.on_top_of(view, folder.path())?;
        }
        build.done.push(view);
    }
    let result = files(&build.done[graph.target])?;
    let base = files(&build.base)?;
    let based = matches!(
        graph.stages[graph.target].base,
        Base::Image { .. } | Base::Stage(_)
    );
    let plain = |stat: &Stat| Stat {
        mtime: 0,
        inode: None,
        ..stat.clone()
    };
    let same = |path: &Vec<u8>, stat: &Stat, data: &Vec<u8>| {
        base.get(path)
            .is_some_and(|(old, bytes)| plain(old) == plain(stat) && bytes == data)
    };
    Ok(result
        .into_iter()
        .filter(|(path, (stat, data))| !(based && same(path, stat, data)))
        .collect())
}

impl Build<'_> {
    fn copy(&self, step: &CopyStep, below: &MergedView) -> Result<CopyPlan, Failure> {
        if step.checksum.is_some()
            && step
                .sources
                .iter()
                .any(|s| matches!(s.kind, CopySourceKind::Path(_)))
        {
            return Err("--checksum is for URLs".into());
        }
        let tree = match &step.from {
            CopyFrom::Context => SourceTree::Context(self.context.clone()),
            CopyFrom::NamedContext(name) => {
                let folder = self.case.about["build_contexts"][name]
                    .as_str()
                    .ok_or("no such context")?;
                SourceTree::Context(Arc::new(Context::new(
                    self.case.context.join(folder),
                    Ignore::none(),
                )))
            }
            CopyFrom::Stage(index) => image(&self.done[*index]),
            CopyFrom::Image(_) => image(&self.base),
            CopyFrom::Scratch => image(&MergedView::empty()),
        };
        let mut sources = Vec::new();
        for source in &step.sources {
            sources.push(match &source.kind {
                CopySourceKind::Path(path) => CopySource::Path {
                    tree: tree.clone(),
                    path: path.clone().into_bytes(),
                    unpack: step.unpack.unwrap_or(step.add),
                },
                CopySourceKind::Heredoc { name, content } => CopySource::Inline {
                    name: name.clone().into_bytes(),
                    content: content.clone().into(),
                },
                CopySourceKind::Url(_) | CopySourceKind::Git(_) => {
                    return Err("needs the network".into());
                }
            });
        }
        let spec = CopySpec {
            dest: step.dest.clone().into_bytes(),
            chown: step.chown.clone(),
            chmod: step.chmod.as_deref().map(Chmod::parse).transpose()?,
            parents: step.parents,
            excludes: step.excludes.clone(),
            epoch: None,
        };
        Ok(plan_copy(spec, sources, below, self.scratch)?)
    }
}

fn image(view: &MergedView) -> SourceTree {
    SourceTree::Image(Arc::new(view.clone()))
}

/// A layer being made: its tar and its index.
struct Layer {
    tar: TarWriter<Vec<u8>>,
    index: IndexBuilder,
}

impl Layer {
    fn new() -> Layer {
        Layer {
            tar: TarWriter::new(Vec::new()),
            index: IndexBuilder::new(),
        }
    }

    fn on_top_of(self, view: MergedView, folder: &Path) -> Result<MergedView, Failure> {
        let tar = self.tar.finish()?;
        let mut index = Vec::new();
        self.index.finish(tar.len() as u64, &mut index)?;
        let diff_id = DiffId(Digest::of(&tar));
        let path = folder.join(diff_id.0.hex());
        std::fs::write(&path, tar)?;
        Ok(view.with_layer(diff_id, Arc::new(Index::parse(index)?), path))
    }
}

impl LayerOutput for Layer {
    type Error = std::io::Error;

    fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> std::io::Result<()> {
        let offset = self
            .tar
            .append(entry, data)
            .map_err(std::io::Error::other)?;
        self.index
            .add(entry, offset, None)
            .map_err(std::io::Error::other)
    }
}

/// The base's folders and users; its programs are of no interest without RUN.
fn busybox(folder: &Path) -> Result<MergedView, Failure> {
    let mut layer = Layer::new();
    let dir = |path: &str, mode| Entry::new(path, Kind::Dir, mode);
    let mut entries = vec![
        dir("root", 0o700),
        dir("tmp", 0o1777),
        dir("var", 0o755),
        dir("var/tmp", 0o1777),
    ];
    entries.extend(
        [
            "bin",
            "dev",
            "etc",
            "home",
            "usr",
            "usr/bin",
            "usr/local",
            "var/www",
        ]
        .map(|path| dir(path, 0o755)),
    );
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    for entry in &entries {
        layer.append(entry, &mut std::io::empty())?;
    }
    for (path, text) in [("etc/group", GROUP), ("etc/passwd", PASSWD)] {
        let entry = Entry {
            mtime: 1_485_449_953,
            ..Entry::new(
                path,
                Kind::File {
                    size: text.len() as u64,
                },
                0o644,
            )
        };
        layer.append(&entry, &mut text.as_bytes())?;
    }
    layer.on_top_of(MergedView::empty(), folder)
}

fn files(view: &MergedView) -> Result<Files, Failure> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Vec::new()];
    while let Some(folder) = folders.pop() {
        for name in view.read_dir(&folder)?.ok_or("not a folder")? {
            let path = kiln_layer::join(&folder, &name);
            let stat = view.lstat(&path)?.ok_or("vanished")?;
            let data = match stat.kind {
                Kind::File { .. } => view.read_file(&path, 1 << 30)?.ok_or("vanished")?,
                Kind::Dir => {
                    folders.push(path.clone());
                    Vec::new()
                }
                _ => Vec::new(),
            };
            found.insert(path, (stat, data));
        }
    }
    Ok(found)
}
