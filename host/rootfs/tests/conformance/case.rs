//! A case of the corpus: its context made real, and its expected files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kiln_layer::Kind;
use kiln_rootfs::Stat;
use serde_json::Value;

pub struct Case {
    pub name: String,
    pub about: Value,
    pub context: PathBuf,
    expected: Value,
    _folder: tempfile::TempDir,
}

/// Files of an image by path, with their contents.
pub type Files = BTreeMap<Vec<u8>, (Stat, Vec<u8>)>;

/// Files of an image, or the error of a build.
pub type Outcome = Result<Files, String>;

impl Case {
    pub fn read(corpus: &Path, name: &str) -> Case {
        let json =
            |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let source = corpus.join("cases").join(name);
        let folder = tempfile::tempdir().unwrap();
        let context = folder.path().join("context");
        fs::create_dir(&context).unwrap();
        for entry in json(source.join("context.json")).as_array().unwrap() {
            materialise(entry, &source.join("context"), &context);
        }
        Case {
            name: name.to_owned(),
            about: json(source.join("case.json")),
            context,
            expected: json(corpus.join("expected").join(format!("{name}.json"))),
            _folder: folder,
        }
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.about.get(key).and_then(Value::as_str)
    }

    /// What differs between a result, given less its base, and the recording.
    pub fn differences(&self, outcome: &Outcome) -> Vec<String> {
        let files = match (self.expected["outcome"].as_str().unwrap(), outcome) {
            ("ok", Ok(files)) => files,
            ("ok", Err(error)) => return vec![format!("failed: {error}")],
            (_, Ok(_)) => return vec![format!("should fail: {}", self.expected["error"])],
            (_, Err(error)) => {
                let wanted = self.expected["error_contains"].as_str().unwrap_or("");
                let found = error.contains(wanted);
                return if found {
                    Vec::new()
                } else {
                    vec![format!("{error:?} does not contain {wanted:?}")]
                };
            }
        };
        let mut expected: BTreeMap<Vec<u8>, &Value> = BTreeMap::new();
        for file in self.expected["files"].as_array().unwrap() {
            expected.insert(bytes(file, "path").unwrap(), file);
        }
        let mut differences = Vec::new();
        for (path, (stat, data)) in files {
            match expected.remove(path) {
                None => differences.push(format!("{}: not expected", show(path))),
                Some(wanted) => compare(&show(path), wanted, stat, data, files, &mut differences),
            }
        }
        differences.extend(
            expected
                .keys()
                .map(|path| format!("{}: missing", show(path))),
        );
        differences
    }
}

fn compare(
    path: &str,
    wanted: &Value,
    stat: &Stat,
    data: &[u8],
    files: &Files,
    differences: &mut Vec<String>,
) {
    let mut check = |what: &str, wanted: String, got: String| {
        if wanted != got {
            differences.push(format!("{path}: {what}: expected {wanted}, got {got}"));
        }
    };
    let kind = match &stat.kind {
        Kind::File { .. } | Kind::Hardlink { .. } => "file",
        Kind::Dir => "dir",
        Kind::Symlink { .. } => "symlink",
        Kind::CharDevice { .. } => "char",
        Kind::BlockDevice { .. } => "block",
        Kind::Fifo => "fifo",
    };
    check(
        "type",
        wanted["type"].as_str().unwrap_or("").into(),
        kind.into(),
    );
    if let Some(mode) = wanted["mode"].as_str() {
        check("mode", mode.into(), format!("{:04o}", stat.mode));
    }
    check(
        "owner",
        format!("{}:{}", wanted["uid"], wanted["gid"]),
        format!("{}:{}", stat.uid, stat.gid),
    );
    if let Some(digest) = wanted["sha256"].as_str() {
        check("sha256", digest.into(), kiln_oci::Digest::of(data).hex());
    }
    if let Some(mtime) = wanted["mtime"].as_i64() {
        check("mtime", mtime.to_string(), stat.mtime.to_string());
    }
    if let Kind::Symlink { target } = &stat.kind {
        check(
            "target",
            show(&bytes(wanted, "target").unwrap()),
            show(target),
        );
    }
    if let Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } = stat.kind {
        check(
            "device",
            wanted["dev"].to_string(),
            format!("[{major},{minor}]"),
        );
    }
    let xattrs: BTreeMap<String, String> = stat
        .xattrs
        .iter()
        .map(|(name, value)| {
            (
                show(name),
                value.iter().map(|b| format!("{b:02x}")).collect(),
            )
        })
        .collect();
    let wanted_xattrs = wanted.get("xattrs").map_or("{}".into(), Value::to_string);
    check(
        "xattrs",
        wanted_xattrs,
        serde_json::to_string(&xattrs).unwrap(),
    );
    let same = |other: &Stat| stat.inode.is_some() && other.inode == stat.inode;
    let group = files
        .iter()
        .find(|(_, (other, _))| same(other))
        .map(|(path, _)| show(path));
    let group = group.filter(|_| files.values().filter(|(other, _)| same(other)).count() > 1);
    let wanted_group = wanted
        .get("hardlink_group")
        .and_then(Value::as_str)
        .map(str::to_owned);
    check(
        "hard links",
        format!("{wanted_group:?}"),
        format!("{group:?}"),
    );
}

fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Bytes of a field, given as text or, under another name, in base 64.
fn bytes(value: &Value, key: &str) -> Option<Vec<u8>> {
    if let Some(text) = value.get(key) {
        return Some(text.as_str().unwrap().as_bytes().to_vec());
    }
    value
        .get(format!("{key}_b64"))
        .map(|text| base64(text.as_str().unwrap()))
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|b| *b != b'=') {
        bits = bits << 6 | DIGITS.iter().position(|digit| *digit == byte).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn materialise(entry: &Value, data: &Path, context: &Path) {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    let name = bytes(entry, "path").unwrap();
    let at = |name: &[u8]| context.join(OsStr::from_bytes(name));
    let path = at(&name);
    match entry["type"].as_str().unwrap() {
        "dir" if name == b"." => {}
        "dir" => fs::create_dir(&path).unwrap(),
        "symlink" => {
            return symlink(OsStr::from_bytes(&bytes(entry, "target").unwrap()), &path).unwrap();
        }
        "link" => return fs::hard_link(at(&bytes(entry, "target").unwrap()), &path).unwrap(),
        "fifo" => return,
        _ => {
            let inline = entry
                .get("data_b64")
                .map(|text| base64(text.as_str().unwrap()));
            let content =
                inline.unwrap_or_else(|| fs::read(data.join(OsStr::from_bytes(&name))).unwrap());
            fs::write(&path, content).unwrap();
            let time =
                SystemTime::UNIX_EPOCH + Duration::from_secs(entry["mtime"].as_u64().unwrap());
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
    }
    let mode = u32::from_str_radix(entry["mode"].as_str().unwrap(), 8).unwrap();
    // Without root's rights, a file that nobody may read could not be copied.
    let readable = if entry["type"] == "dir" { 0o700 } else { 0 };
    fs::set_permissions(&path, fs::Permissions::from_mode(mode | readable)).unwrap();
}
