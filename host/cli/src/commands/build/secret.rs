//! `--secret`: `id=ID[,type=file|env][,src=FILE][,env=VARIABLE]`. Values are read here and printed nowhere.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use kiln_engine::Secret;

use crate::env;
use crate::failure::Failure;

/// Largest secret: BuildKit's limit.
const MAX_SECRET: u64 = 500 << 10;

/// Where a secret comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    File(String),
    Variable(String),
    /// Neither was said: a variable of the id's name if there is one, else such a file.
    Named(String),
}

/// Parses one `--secret` and reads its value.
pub fn read(text: &str, current_dir: &Path) -> Result<(String, Secret), Failure> {
    let (id, source) = parse(text)?;
    let value = match &source {
        Source::Variable(name) => variable(name).ok_or_else(|| {
            Failure::build(format!(
                "secret `{id}`: the environment variable {name} is not set"
            ))
        })?,
        Source::File(path) => file(&id, &current_dir.join(path))?,
        Source::Named(name) => match variable(name) {
            Some(value) => value,
            None => file(&id, &current_dir.join(name))?,
        },
    };
    if value.len() as u64 > MAX_SECRET {
        return Err(Failure::build(format!(
            "secret `{id}` is larger than {} KiB",
            MAX_SECRET >> 10
        )));
    }
    Ok((id, Secret(value)))
}

fn parse(text: &str) -> Result<(String, Source), Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("--secret `{text}`: {why}")).hint("try id=token,src=token.txt")
    };
    let (mut id, mut kind, mut path, mut name) = (None, None, None, None);
    for field in text.split(',') {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| wrong(&format!("`{field}` is not NAME=VALUE")))?;
        let slot = match key.to_ascii_lowercase().as_str() {
            "id" => &mut id,
            "type" => &mut kind,
            "src" | "source" => &mut path,
            "env" => &mut name,
            _ => return Err(wrong(&format!("`{key}` is not known"))),
        };
        if slot.replace(value.to_owned()).is_some() {
            return Err(wrong(&format!("`{key}` is given twice")));
        }
    }
    let id = id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| wrong("it has no id"))?;
    let source = match (kind.as_deref(), path, name) {
        (None | Some("file"), Some(path), None) => Source::File(path),
        (None | Some("env"), None, Some(name)) | (Some("env"), Some(name), None) => {
            Source::Variable(name)
        }
        (None, None, None) => Source::Named(id.clone()),
        (Some("file"), None, None) => Source::File(id.clone()),
        (Some("env"), None, None) => Source::Variable(id.clone()),
        (Some("file" | "env") | None, ..) => return Err(wrong("it has two sources")),
        (Some(kind), ..) => return Err(wrong(&format!("there is no type `{kind}`"))),
    };
    Ok((id, source))
}

fn variable(name: &str) -> Option<Vec<u8>> {
    env::named(name).map(|value| value.into_encoded_bytes())
}

fn file(id: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SECRET + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            Failure::build(format!("secret `{id}`: cannot read {}", path.display())).because(&error)
        })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_as_buildkit_reads_them() {
        for (text, source) in [
            ("id=a,src=f", Source::File("f".into())),
            ("id=a,source=f,type=file", Source::File("f".into())),
            ("type=env,id=a,src=V", Source::Variable("V".into())),
            ("id=a,env=V", Source::Variable("V".into())),
            ("id=a", Source::Named("a".into())),
            ("id=a,type=env", Source::Variable("a".into())),
        ] {
            assert_eq!(parse(text).ok(), Some(("a".to_owned(), source)), "{text}");
        }
        for text in [
            "",
            "id",
            "src=f",
            "id=",
            "id=a,id=b",
            "id=a,target=/x",
            "id=a,src=f,env=V",
            "id=a,type=x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn files_are_read_whole_and_bounded() {
        let dir = tempfile::tempdir().expect("temporary folder");
        std::fs::write(dir.path().join("token"), b"\xffsecret\n").expect("file");
        let (id, Secret(value)) = read("id=t,src=token", dir.path()).expect("read");
        assert_eq!(
            (id.as_str(), value.as_slice()),
            ("t", b"\xffsecret\n".as_slice())
        );
        let huge = File::create(dir.path().join("huge")).expect("file");
        huge.set_len(MAX_SECRET + 1).expect("length");
        assert!(read("id=t,src=huge", dir.path()).is_err());
        assert!(read("id=t,src=missing", dir.path()).is_err());
        assert!(read("id=t,env=KILN_TEST_NOT_SET", dir.path()).is_err());
    }
}
