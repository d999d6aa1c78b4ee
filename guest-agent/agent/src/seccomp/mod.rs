//! Docker's default seccomp profile as a BPF program.
//!
//! Owns which system calls a command may make; installs nothing. The program decides by ranges of numbers with a
//! binary search: the kernel runs it once for every call number when it is installed, to learn which calls never
//! need it, so its depth is what the start of every RUN pays.

mod assembler;
mod tables;

pub(crate) use assembler::Instruction;
use assembler::{Assembler, Verdict};
use tables::Table;

/// Namespace flags of `clone` that need `CAP_SYS_ADMIN`.
const CLONE_NAMESPACES: u32 = 0x7e02_0000;

/// Execution domains that the profile allows: Linux, 32-bit, and the same with 16-byte uname, and "what is it now".
const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Address family of vsock: the way to the host is the agent's alone.
const AF_VSOCK: u32 = 40;

#[cfg(target_arch = "x86_64")]
const TABLES: &[&Table] = &[&tables::X86_64, &tables::I386];
#[cfg(target_arch = "aarch64")]
const TABLES: &[&Table] = &[&tables::AARCH64, &tables::ARM];

/// The filter of a sandboxed command for this machine's architectures.
pub(crate) fn sandbox_filter() -> Vec<Instruction> {
    program(TABLES)
}

fn program(tables: &[&Table]) -> Vec<Instruction> {
    let mut assembler = Assembler::default();
    for table in tables {
        assembler.architecture(table.audit_arch, |body| architecture(body, table));
    }
    // An architecture that the profile does not name.
    assembler.verdict(Verdict::Refuse);
    assembler.finish()
}

fn architecture(body: &mut Assembler, table: &Table) {
    body.load_number();
    body.when(table.clone, |body| {
        body.load_argument(0);
        body.unless_any_bit(CLONE_NAMESPACES, Verdict::Allow);
        body.verdict(Verdict::Refuse);
    });
    body.when(table.personality, |body| {
        body.load_argument(0);
        for value in PERSONALITIES {
            body.if_equal(value, Verdict::Allow);
        }
        body.verdict(Verdict::Refuse);
    });
    body.when(table.socket, |body| {
        body.load_argument(0);
        body.if_equal(AF_VSOCK, Verdict::Refuse);
        body.verdict(Verdict::Allow);
    });
    body.search(&ranges(table));
}

/// The verdict from each number on, until the next; the first is 0.
fn ranges(table: &Table) -> Vec<(u32, Verdict)> {
    let mut ranges = vec![(0, Verdict::Allow)];
    let mut special: Vec<(u32, Verdict)> = table
        .refused
        .iter()
        .map(|(number, _)| (*number, Verdict::Refuse))
        .collect();
    special.push((table.clone3, Verdict::Unknown));
    special.sort_unstable_by_key(|(number, _)| *number);
    for (number, verdict) in special {
        set_from(&mut ranges, number, verdict);
        set_from(&mut ranges, number + 1, Verdict::Allow);
    }
    set_from(&mut ranges, table.last + 1, Verdict::Unknown);
    if let Some((first, last)) = table.private {
        set_from(&mut ranges, first, Verdict::Allow);
        set_from(&mut ranges, last + 1, Verdict::Unknown);
    }
    ranges
}

fn set_from(ranges: &mut Vec<(u32, Verdict)>, number: u32, verdict: Verdict) {
    if ranges.last().is_some_and(|(start, _)| *start == number) {
        ranges.pop();
    }
    if ranges.last().is_none_or(|(_, before)| *before != verdict) {
        ranges.push((number, verdict));
    }
}

#[cfg(test)]
mod tests {
    use super::assembler::simulate;
    use super::*;

    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 0x0005_0001;
    const ENOSYS: u32 = 0x0005_0026;

    const ALL: [&Table; 4] = [
        &tables::X86_64,
        &tables::I386,
        &tables::AARCH64,
        &tables::ARM,
    ];

    fn decide(table: &Table, number: u32, argument: u64) -> u32 {
        let program = program(&ALL);
        simulate(
            &program,
            table.audit_arch,
            number,
            [argument, 0, 0, 0, 0, 0],
        )
    }

    #[test]
    fn each_number_gets_the_verdict_of_its_table() {
        for table in ALL {
            for number in 0..table.last + 50 {
                let expected = if number > table.last || number == table.clone3 {
                    ENOSYS
                } else if table.refused.iter().any(|(refused, _)| *refused == number) {
                    EPERM
                } else {
                    ALLOW
                };
                assert_eq!(
                    decide(table, number, 0),
                    expected,
                    "call {number} of {:#x}",
                    table.audit_arch
                );
            }
        }
    }

    #[test]
    fn arguments_decide_for_clone_personality_and_socket() {
        let table = &tables::X86_64;
        for (number, argument, expected) in [
            (table.clone, 17, ALLOW),
            (table.clone, 0x1000_0000, EPERM),
            (table.clone, 0x0002_0000, EPERM),
            (table.clone, 0x0100_0000 | 17, ALLOW),
            (table.personality, 0, ALLOW),
            (table.personality, 0x2_0008, ALLOW),
            (table.personality, 0xffff_ffff, ALLOW),
            (table.personality, 0x4_0000, EPERM),
            (table.socket, 1, ALLOW),
            (table.socket, 40, EPERM),
            (table.socket, 41, ALLOW),
        ] {
            assert_eq!(
                decide(table, number, argument),
                expected,
                "call {number} of {argument:#x}"
            );
        }
    }

    #[test]
    fn private_calls_of_32_bit_arm_are_allowed_and_their_neighbours_unknown() {
        for (number, expected) in [
            (0xf_0000, ENOSYS),
            (0xf_0001, ALLOW),
            (0xf_0002, ALLOW),
            (0xf_0005, ALLOW),
            (0xf_0006, ENOSYS),
        ] {
            assert_eq!(decide(&tables::ARM, number, 0), expected, "{number:#x}");
            assert_eq!(decide(&tables::AARCH64, number, 0), ENOSYS, "{number:#x}");
        }
    }

    #[test]
    fn other_architectures_and_x32_get_nothing() {
        let powerpc = 0xc000_0015;
        let program = sandbox_filter();
        assert_eq!(simulate(&program, powerpc, 0, [0; 6]), EPERM);
        assert_eq!(decide(&tables::X86_64, 0x4000_0000, 0), ENOSYS);
    }
}
