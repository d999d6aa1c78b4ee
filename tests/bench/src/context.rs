//! A large context, the same each time.

use std::path::Path;

/// Files of the context.
pub const FILES: u32 = 20_000;

/// Bytes of each file.
const SIZE: usize = 10_000;

/// Files of one folder.
const FOLDER: u32 = 200;

/// Writes the context: files that no two are alike and none compresses well, and a Dockerfile that copies them.
pub fn write(root: &Path) -> std::io::Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = vec![0; SIZE];
    for number in 0..FILES {
        for bytes in content.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.copy_from_slice(&state.to_le_bytes()[..bytes.len()]);
        }
        let folder = root.join(format!("src/{:03}", number / FOLDER));
        if number % FOLDER == 0 {
            std::fs::create_dir_all(&folder)?;
        }
        std::fs::write(folder.join(format!("{number:05}.bin")), &content)?;
    }
    std::fs::write(root.join("Dockerfile"), "FROM scratch\nCOPY src /src\n")
}

/// Changes one file in the middle.
pub fn change(root: &Path, round: usize) -> std::io::Result<()> {
    std::fs::write(
        root.join("src/050/10000.bin"),
        format!("changed in round {round}\n"),
    )
}
