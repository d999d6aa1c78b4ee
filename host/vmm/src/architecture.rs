//! Processor architectures that a guest can have.
//!
//! A closed set: each has a kernel and an agent of its own, and a machine in every back-end that can run it.

use serde::{Deserialize, Serialize};

/// Architecture of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Architecture {
    /// 64-bit x86; its kernel runs 32-bit programs too.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit ARM; its kernel runs 32-bit programs too, where the processor does.
    #[serde(rename = "aarch64")]
    Aarch64,
}

impl Architecture {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// That of this machine.
    pub const HOST: Self = if cfg!(target_arch = "aarch64") {
        Self::Aarch64
    } else {
        Self::X86_64
    };

    /// The name that Rust gives it, and the manifest of a VM image, and folders of such images.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Whether its programs are not those of this machine's processors: nothing but emulation runs them.
    #[must_use]
    pub fn is_foreign(self) -> bool {
        self != Self::HOST
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_has_the_name_that_rust_gives_it() {
        assert_eq!(Architecture::HOST.name(), std::env::consts::ARCH);
        assert!(!Architecture::HOST.is_foreign());
    }

    #[test]
    fn manifests_hold_the_name() {
        for architecture in Architecture::ALL {
            let text = serde_json::to_string(&architecture).unwrap();
            assert_eq!(text, format!("\"{}\"", architecture.name()));
        }
    }
}
