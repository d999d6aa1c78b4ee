//! A small assembler for the classic BPF that seccomp runs: forward jumps only, by construction.

/// One instruction as the kernel reads it (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    pub code: u16,
    pub jump_true: u8,
    pub jump_false: u8,
    pub value: u32,
}

/// What becomes of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is made.
    Allow,
    /// `EPERM`.
    Refuse,
    /// `ENOSYS`.
    Unknown,
}

impl Verdict {
    /// `SECCOMP_RET_*`.
    fn code(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Refuse => 0x0005_0000 | 1,
            Self::Unknown => 0x0005_0000 | 38,
        }
    }
}

// Operation codes of <linux/bpf_common.h>, as far as they are used.
const LOAD_ABSOLUTE: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

// Offsets in `struct seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

/// Collects a program.
#[derive(Default)]
pub(super) struct Assembler {
    program: Vec<Instruction>,
}

impl Assembler {
    fn push(&mut self, code: u16, jump_true: u8, jump_false: u8, value: u32) {
        self.program.push(Instruction {
            code,
            jump_true,
            jump_false,
            value,
        });
    }

    /// Ends with this verdict.
    pub fn verdict(&mut self, verdict: Verdict) {
        self.push(RETURN, 0, 0, verdict.code());
    }

    /// Runs `body` for calls of this architecture; `body` must end in verdicts.
    pub fn architecture(&mut self, audit_arch: u32, body: impl FnOnce(&mut Self)) {
        self.push(LOAD_ABSOLUTE, 0, 0, OFFSET_ARCHITECTURE);
        self.if_equal_do(audit_arch, body);
    }

    /// Loads the number of the call.
    pub fn load_number(&mut self) {
        self.push(LOAD_ABSOLUTE, 0, 0, OFFSET_NUMBER);
    }

    /// Loads the low half of an argument: all that is decided by arguments is 32 bits wide.
    pub fn load_argument(&mut self, index: u32) {
        self.push(LOAD_ABSOLUTE, 0, 0, OFFSET_ARGUMENTS + 8 * index);
    }

    /// Runs `body` if the loaded value is `value`; `body` must end in verdicts.
    pub fn when(&mut self, value: u32, body: impl FnOnce(&mut Self)) {
        self.if_equal_do(value, body);
    }

    fn if_equal_do(&mut self, value: u32, body: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        body(&mut inner);
        // A long jump, as a conditional one reaches 255 instructions only.
        let length = u32::try_from(inner.program.len()).expect("programs are short");
        self.push(JUMP_EQUAL, 1, 0, value);
        self.push(JUMP, 0, 0, length);
        self.program.append(&mut inner.program);
    }

    /// Ends with `verdict` if the loaded value is `value`.
    pub fn if_equal(&mut self, value: u32, verdict: Verdict) {
        self.push(JUMP_EQUAL, 0, 1, value);
        self.verdict(verdict);
    }

    /// Ends with `verdict` if the loaded value has none of `bits`.
    pub fn unless_any_bit(&mut self, bits: u32, verdict: Verdict) {
        self.push(JUMP_ANY_BIT, 1, 0, bits);
        self.verdict(verdict);
    }

    /// Ends with the verdict of the range that the loaded value lies in. Ranges are sorted, and the first starts at 0.
    pub fn search(&mut self, ranges: &[(u32, Verdict)]) {
        if let [(_, verdict)] = ranges {
            self.verdict(*verdict);
            return;
        }
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let mut lower = Self::default();
        lower.search(low);
        let skip = u32::try_from(lower.program.len()).expect("programs are short");
        if let Ok(skip) = u8::try_from(skip) {
            self.push(JUMP_AT_LEAST, skip, 0, high[0].0);
        } else {
            self.push(JUMP_AT_LEAST, 0, 1, high[0].0);
            self.push(JUMP, 0, 0, skip);
        }
        self.program.append(&mut lower.program);
        self.search(high);
    }

    /// The program.
    pub fn finish(self) -> Vec<Instruction> {
        self.program
    }
}

/// Runs a program as the kernel would.
#[cfg(test)]
pub(super) fn simulate(
    program: &[Instruction],
    architecture: u32,
    number: u32,
    arguments: [u64; 6],
) -> u32 {
    let (mut at, mut loaded) = (0, 0);
    loop {
        let Instruction {
            code,
            jump_true,
            jump_false,
            value,
        } = program[at];
        let branch = |taken: bool| at + 1 + usize::from(if taken { jump_true } else { jump_false });
        at = match code {
            LOAD_ABSOLUTE => {
                loaded = match value {
                    OFFSET_NUMBER => number,
                    OFFSET_ARCHITECTURE => architecture,
                    offset => arguments[(offset - OFFSET_ARGUMENTS) as usize / 8] as u32,
                };
                at + 1
            }
            JUMP => at + 1 + value as usize,
            JUMP_EQUAL => branch(loaded == value),
            JUMP_AT_LEAST => branch(loaded >= value),
            JUMP_ANY_BIT => branch(loaded & value != 0),
            RETURN => return value,
            code => panic!("unknown operation {code:#x}"),
        };
    }
}
