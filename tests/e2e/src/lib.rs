//! End-to-end tests of `kiln`: the real binary, a real VM, real peers.
//!
//! [`TestEnvironment`] gives each test its own data directory and a cleared environment. The binary and the VM
//! image come from `cargo xtask test`, which builds them and says where they are.

mod bases;
mod environment;
mod foreign;
mod peers;
mod tree;
mod windows;

pub use bases::{busybox_rootfs, debian_rootfs};
pub use environment::{Finished, TestEnvironment, over_serial, project_dir, skip_unless};
pub use foreign::{foreign_busybox_rootfs, skip_without_arm_guest};
pub use peers::{buildah_build, buildah_tree, umoci_tree};
pub use tree::{Difference, Node, compare_trees, read_tree};
pub use windows::{WindowsEnvironment, windows_path};
