//! What differs by operating system and is not a virtual machine.
//!
//! Everything here is a portable function over an OS-specific body, so that no other crate needs
//! `cfg(target_os)`. It must not know what Kiln is or does.

pub mod child;
pub mod console;
pub mod dirs;
pub mod disk_space;
pub mod durable;
pub mod file_lock;
pub mod file_system;
pub mod holes;
#[cfg(windows)]
pub mod hypervisor_platform;
#[cfg(windows)]
mod job;
pub mod local_socket;
pub mod paths;
pub mod private_dir;
pub mod process;
pub mod proxy;
pub mod signature;
pub mod sparse;
pub mod sparse_pack;
pub mod virtualization;
#[cfg(windows)]
mod windows;

pub use child::BoundChild;
pub use dirs::{config_dir, data_dir};
pub use file_lock::FileLock;
