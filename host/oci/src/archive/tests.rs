//! Archives written, read back, handed to other tools and damaged.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::Command;

use super::tar_headers::{header, padding};
use super::*;
use crate::{Descriptor, DiffId, Digest, History, ImageConfig, ImageName, Platform, media_type};

/// A tar with one file, which is what the layers here consist of.
fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = header(name, content.len() as u64).unwrap().to_vec();
    tar.extend_from_slice(content);
    tar.resize(tar.len() + padding(content.len() as u64) as usize + 1024, 0);
    tar
}

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let mut config = ImageConfig {
        architecture: "amd64".into(),
        os: "linux".into(),
        ..ImageConfig::default()
    };
    config.config.cmd = Some(vec!["/hello".into()]);
    for layer in layers {
        config.rootfs.diff_ids.push(DiffId(Digest::of(layer)));
        config.history.push(History {
            created_by: Some("COPY".into()),
            ..History::default()
        });
    }
    config.to_canonical_json()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = crate::ParallelGzip::new(Vec::new()).unwrap();
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn image<'a>(
    layers: &'a [Vec<u8>],
    media_type: &str,
    diff_ids: &[Vec<u8>],
    names: &[&str],
) -> ImageToSave<'a> {
    let to_save = |bytes: &'a Vec<u8>| LayerToSave {
        descriptor: Descriptor::of(media_type, bytes),
        open: Box::new(move || Ok(Box::new(&bytes[..]))),
    };
    ImageToSave {
        config: config(diff_ids),
        names: names
            .iter()
            .map(|name| ImageName::parse(name).unwrap())
            .collect(),
        layers: layers.iter().map(to_save).collect(),
    }
}

fn two_layers() -> Vec<Vec<u8>> {
    vec![
        layer("hello", b"#!/bin/true\n"),
        layer("data", &[b'x'; 3000]),
    ]
}

fn docker_archive(names: &[&str]) -> Vec<u8> {
    let layers = two_layers();
    let mut out = Vec::new();
    write_docker_archive(
        &mut out,
        &[image(&layers, media_type::OCI_LAYER, &layers, names)],
    )
    .unwrap();
    out
}

fn oci_archive(names: &[&str]) -> Vec<u8> {
    let layers = two_layers();
    let compressed: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
    let mut out = Vec::new();
    write_oci_archive(
        &mut out,
        &[image(
            &compressed,
            media_type::OCI_LAYER_GZIP,
            &layers,
            names,
        )],
    )
    .unwrap();
    out
}

fn open(bytes: &[u8]) -> Result<ArchiveReader, ArchiveError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    ArchiveReader::open(file, &"linux/amd64".parse::<Platform>().unwrap())
}

fn contents(reader: &ArchiveReader, image: &ArchivedImage) -> Vec<Vec<u8>> {
    let read = |layer| {
        let mut content = Vec::new();
        reader
            .open_layer(layer)
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
        content
    };
    image.layers.iter().map(read).collect()
}

#[test]
fn both_kinds_of_archive_round_trip() {
    for bytes in [docker_archive(&["app:1"]), oci_archive(&["app:1"])] {
        let reader = open(&bytes).unwrap();
        let [image] = reader.images() else {
            panic!("{} images", reader.images().len())
        };
        assert_eq!(image.config, config(&two_layers()));
        assert_eq!(image.names.len(), 1);
        assert_eq!(
            ImageName::parse(&image.names[0]).unwrap().familiar(),
            "app:1"
        );
        assert_eq!(contents(&reader, image), two_layers());
        assert!(
            image
                .layers
                .iter()
                .zip(two_layers())
                .all(|(layer, tar)| layer.diff_id.0 == Digest::of(&tar))
        );
    }
}

#[test]
fn same_image_gives_the_same_bytes() {
    assert!(docker_archive(&["a:1", "b:2"]) == docker_archive(&["a:1", "b:2"]));
    assert!(oci_archive(&["a:1"]) == oci_archive(&["a:1"]));
}

#[test]
fn image_with_several_names_is_one_image() {
    for bytes in [
        docker_archive(&["a:1", "b.example/c:2"]),
        oci_archive(&["a:1", "b.example/c:2"]),
    ] {
        let reader = open(&bytes).unwrap();
        assert_eq!(reader.images().len(), 1);
        assert_eq!(reader.images()[0].names.len(), 2);
    }
}

