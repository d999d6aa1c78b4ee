//! Who runs the command: USER, looked up in the image's `/etc/passwd` and `/etc/group` as Docker does.

use std::fs::File;
use std::io::Read;

use kiln_protocol::{Failure, Stage};
use rustix::fs::{FileType, Mode, OFlags};

use crate::failure::{OrFail, failure};

/// Largest file of users or groups that is read: some 100,000 entries.
const MAX_DATABASE: u64 = 16 << 20;

/// Highest id that Docker takes; the one above all means "leave it as it is" to the kernel.
const MAX_ID: u32 = i32::MAX as u32;

/// The user that the command runs as.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// All groups, the first of them `gid`.
    pub groups: Vec<u32>,
    pub home: String,
}

/// Finds `user` (`name`, `id`, `name:group`, …) in the files of the new root.
pub(super) fn resolve(user: &str) -> Result<Identity, Failure> {
    find(
        user,
        &read_database("/etc/passwd")?,
        &read_database("/etc/group")?,
    )
}

/// Reads a file of the image; one that is missing or is no file is as good as an empty one.
fn read_database(path: &str) -> Result<String, Failure> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(fd) = rustix::fs::open(path, flags, Mode::empty()) else {
        return Ok(String::new());
    };
    let stat = rustix::fs::fstat(&fd).or_fail(Stage::User, || format!("cannot read {path}"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    File::from(fd)
        .take(MAX_DATABASE)
        .read_to_end(&mut bytes)
        .or_fail(Stage::User, || format!("cannot read {path}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let home = fields.nth(1).unwrap_or_default();
        (!name.is_empty()).then_some(User {
            name,
            uid,
            gid,
            home,
        })
    })
}

fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    group.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let gid = fields.next()?.parse().ok()?;
        Some(Group {
            name,
            gid,
            members: fields.next().unwrap_or_default(),
        })
    })
}

fn find(wanted: &str, passwd: &str, group: &str) -> Result<Identity, Failure> {
    let (user, wanted_group) = wanted.split_once(':').unwrap_or((wanted, ""));
    let user = if user.is_empty() { "0" } else { user };
    let number: Option<u32> = user.parse().ok();
    let entry = users(passwd).find(|entry| entry.name == user || number == Some(entry.uid));
    let (uid, mut gid) = match (&entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Some(uid)) => (uid, 0),
        (None, None) => {
            let message = format!("unable to find user {user}: no matching entries in passwd file");
            return Err(failure(Stage::User, message));
        }
    };
    let mut all = Vec::new();
    if wanted_group.is_empty() {
        if let Some(entry) = &entry {
            let is_member =
                |group: &Group<'_>| group.members.split(',').any(|name| name == entry.name);
            all.extend(groups(group).filter(is_member).map(|group| group.gid));
        }
    } else {
        gid = find_group(wanted_group, group)?;
    }
    if all.iter().chain([&uid, &gid]).any(|id| *id > MAX_ID) {
        return Err(out_of_range());
    }
    all.retain(|other| *other != gid);
    all.insert(0, gid);
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|gid| seen.insert(*gid));
    let home = users(passwd)
        .find(|entry| entry.uid == uid)
        .map_or("", |entry| entry.home);
    let home = if home.is_empty() { "/" } else { home };
    Ok(Identity {
        uid,
        gid,
        groups: all,
        home: home.into(),
    })
}

fn out_of_range() -> Failure {
    failure(
        Stage::User,
        format!("user and group ids must be in the range 0 to {MAX_ID}"),
    )
}

fn find_group(wanted: &str, group: &str) -> Result<u32, Failure> {
    let number: Option<u32> = wanted.parse().ok();
    groups(group)
        .find(|entry| entry.name == wanted || number == Some(entry.gid))
        .map(|entry| entry.gid)
        .or(number)
        .ok_or_else(|| {
            failure(
                Stage::User,
                format!("unable to find group {wanted}: no matching entries in group file"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbin:x:1:1::/bin:\n# comment\nbroken\n\
        web:x:33:44:Web,,,:/var/www:/bin/sh\n55:x:77:78::/odd:\nnohome:x:90:90:\nbig:x:4294967296:1::/:\n";
    const GROUP: &str =
        "root:x:0:\nwheel:x:10:root,web\nweb:x:44:\ndocker:x:99:web\ntwice:x:10:web\n";

    fn id(wanted: &str) -> (u32, u32, Vec<u32>, String) {
        let Identity {
            uid,
            gid,
            groups,
            home,
        } = find(wanted, PASSWD, GROUP).expect(wanted);
        (uid, gid, groups, home)
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        assert_eq!(id(""), (0, 0, vec![0, 10], "/root".into()));
        assert_eq!(id("web"), (33, 44, vec![44, 10, 99], "/var/www".into()));
        assert_eq!(id("33"), (33, 44, vec![44, 10, 99], "/var/www".into()));
        assert_eq!(id("1234"), (1234, 0, vec![0], "/".into()));
        assert_eq!(id("55"), (77, 78, vec![78], "/odd".into()));
        assert_eq!(id("nohome"), (90, 90, vec![90], "/".into()));
    }

    #[test]
    fn a_group_that_is_named_is_the_only_one() {
        assert_eq!(id("web:docker"), (33, 99, vec![99], "/var/www".into()));
        assert_eq!(id("web:5"), (33, 5, vec![5], "/var/www".into()));
        assert_eq!(id("7:8"), (7, 8, vec![8], "/".into()));
    }

    #[test]
    fn unknown_names_are_told() {
        for (wanted, part) in [
            ("nobody", "unable to find user nobody"),
            ("web:no", "unable to find group no"),
        ] {
            let failure = find(wanted, PASSWD, GROUP).expect_err(wanted);
            assert_eq!(failure.stage, Stage::User);
            assert!(failure.message.contains(part), "{}", failure.message);
        }
    }

    #[test]
    fn ids_that_the_kernel_reads_as_unchanged_are_refused() {
        for wanted in [
            "4294967295",
            "2147483648",
            "0:4294967295",
            "4294967295:4294967295",
        ] {
            assert!(find(wanted, PASSWD, GROUP).is_err(), "{wanted}");
        }
    }
}
