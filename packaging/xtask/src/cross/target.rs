//! The targets that are released, and what differs between them for who builds and packs them.

/// Operating system of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
    /// Linux; static, so that one binary serves every distribution.
    Linux,
}

/// One target of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name as rustc has it.
    pub triple: &'static str,
    /// Its operating system.
    pub system: System,
    /// Its processor, and so that of the guest: as Rust and `vm-image/out` name it.
    pub arch: &'static str,
}

/// Every target of a release, in the order in which they are built.
pub const RELEASED: &[Target] = &[
    Target {
        triple: "aarch64-apple-darwin",
        system: System::MacOs,
        arch: "aarch64",
    },
    Target {
        triple: "x86_64-apple-darwin",
        system: System::MacOs,
        arch: "x86_64",
    },
    WINDOWS,
    Target {
        triple: "x86_64-unknown-linux-musl",
        system: System::Linux,
        arch: "x86_64",
    },
    Target {
        triple: "aarch64-unknown-linux-musl",
        system: System::Linux,
        arch: "aarch64",
    },
];

/// Windows, the one that the tests under wine build for too.
pub const WINDOWS: Target = Target {
    triple: "x86_64-pc-windows-gnu",
    system: System::Windows,
    arch: "x86_64",
};

impl Target {
    /// The released target of this name.
    pub fn named(triple: &str) -> Option<Self> {
        RELEASED
            .iter()
            .copied()
            .find(|target| target.triple == triple)
    }

    /// File name of the program `name`.
    pub fn program(&self, name: &str) -> String {
        match self.system {
            System::Windows => format!("{name}.exe"),
            System::MacOs | System::Linux => name.to_owned(),
        }
    }
}
