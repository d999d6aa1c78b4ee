//! The guest's kernel: source + patches + config fragments → one stripped file, kept by the key of its inputs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::digest::{Inputs, of_file};
use crate::error::Error;
use crate::process::{finished, note, output, run_logged};
use crate::project::Project;
use crate::setup;
use crate::vm_image::recipe::{Architecture, KernelRecipe};

/// Raised when this code makes another kernel of the same inputs.
const BUILD_VERSION: &[u8] = b"1";

/// Name of the kernel in its kept folder.
const KERNEL: &str = "vmlinux";

/// Name of its configuration, beside it.
pub const CONFIG: &str = "config";

/// Returns the kernel, building it when none is kept for these inputs.
pub fn build(
    project: &Project,
    recipe: &KernelRecipe,
    architecture: &Architecture,
) -> Result<PathBuf, Error> {
    let source = setup::kernel_source_override().unwrap_or_else(|| recipe.source.clone());
    if !source.is_file() {
        return Err(setup::no_kernel_source(&source));
    }
    let files = Files::of(project, architecture)?;
    let key = key(&source, recipe, architecture, &files)?;
    let kept = project.vm_image().join("out/kernels").join(&key);
    if kept.join(KERNEL).is_file() {
        note(&format!("kernel {key} is kept"));
        return Ok(kept.join(KERNEL));
    }
    note(&format!(
        "building kernel {key} from {} (minutes)",
        source.display()
    ));
    let work = project.target().join("vm-image").join(&key);
    let tree = work.join("linux");
    let log = work.join("build.log");
    remove_tree(&work)?;
    std::fs::create_dir_all(&tree).map_err(Error::file("create", &tree))?;
    let builder = Builder {
        recipe,
        architecture,
        tree: &tree,
        log: &log,
    };
    builder.unpack(&source)?;
    builder.patch(&files.patches)?;
    builder.configure(&files.configs)?;
    builder.compile()?;
    keep(&builder, &kept)?;
    remove_tree(&work)?;
    Ok(kept.join(KERNEL))
}

/// Files of the checkout that make the kernel what it is, in the order of their use.
struct Files {
    configs: Vec<PathBuf>,
    patches: Vec<PathBuf>,
}

impl Files {
    fn of(project: &Project, architecture: &Architecture) -> Result<Self, Error> {
        let config = project.vm_image().join("config");
        let configs = architecture
            .configs
            .iter()
            .map(|name| config.join(name))
            .collect();
        let folder = project.vm_image().join("patches");
        let mut patches = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(Error::file("list", &folder))? {
            patches.push(entry.map_err(Error::file("list", &folder))?.path());
        }
        patches.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "patch")
        });
        patches.sort();
        Ok(Self { configs, patches })
    }
}

fn key(
    source: &Path,
    recipe: &KernelRecipe,
    architecture: &Architecture,
    files: &Files,
) -> Result<String, Error> {
    let mut inputs = Inputs::default();
    inputs.add("build", BUILD_VERSION);
    inputs.add("source", of_file(source)?.as_bytes());
    inputs.add("timestamp", recipe.timestamp.as_bytes());
    inputs.add("arch", architecture.kernel_arch.as_bytes());
    inputs.add("target", architecture.make_target.as_bytes());
    let compiler = format!("{}gcc", architecture.cross_compile);
    inputs.add(
        "compiler",
        output(Command::new(&compiler).arg("--version"))?.as_bytes(),
    );
    for path in files.configs.iter().chain(&files.patches) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        inputs.add_file(&name, path)?;
    }
    Ok(inputs.key())
}

struct Builder<'a> {
    recipe: &'a KernelRecipe,
    architecture: &'a Architecture,
    tree: &'a Path,
    log: &'a Path,
}

