//! Whether libkrun can run guests here.

use std::path::PathBuf;

use crate::backends::{Facts, Probe, Unusable};
use crate::probe::BackendStatus;

/// What it is called; it is part of this very program.
pub(super) const NAME: &str = "libkrun (msb_krun 0.1.42)";

/// Asks the host.
pub(super) fn probe() -> Probe {
    let program = std::env::current_exe().ok();
    let status = match imp::check(program.as_ref()) {
        Ok(hypervisor) => BackendStatus::Works {
            detail: format!("{NAME} over {hypervisor}"),
        },
        Err((reason, hint)) => BackendStatus::Broken {
            reason,
            hint: Some(hint),
        },
    };
    Probe {
        program,
        status,
        facts: Facts::default(),
    }
}

/// The hypervisor that works, or why none does and how to mend that.
type Answer = Result<&'static str, (String, String)>;

#[cfg(target_os = "linux")]
mod imp {
    use super::{Answer, PathBuf};
    use crate::backends::kvm;

    pub(super) fn check(_program: Option<&PathBuf>) -> Answer {
        kvm::check().map_err(super::told)?;
        Ok("KVM")
    }
}

#[cfg(target_os = "macos")]
mod imp {
    use std::process::{Command, Stdio};

    use super::{Answer, PathBuf, entitled};
    use crate::backends::hvf;

    pub(super) fn check(program: Option<&PathBuf>) -> Answer {
        hvf::check().map_err(super::told)?;
        let said = program.and_then(|program| {
            let output = Command::new("/usr/bin/codesign")
                .args(["-d", "--entitlements", "-", "--xml"])
                .arg(program)
                .stdin(Stdio::null())
                .output()
                .ok()?;
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        });
        entitled(said.as_deref(), program)?;
        Ok("Hypervisor.framework")
    }
}

fn told(unusable: Unusable) -> (String, String) {
    (unusable.reason.to_owned(), unusable.hint.to_owned())
}

/// What `codesign -d --entitlements - --xml` said of this program. Without the entitlement every start is refused;
/// every rebuild and every `strip` loses the signature.
#[cfg(any(target_os = "macos", test))]
fn entitled(said: Option<&str>, program: Option<&PathBuf>) -> Result<(), (String, String)> {
    const ENTITLEMENT: &str = "<key>com.apple.security.hypervisor</key><true/>";
    // `codesign` may not be there; the start then tells.
    let Some(said) = said else { return Ok(()) };
    let compact: String = said.split_whitespace().collect();
    if compact.contains(ENTITLEMENT) {
        return Ok(());
    }
    let program = program.map_or_else(|| "kiln".into(), |program| program.to_string_lossy());
    Err((
        "this program is not signed with the entitlement com.apple.security.hypervisor".to_owned(),
        format!(
            "install Kiln from its release, or sign it: codesign -s - -f --entitlements \
             packaging/macos/entitlements.plist {program}"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_without_the_entitlement_is_told_how_to_sign_it() {
        let signed = "<?xml version=\"1.0\"?>\n<plist><dict>\n  <key>com.apple.security.hypervisor</key>\n  \
                      <true/>\n</dict></plist>";
        assert!(entitled(Some(signed), None).is_ok());
        let denied = signed.replace("<true/>", "<false/>");
        for said in ["", &denied] {
            let (reason, hint) = entitled(Some(said), Some(&"/opt/kiln".into())).unwrap_err();
            assert!(reason.contains("com.apple.security.hypervisor"));
            assert!(hint.ends_with("/opt/kiln"), "{hint}");
        }
    }

    #[test]
    fn program_is_this_one() {
        assert_eq!(probe().program, std::env::current_exe().ok());
    }
}
