//! Names checked against Docker's reference grammar.

use super::*;

fn hex(digit: char) -> String {
    std::iter::repeat_n(digit, 64).collect()
}

#[test]
fn names_parse_to_canonical_and_familiar_spellings() {
    let digest = format!("sha256:{}", hex('a'));
    let cases = [
        ("alpine", "docker.io/library/alpine", "alpine"),
        (
            "alpine:3.20",
            "docker.io/library/alpine:3.20",
            "alpine:3.20",
        ),
        ("library/alpine", "docker.io/library/alpine", "alpine"),
        ("docker.io/alpine", "docker.io/library/alpine", "alpine"),
        (
            "index.docker.io/library/alpine",
            "docker.io/library/alpine",
            "alpine",
        ),
        ("user/app:v1", "docker.io/user/app:v1", "user/app:v1"),
        ("docker.io/a/b/c", "docker.io/a/b/c", "a/b/c"),
        ("ghcr.io/org/app", "ghcr.io/org/app", "ghcr.io/org/app"),
        ("localhost/app", "localhost/app", "localhost/app"),
        (
            "localhost:5000/app:t",
            "localhost:5000/app:t",
            "localhost:5000/app:t",
        ),
        ("Registry/app", "Registry/app", "Registry/app"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        (
            "a.b-c.d/x__y/z--w_v.u",
            "a.b-c.d/x__y/z--w_v.u",
            "a.b-c.d/x__y/z--w_v.u",
        ),
        (
            "localhost:5000",
            "docker.io/library/localhost:5000",
            "localhost:5000",
        ),
        ("app:_T.a-g", "docker.io/library/app:_T.a-g", "app:_T.a-g"),
    ];
    for (text, canonical, familiar) in cases {
        let name = ImageName::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(name.to_string(), canonical, "{text}");
        assert_eq!(name.familiar(), familiar, "{text}");
        assert_eq!(ImageName::parse(familiar).unwrap(), name, "{text}");
        assert_eq!(ImageName::parse(canonical).unwrap(), name, "{text}");
    }
    let name = ImageName::parse(&format!("alpine:3@{digest}")).unwrap();
    assert_eq!(name.tag.as_deref(), Some("3"));
    assert_eq!(name.digest.unwrap().to_string(), digest);
}

#[test]
fn malformed_names_are_refused() {
    let id = hex('0');
    let long = "a/".repeat(200) + "a";
    let long_tag = format!("a:{}", "t".repeat(129));
    for text in [
        "",
        ":",
        "/",
        "a/",
        "/a",
        "a//b",
        "a:",
        ":a",
        "a:b:c",
        "a@",
        "a@sha256:12",
        "a@md5:12",
        "-a",
        "a-",
        "a_",
        "a___b",
        "a..b",
        "a._b",
        "a b",
        "a\n",
        "A",
        "a/B",
        "a:-t",
        "a:t/u",
        "a:\u{e9}",
        "\u{e9}",
        "a.b:x/c",
        "a..b/c",
        "-a.b/c",
        "[]/a",
        "[::1/a",
        "https://a.b/c",
        &id,
        &long,
        &long_tag,
    ] {
        assert!(ImageName::parse(text).is_err(), "{text:?} was accepted");
    }
    assert!(matches!(
        ImageName::parse("User/App"),
        Err(NameError::UpperCase { .. })
    ));
    assert!(matches!(
        ImageName::parse("app:bad tag"),
        Err(NameError::Tag { .. })
    ));
}

#[test]
fn default_tag_is_added_only_where_nothing_pins_the_image() {
    let parse = |text: &str| {
        ImageName::parse(text)
            .unwrap()
            .with_default_tag()
            .familiar()
    };
    assert_eq!(parse("a"), "a:latest");
    assert_eq!(parse("a:b"), "a:b");
    let pinned = format!("a@sha256:{}", hex('b'));
    assert_eq!(parse(&pinned), pinned);
}

#[test]
fn mutated_names_never_panic_and_accepted_ones_round_trip() {
    let seeds = [
        "docker.io/library/alpine:3.20",
        "localhost:5000/a/b@sha256:00",
        "[::1]:80/x__y:z",
        "a-b.c/d_e",
    ];
    let alphabet = b"aZ09._-:/@[]\xc3 ";
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for round in 0..20_000usize {
        let mut bytes = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..1 + round % 4 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] = alphabet[(state >> 20) as usize % alphabet.len()];
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(name) = ImageName::parse(&text) {
            assert_eq!(
                ImageName::parse(&name.familiar()).as_ref(),
                Ok(&name),
                "{text}"
            );
            assert_eq!(
                ImageName::parse(&name.to_string()).as_ref(),
                Ok(&name),
                "{text}"
            );
        }
    }
}
