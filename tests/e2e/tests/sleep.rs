//! A host that sleeps while a RUN goes on: everything of the build stands still, and goes on later as if nothing had been.
//!
//! A machine cannot be put to sleep by a test. What sleep does to the guest's clock is done by a RUN that may set it; what it does to the
//! processes, by stopping them all.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kiln_e2e::TestEnvironment;

/// A process and all that it started, by the parents in /proc.
fn family(first: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            Some((pid, parent.parse().ok()?))
        })
        .collect();
    let mut family = vec![first];
    let mut at = 0;
    while let Some(&pid) = family.get(at) {
        family.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == pid)
                .map(|(child, _)| *child),
        );
        at += 1;
    }
    family
}

fn signal(pids: &[u32], name: &str) {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let command = format!("kill -{name} {}", pids.join(" "));
    let status = Command::new("sh").args(["-c", &command]).status();
    assert!(status.expect("sh").success(), "{command}");
}

/// Builds in plain progress, and hands over once the output has `word`.
fn build_until(
    env: &TestEnvironment,
    dockerfile: &str,
    word: &str,
) -> (Child, BufReader<std::process::ChildStderr>) {
    env.write("context/Dockerfile", dockerfile);
    let mut child = env.spawn(&["build", "--progress=plain", "--no-cache", "context"]);
    let mut output = BufReader::new(child.stderr.take().expect("piped"));
    let mut seen = String::new();
    // The instruction itself is told first, with the word in it.
    while !seen
        .lines()
        .any(|line| line.contains(word) && !line.contains("RUN"))
    {
        let read = output.read_line(&mut seen).expect("output");
        assert_ne!(read, 0, "ended before `{word}`: {seen}");
    }
    (child, output)
}

fn finish(mut child: Child, mut output: impl Read) -> String {
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("output");
    assert!(child.wait().expect("ends").success(), "{rest}");
    rest
}

/// The number behind `word` in the output.
fn number(output: &str, word: &str) -> u64 {
    let line = output.lines().find(|line| line.contains(word));
    let rest = line
        .and_then(|line| line.split_once(word))
        .map(|(_, rest)| rest.trim());
    rest.and_then(|rest| rest.parse().ok())
        .unwrap_or_else(|| panic!("no `{word}` in {output}"))
}

#[test]
fn the_clock_is_right_again_after_the_host_slept() {
    let env = TestEnvironment::new();
    env.import_busybox();
    // Behind by a night, as after sleep: only the host can mend it.
    let (child, output) = build_until(
        &env,
        "FROM busybox\n\
         RUN --security=insecure date -s @$(($(date +%s) - 30000)) >/dev/null && echo is-behind; \
             before=$(date +%s); n=0; \
             while [ $(date +%s) -lt $((before + 10000)) ] && [ $n -lt 40 ]; do sleep 1; n=$((n + 1)); done; \
             echo clock=$(date +%s); echo waited=$n\n",
        "is-behind",
    );
    let rest = finish(child, output);
    let host = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let off = number(&rest, "clock=").abs_diff(host);
    assert!(off <= 10, "off by {off} s: {rest}");
    assert!(number(&rest, "waited=") < 40, "{rest}");
}

#[test]
fn a_build_that_was_stopped_goes_on_with_its_streams_and_the_right_time() {
    let env = TestEnvironment::new();
    env.import_busybox();
    let (child, output) = build_until(
        &env,
        "FROM busybox\n\
         RUN n=0; while [ $n -lt 60 ]; do echo line-$n; sleep 0.1; n=$((n + 1)); done; \
             dd if=/dev/zero of=/big bs=1M count=8 2>/dev/null; echo clock=$(date +%s)\n\
         RUN [ $(stat -c %s /big) = 8388608 ] && echo next-run\n",
        "line-3",
    );
    let family = family(child.id());
    assert!(
        family.len() >= 3,
        "the program, its helper and the VM: {family:?}"
    );
    signal(&family, "STOP");
    let slept = Instant::now();
    std::thread::sleep(Duration::from_secs(6));
    signal(&family, "CONT");
    let rest = finish(child, output);
    assert!(slept.elapsed() >= Duration::from_secs(6));
    for line in 4..60 {
        assert!(
            rest.contains(&format!("line-{line}\n")),
            "line {line} is lost: {rest}"
        );
    }
    assert!(rest.contains("next-run"), "{rest}");
    let host = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    // The clock was told while the first RUN went on, the rest of the build came after.
    let off = number(&rest, "clock=").abs_diff(host);
    assert!(off <= 30, "off by {off} s: {rest}");
    env.assert_store_whole();
}
