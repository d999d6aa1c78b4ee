//! Settings from the kernel's command line. Words that are not Kiln's are the kernel's and are passed over.

use std::path::PathBuf;

use kiln_mux::{CMDLINE_LINK, LINK_SERIAL};
use kiln_protocol::{CMDLINE_PORT, CMDLINE_TOKEN, PORT, SHARE_TAG};

/// Folder below which everything of the agent's is mounted.
pub(crate) const DEFAULT_ROOT: &str = "/kiln";

/// The scratch disk, unless the command line names another.
const DEFAULT_SCRATCH: &str = "/dev/vda";

/// Where the host is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dial {
    /// This port of the host's context.
    Vsock(u32),
    /// A socket in the file system.
    Unix(PathBuf),
    /// A virtio-serial port that all connections share.
    Serial,
}

/// Where the layers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Share {
    /// The virtio-fs device with this tag.
    Tag(String),
    /// A virtio-serial port.
    Serial,
    /// A folder that is there already.
    Folder(PathBuf),
}

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub token: String,
    pub dial: Dial,
    pub root: PathBuf,
    pub share: Share,
    /// Block device for what RUNs write; memory if it does not exist.
    pub scratch: PathBuf,
}

impl Settings {
    /// Reads a command line.
    pub fn parse(line: &str) -> Self {
        let value = |key: &str| {
            let found = line
                .split_ascii_whitespace()
                .filter_map(|word| word.split_once('='));
            found
                .filter(|(name, _)| *name == key)
                .map(|(_, value)| value)
                .next_back()
        };
        let port = || {
            value(CMDLINE_PORT)
                .and_then(|port| port.parse().ok())
                .unwrap_or(PORT)
        };
        let serial = value(CMDLINE_LINK) == Some(LINK_SERIAL);
        Self {
            token: value(CMDLINE_TOKEN).unwrap_or_default().into(),
            dial: match value("kiln.socket") {
                Some(path) => Dial::Unix(path.into()),
                None if serial => Dial::Serial,
                None => Dial::Vsock(port()),
            },
            root: value("kiln.root").unwrap_or(DEFAULT_ROOT).into(),
            share: match value("kiln.share") {
                Some(path) => Share::Folder(path.into()),
                None if serial => Share::Serial,
                None => Share::Tag(SHARE_TAG.into()),
            },
            scratch: value("kiln.scratch").unwrap_or(DEFAULT_SCRATCH).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_kernel_are_passed_over_and_the_last_word_wins() {
        let settings =
            Settings::parse("console=ttyS0 quiet kiln.token=a kiln.port=7 kiln.token=b panic=-1\n");
        assert_eq!(settings.token, "b");
        assert_eq!(settings.dial, Dial::Vsock(7));
        assert_eq!(settings.share, Share::Tag("kiln".into()));
    }

    #[test]
    fn serial_link_carries_streams_and_share() {
        let settings = Settings::parse("kiln.link=serial kiln.token=a");
        assert_eq!(settings.dial, Dial::Serial);
        assert_eq!(settings.share, Share::Serial);
        let settings = Settings::parse("kiln.link=other");
        assert_eq!(settings.dial, Dial::Vsock(PORT));
    }

    #[test]
    fn defaults_hold_for_an_empty_line() {
        let settings = Settings::parse("kiln.port=x");
        assert_eq!(settings.dial, Dial::Vsock(PORT));
        assert_eq!(settings.root, PathBuf::from("/kiln"));
        assert_eq!(settings.scratch, PathBuf::from("/dev/vda"));
    }
}