#[test]
fn image_without_layers_or_names_round_trips() {
    let mut out = Vec::new();
    write_docker_archive(&mut out, &[image(&[], media_type::OCI_LAYER, &[], &[])]).unwrap();
    let reader = open(&out).unwrap();
    assert!(reader.images()[0].names.is_empty() && reader.images()[0].layers.is_empty());
}

#[test]
fn layer_shorter_or_longer_than_announced_is_an_error() {
    let layers = two_layers();
    for change in [-1i64, 1] {
        let mut image = image(&layers, media_type::OCI_LAYER, &layers, &[]);
        let size = &mut image.layers[1].descriptor.size;
        *size = size.checked_add_signed(change).unwrap();
        let error = write_docker_archive(std::io::sink(), &[image]).unwrap_err();
        assert!(matches!(error, ArchiveError::LayerLength { .. }));
    }
}

/// Docker before 25: a folder for each layer, equal layers as symlinks.
#[test]
fn old_docker_archive_with_linked_layers_reads() {
    let layers = vec![layer("same", b"same"), layer("same", b"same")];
    let mut tar = Vec::new();
    let mut add = |name: &str, content: &[u8]| {
        tar.extend_from_slice(&header(name, content.len() as u64).unwrap());
        tar.extend_from_slice(content);
        tar.resize(tar.len() + padding(content.len() as u64) as usize, 0);
    };
    add("one/", b"");
    add("one/layer.tar", &layers[0]);
    add("config.json", &config(&layers));
    add(
        "manifest.json",
        br#"[{"Config":"config.json","RepoTags":["old:1"],"Layers":["one/layer.tar","two/layer.tar"]}]"#,
    );
    let mut link = header("two/layer.tar", 0).unwrap();
    link[156] = b'2';
    link[157..173].copy_from_slice(b"../one/layer.tar");
    link[148..156].copy_from_slice(b"        ");
    let sum: u32 = link.iter().map(|byte| u32::from(*byte)).sum();
    link[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&link);
    let reader = open(&tar).unwrap();
    assert_eq!(contents(&reader, &reader.images()[0]), layers);
}

#[test]
fn index_of_several_platforms_gives_the_one_wanted() {
    let mut blobs = Vec::new();
    let mut add = |name: String, content: &[u8]| {
        blobs.extend_from_slice(&header(&name, content.len() as u64).unwrap());
        blobs.extend_from_slice(content);
        blobs.resize(blobs.len() + padding(content.len() as u64) as usize, 0);
    };
    let mut entries = Vec::new();
    for architecture in ["arm64", "amd64"] {
        let config = ImageConfig {
            architecture: architecture.into(),
            os: "linux".into(),
            ..ImageConfig::default()
        };
        let json = config.to_canonical_json();
        let manifest = crate::Manifest::oci(Descriptor::of(media_type::OCI_CONFIG, &json), vec![])
            .to_canonical_json();
        add(layout::blob_path(&Digest::of(&json)), &json);
        add(layout::blob_path(&Digest::of(&manifest)), &manifest);
        let mut entry = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
        entry.platform = Some(Platform::linux(architecture));
        entries.push(entry);
    }
    let inner = crate::ImageIndex::oci(entries).to_canonical_json();
    add(layout::blob_path(&Digest::of(&inner)), &inner);
    let outer = crate::ImageIndex::oci(vec![Descriptor::of(media_type::OCI_INDEX, &inner)]);
    add("./index.json".into(), &outer.to_canonical_json());
    let reader = open(&blobs).unwrap();
    let config = ImageConfig::parse(&reader.images()[0].config).unwrap();
    assert_eq!(config.architecture, "amd64");
}

