//! System calls that rustix has no safe form of. All `unsafe` of the agent is in here; what leaves is safe.

mod bpf;
mod process;
mod vsock;

pub(crate) use bpf::load_device_filter;
pub(crate) use process::{
    Clone, clone_process, exec, exit_now, install_filter, loopback_up, mount_attributes,
    own_mounts, power_off, reset_signals, wait_for,
};
pub(crate) use vsock::dial_vsock;