impl Builder<'_> {
    /// Unpacks a tarball, or the one inside Debian's package of the source.
    fn unpack(&self, source: &Path) -> Result<(), Error> {
        let mut tar = Command::new("tar");
        tar.arg("-x")
            .arg("-C")
            .arg(self.tree)
            .arg("--strip-components=1")
            .arg("-f");
        if source
            .extension()
            .is_some_and(|extension| extension == "deb")
        {
            let inner = self.tree.with_file_name("source.tar.xz");
            extract_tarball(source, &self.recipe.version, &inner)?;
            tar.arg(inner);
        } else {
            tar.arg(source);
        }
        run_logged("unpacking the source", &mut tar, self.log)?;
        let makefile = self.tree.join("Makefile");
        let text = std::fs::read_to_string(&makefile).map_err(Error::file("read", &makefile))?;
        let found = series(&text);
        if found.as_deref() == Some(&self.recipe.version) {
            return Ok(());
        }
        Err(Error::Missing {
            what: format!(
                "{} is not a Linux {} source",
                source.display(),
                self.recipe.version
            ),
            hint: format!(
                "it is of the series {}",
                found.unwrap_or_else(|| "unknown".to_owned())
            ),
        })
    }

    fn patch(&self, patches: &[PathBuf]) -> Result<(), Error> {
        for patch in patches {
            let mut command = Command::new("patch");
            command
                .args(["-p1", "--no-backup-if-mismatch", "-d"])
                .arg(self.tree)
                .arg("-i")
                .arg(patch);
            run_logged("patching the source", &mut command, self.log)?;
        }
        Ok(())
    }

    /// Starts from nothing and merges the fragments; a wish that the kernel does not grant fails the build.
    fn configure(&self, configs: &[PathBuf]) -> Result<(), Error> {
        run_logged("configuring", self.make().arg("allnoconfig"), self.log)?;
        let mut merge = Command::new("./scripts/kconfig/merge_config.sh");
        merge
            .args(["-m", ".config"])
            .args(configs)
            .current_dir(self.tree);
        run_logged("merging the config", &mut merge, self.log)?;
        run_logged("configuring", self.make().arg("olddefconfig"), self.log)?;
        let path = self.tree.join(".config");
        let result = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        for fragment in configs {
            let text = std::fs::read_to_string(fragment).map_err(Error::file("read", fragment))?;
            if let Some(line) = not_granted(&text, &result).first() {
                return Err(Error::Found {
                    what: format!(
                        "the kernel's configuration dropped `{line}` of {}",
                        fragment.display()
                    ),
                });
            }
        }
        Ok(())
    }

    fn compile(&self) -> Result<(), Error> {
        let jobs = std::thread::available_parallelism().map_or(2, usize::from);
        let mut make = self.make();
        make.arg(format!("-j{jobs}"))
            .arg(&self.architecture.make_target);
        run_logged("compiling the kernel", &mut make, self.log)
    }

    fn make(&self) -> Command {
        let mut make = Command::new("make");
        make.current_dir(self.tree)
            .arg("-s")
            .arg(format!("ARCH={}", self.architecture.kernel_arch))
            .arg(format!("CROSS_COMPILE={}", self.architecture.cross_compile))
            .env("KBUILD_BUILD_TIMESTAMP", &self.recipe.timestamp)
            .env("KBUILD_BUILD_USER", "kiln")
            .env("KBUILD_BUILD_HOST", "kiln")
            .env("KBUILD_BUILD_VERSION", "1")
            .env("LC_ALL", "C")
            .env_remove("MAKEFLAGS");
        make
    }
}

/// Moves the result into its kept folder, which appears whole or not at all.
fn keep(builder: &Builder<'_>, kept: &Path) -> Result<(), Error> {
    let staged = kept.with_extension("new");
    remove_tree(&staged)?;
    std::fs::create_dir_all(&staged).map_err(Error::file("create", &staged))?;
    let kernel = staged.join(KERNEL);
    let built = builder.tree.join(&builder.architecture.kernel_file);
    std::fs::copy(&built, &kernel).map_err(Error::file("copy", &built))?;
    if builder.architecture.make_target == "vmlinux" {
        let mut strip = Command::new(format!("{}strip", builder.architecture.cross_compile));
        strip.arg("--strip-all").arg(&kernel);
        run_logged("stripping the kernel", &mut strip, builder.log)?;
    }
    for (name, path) in [
        (CONFIG, builder.tree.join(".config")),
        ("build.log", builder.log.to_owned()),
    ] {
        std::fs::copy(&path, staged.join(name)).map_err(Error::file("copy", &path))?;
    }
    remove_tree(kept)?;
    std::fs::rename(&staged, kept).map_err(Error::file("create", kept))
}

/// Takes the source tarball out of Debian's package.
fn extract_tarball(package: &Path, version: &str, to: &Path) -> Result<(), Error> {
    let program = |program: &str| {
        let program = program.to_owned();
        move |source| Error::Start { program, source }
    };
    let mut deb = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(program("dpkg-deb"))?;
    let file = std::fs::File::create(to).map_err(Error::file("create", to))?;
    let pipe = deb.stdout.take().expect("the pipe was asked for");
    let status = Command::new("tar")
        .args(["-x", "-O", "-f", "-"])
        .arg(format!("./usr/src/linux-source-{version}.tar.xz"))
        .stdin(pipe)
        .stdout(file)
        .status()
        .map_err(program("tar"))?;
    deb.wait().map_err(program("dpkg-deb"))?;
    finished("taking the source out of its package", status, None)
}

/// `VERSION.PATCHLEVEL` of a kernel's Makefile.
fn series(makefile: &str) -> Option<String> {
    let value = |name: &str| {
        let line = makefile.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start().strip_prefix('=')?.trim().to_owned())
    };
    Some(format!("{}.{}", value("VERSION")?, value("PATCHLEVEL")?))
}

/// Options that a fragment switches on and the finished config does not have.
fn not_granted<'a>(fragment: &'a str, config: &str) -> Vec<&'a str> {
    let granted: std::collections::BTreeSet<&str> = config.lines().collect();
    fragment
        .lines()
        .filter(|line| line.starts_with("CONFIG_") && !granted.contains(line))
        .collect()
}

fn remove_tree(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_is_read_from_the_makefile() {
        let makefile = "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\n";
        assert_eq!(series(makefile).as_deref(), Some("6.12"));
        assert_eq!(series("all:\n"), None);
    }

    #[test]
    fn option_that_the_kernel_dropped_is_told() {
        let fragment = "# why\nCONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n";
        assert_eq!(
            not_granted(fragment, "CONFIG_A=y\n# CONFIG_B is not set\n"),
            ["CONFIG_B=y"]
        );
    }
}