#[test]
fn files_that_are_no_archives_are_refused() {
    assert!(matches!(open(b""), Err(ArchiveError::NotAnImageArchive)));
    assert!(matches!(
        open(&[b'x'; 2048]),
        Err(ArchiveError::NotATar { offset: 0 })
    ));
    assert!(matches!(
        open(&layer("hello", b"")),
        Err(ArchiveError::NotAnImageArchive)
    ));
    let manifest = layer(
        "manifest.json",
        br#"[{"Config":"../../../etc/passwd","RepoTags":null,"Layers":[]}]"#,
    );
    assert!(matches!(open(&manifest), Err(ArchiveError::Missing { .. })));
    assert!(matches!(
        open(&layer("manifest.json", b"{")),
        Err(ArchiveError::Json { .. })
    ));
    let whole = docker_archive(&["a:1"]);
    assert!(open(&whole[..4000]).is_err());
}

#[test]
fn damaged_archives_never_panic() {
    let mut state = 7u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for whole in [docker_archive(&["a:1"]), oci_archive(&["a:1"])] {
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random() % 6 {
                let at = random() % bytes.len();
                bytes[at] = random() as u8;
            }
            bytes.truncate(bytes.len() - random() % 3 * 100);
            let Ok(reader) = open(&bytes) else { continue };
            for layer in reader.images().iter().flat_map(|image| &image.layers) {
                if let Ok(content) = reader.open_layer(layer) {
                    let _ = std::io::copy(&mut content.take(1 << 20), &mut std::io::sink());
                }
            }
        }
    }
}

fn installed(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {tool} is not installed");
    }
    found
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn skopeo(arguments: &[&str]) -> String {
    run(Command::new("skopeo")
        .arg("--insecure-policy")
        .args(arguments))
}

#[test]
fn other_tools_accept_what_is_written() {
    if !installed("skopeo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("docker.tar"), docker_archive(&["example.org/app:1"])).unwrap();
    std::fs::write(path("oci.tar"), oci_archive(&["example.org/app:1"])).unwrap();
    for source in [
        format!("docker-archive:{}", path("docker.tar")),
        format!("oci-archive:{}", path("oci.tar")),
    ] {
        let inspected = skopeo(&["inspect", "--config", &source]);
        assert_eq!(
            ImageConfig::parse(inspected.as_bytes())
                .unwrap()
                .rootfs
                .diff_ids
                .len(),
            2,
            "{source}"
        );
        let target = format!("oci:{}:copied", path("layout"));
        skopeo(&["copy", &source, &target]);
    }
    if installed("umoci") {
        let image = format!("{}:copied", path("layout"));
        run(Command::new("umoci").args([
            "unpack",
            "--rootless",
            "--image",
            &image,
            &path("bundle"),
        ]));
        let unpacked = Path::new(&path("bundle")).join("rootfs/hello");
        assert_eq!(std::fs::read(unpacked).unwrap(), b"#!/bin/true\n");
    }
}

#[test]
fn what_other_tools_write_reads() {
    if !installed("skopeo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("in.tar"), docker_archive(&["app:1"])).unwrap();
    let source = format!("docker-archive:{}", path("in.tar"));
    skopeo(&[
        "copy",
        &source,
        &format!("docker-archive:{}:app:2", path("docker.tar")),
    ]);
    skopeo(&[
        "copy",
        &source,
        &format!("oci-archive:{}:app:2", path("oci.tar")),
    ]);
    for name in ["docker.tar", "oci.tar"] {
        let file = File::open(path(name)).unwrap();
        let reader = ArchiveReader::open(file, &Platform::linux("amd64")).unwrap();
        let [image] = reader.images() else {
            panic!("{name}: {} images", reader.images().len())
        };
        assert_eq!(contents(&reader, image), two_layers(), "{name}");
        assert!(
            image.names[0].ends_with("app:2"),
            "{name}: {:?}",
            image.names
        );
    }
}

#[test]
fn one_document_named_by_many_images_is_not_read_for_all() {
    let mut config = config(&[]);
    config.resize(crate::MAX_CONFIG_LEN, b' ');
    let entry = r#"{"Config":"c","RepoTags":null,"Layers":null}"#;
    let manifest = format!("[{}]", [entry; 17].join(","));
    let mut tar = Vec::new();
    for (name, content) in [("c", config), ("manifest.json", manifest.into_bytes())] {
        tar.extend_from_slice(&header(name, content.len() as u64).unwrap());
        tar.extend_from_slice(&content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&tar).unwrap();
    let opened = ArchiveReader::open(file, &Platform::linux_host());
    assert!(matches!(opened, Err(ArchiveError::TooManyDocuments { .. })));
}
