//! Texts of images: names, platforms, digests, configs, manifests, indexes. The first byte chooses which.
//! What is shown again must parse to the same.
#![no_main]

use kiln_oci::{Digest, ImageConfig, ImageIndex, ImageName, Manifest, Platform};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(bytes);
    match choice {
        b'n' => {
            if let Ok(name) = ImageName::parse(&text) {
                assert_eq!(ImageName::parse(&name.familiar()).as_ref(), Ok(&name));
                assert_eq!(ImageName::parse(&name.to_string()).as_ref(), Ok(&name));
                let tagged = name.with_default_tag();
                assert_eq!(ImageName::parse(&tagged.familiar()).as_ref(), Ok(&tagged));
            }
        }
        b'p' => {
            if let Ok(platform) = text.parse::<Platform>() {
                assert_eq!(platform.to_string().parse().as_ref(), Ok(&platform));
            }
        }
        b'd' => {
            if let Ok(digest) = text.parse::<Digest>() {
                assert_eq!(digest.to_string(), text);
            }
        }
        b'c' => {
            if let Ok(config) = ImageConfig::parse(bytes) {
                let canonical = config.to_canonical_json();
                let again = ImageConfig::parse(&canonical).expect("our own config");
                assert_eq!(again.to_canonical_json(), canonical);
            }
        }
        b'm' => {
            if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) {
                let canonical = manifest.to_canonical_json();
                let again: Manifest = serde_json::from_slice(&canonical).expect("our own manifest");
                assert_eq!(again.to_canonical_json(), canonical);
            }
        }
        b'i' => {
            if let Ok(index) = serde_json::from_slice::<ImageIndex>(bytes) {
                let _ = index.select(&"linux/arm64".parse().expect("a platform"));
                let _ = index.to_canonical_json();
            }
        }
        _ => {}
    }
});
