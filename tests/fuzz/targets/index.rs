//! The bytes of an index, as a damaged disk may hold them: parse, walk, read.
#![no_main]

use std::io::Read;

use kiln_erofs::Index;
use libfuzzer_sys::fuzz_target;

/// Most inodes visited: names of one inode may be many.
const VISITS: usize = 2000;

fuzz_target!(|bytes: &[u8]| {
    let Ok(index) = Index::parse(bytes.to_vec()) else {
        return;
    };
    let _ = (
        index.check(),
        index.hides_lower_layers(),
        index.inode_count(),
    );
    let mut folders = vec![index.root()];
    let mut visits = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = index.read_dir(folder) else {
            continue;
        };
        for entry in entries {
            visits += 1;
            if visits > VISITS {
                return;
            }
            let _ = index.lookup(folder, entry.name);
            let Ok(inode) = index.inode(entry.nid) else {
                continue;
            };
            if inode.is_dir() {
                assert!(entry.nid > folder, "a walk must end");
                folders.push(entry.nid);
            }
            if let Ok(file) = index.open_file(entry.nid, std::io::Cursor::new(bytes)) {
                let _ = std::io::copy(&mut file.take(64 << 10), &mut std::io::sink());
            }
        }
    }
});
