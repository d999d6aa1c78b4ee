//! A `.dockerignore` and, after a zero byte, a path. The walk's short cuts must agree with the rules.
#![no_main]

use kiln_context::{Ignore, MatchState};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let cut = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let (rules, path) = bytes.split_at(cut);
    let Ok(ignore) = Ignore::parse(rules) else {
        return;
    };
    let path = kiln_context::clean(&[b"/", path].concat());
    let path = &path[1..];
    let mut state = MatchState::default();
    // As the walk does it: a folder that is excluded is entered only for what may be brought back.
    let mut pruned = false;
    for end in (0..path.len()).filter(|&at| path[at] == b'/') {
        let (excluded, next) = ignore.check(&path[..end], &state);
        pruned |= excluded && !ignore.may_bring_back_below(&path[..end]);
        state = next;
    }
    let excluded = ignore.excludes_file(path, &state);
    assert_eq!(excluded, ignore.excluded(path).is_some());
    assert!(
        excluded || !pruned,
        "a folder was left out that holds a file that is not excluded"
    );
});
