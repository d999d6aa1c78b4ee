//! The targets that are built for.

/// One target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name as rustc has it.
    pub triple: &'static str,
}

/// Windows, for which the tests under wine build.
pub const WINDOWS: Target = Target {
    triple: "x86_64-pc-windows-gnu",
};
