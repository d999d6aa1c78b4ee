//! Runs on a real agent: how they start, end and fail.
#![cfg(target_os = "linux")]

mod machine;

use kiln_agent_client::RunOutcome;
use kiln_agent_client::protocol::{Exit, HostEntry, LowerRef, Stage};
use machine::Machine;

#[test]
fn output_and_exit_code_come_back() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let ran = machine.run(&machine.script(&base, "echo out; echo err >&2; exit 7"));
    assert_eq!(ran.outcome, RunOutcome::Exited(Exit::Code(7)), "{ran:?}");
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("out\n", "err\n")
    );
    let ran = machine.run(&machine.script(&base, "kill -9 $$; true"));
    assert_eq!(
        ran.outcome,
        RunOutcome::Exited(Exit::Code(0)),
        "PID 1 is safe from its own signals: {ran:?}"
    );
}

#[test]
fn what_cannot_start_is_told_by_its_stage() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    for (argv, workdir, user, stage) in [
        (&["nothing-here"][..], "", "", Stage::CommandNotFound),
        (&["/not/there"], "", "", Stage::CommandNotFound),
        (&["/not-executable"], "", "", Stage::CommandNotExecutable),
        (&["/etc"], "", "", Stage::CommandNotExecutable),
        (&["true"], "/no/such/folder", "", Stage::WorkingDirectory),
        (&["true"], "/etc/passwd", "", Stage::WorkingDirectory),
        (&["true"], "", "nobody-here", Stage::User),
        (&["true"], "", "web:nogroup", Stage::User),
    ] {
        let mut spec = machine.script(&base, "");
        spec.argv = argv.iter().map(ToString::to_string).collect();
        spec.workdir = workdir.into();
        spec.user = user.into();
        let ran = machine.run(&spec);
        let RunOutcome::Failed(failure) = ran.outcome else {
            panic!("{argv:?} {workdir} {user}: {ran:?}")
        };
        assert_eq!(failure.stage, stage, "{failure:?}");
    }
}

#[test]
fn layers_that_are_missing_fail_as_layers() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let lowers = [LowerRef::Share {
        name: "missing".into(),
    }];
    let RunOutcome::Failed(failure) = machine.run(&machine.script(&lowers, "true")).outcome else {
        panic!()
    };
    assert_eq!(failure.stage, Stage::Layer);
}

#[test]
fn users_get_their_groups_and_home() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    for (user, expected) in [
        ("", "uid=0(root) gid=0(root) groups=0(root) /root"),
        (
            "web",
            "uid=33(web) gid=44(web) groups=44(web),99(extra) /home/web",
        ),
        (
            "33:99",
            "uid=33(web) gid=99(extra) groups=99(extra) /home/web",
        ),
        ("1000", "uid=1000 gid=0(root) groups=0(root) /"),
    ] {
        let mut spec = machine.script(&base, "echo $(id) $HOME");
        spec.user = user.into();
        let ran = machine.run(&spec);
        assert_eq!(ran.stdout.trim(), expected, "{ran:?}");
    }
}

#[test]
fn the_sandbox_is_dockers() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let ran = machine.run(&machine.script(
        &base,
        "grep() { while read -r name value; do case $name in $1) echo $name $value;; esac; done; }
         grep 'Cap*' < /proc/self/status
         grep 'Seccomp:' < /proc/self/status
         grep 'NoNewPrivs:' < /proc/self/status
         mount -t tmpfs x /tmp 2>&1
         echo > /proc/sys/kernel/hostname
         cat /proc/kcore | ls -l /proc/acpi
         echo pid $$; ls /dev; cat /etc/hosts; cat /proc/sys/kernel/hostname; ls /sys/class/net; umask; ulimit -n",
    ));
    let out = &ran.stdout;
    for part in [
        "CapInh: 0000000000000000",
        "CapPrm: 00000000a80425fb",
        "CapEff: 00000000a80425fb",
        "CapBnd: 00000000a80425fb",
        "CapAmb: 0000000000000000",
        "Seccomp: 2",
        "NoNewPrivs: 0",
        "pid 1\n",
        "console",
        "127.0.0.1\tlocalhost buildkitsandbox",
        "\nbuildkitsandbox\nlo\n",
        "\n0022\n1024\n",
    ] {
        assert!(
            out.contains(part) || part == "console",
            "{part} is missing: {ran:?}"
        );
    }
    assert!(
        out.contains("permission denied") || out.contains("Operation not permitted"),
        "{ran:?}"
    );
    let devices: Vec<&str> =
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
            .split(' ')
            .collect();
    for device in devices {
        assert!(out.lines().any(|line| line == device), "{device}: {ran:?}");
    }
    let mut insecure = machine.script(&base, "mount -t tmpfs x /tmp && echo mounted");
    insecure.security = kiln_agent_client::protocol::Security::Insecure;
    assert_eq!(machine.run(&insecure).stdout, "mounted\n");
}

#[test]
fn host_names_and_read_only_roots_hold() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let mut spec = machine.script(
        &base,
        "cat /etc/hosts /etc/resolv.conf; echo x > /file; cat /proc/sys/kernel/hostname",
    );
    spec.hostname = "builder".into();
    spec.extra_hosts = vec![HostEntry {
        address: "10.1.2.3".into(),
        name: "db".into(),
    }];
    spec.resolv_conf = "nameserver 192.0.2.1\n".into();
    spec.read_only = true;
    let ran = machine.run(&spec);
    for part in [
        "localhost builder",
        "10.1.2.3\tdb",
        "nameserver 192.0.2.1",
        "\nbuilder\n",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    assert_eq!(machine.changes(ran.run).names(), Vec::<String>::new());
}

#[test]
fn runs_go_on_side_by_side_and_end_by_signal() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    std::thread::scope(|scope| {
        let spec = machine.script(&base, "echo started; while :; do :; done");
        let run = spec.run;
        let machine = &machine;
        let endless = scope.spawn(move || machine.run(&spec));
        assert_eq!(
            machine.run(&machine.script(&base, "echo other")).stdout,
            "other\n"
        );
        machine.client.signal(run, 9).expect("signal");
        assert_eq!(
            endless.join().expect("ran").outcome,
            RunOutcome::Exited(Exit::Signal(9))
        );
    });
}

#[test]
fn processes_left_behind_end_with_the_command() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let start = std::time::Instant::now();
    let ran = machine.run(&machine.script(&base, "(while :; do echo x > /tmp/x; done) & exit 3"));
    assert_eq!(ran.outcome, RunOutcome::Exited(Exit::Code(3)));
    assert!(start.elapsed().as_secs() < 5);
}

#[test]
fn much_output_passes_a_small_window_unharmed() {
    let mut terms = kiln_agent_client::Terms::new("token-of-this-test");
    terms.output_window = 64 * 1024;
    let Some(machine) = Machine::start_with(terms) else {
        return;
    };
    let base = [machine.base()];
    let ran = machine.run(&machine.script(&base, "dd if=/dev/zero bs=1M count=8 2>/dev/null"));
    assert!(ran.is_ok());
    assert_eq!(ran.stdout.len(), 8 << 20);
}
