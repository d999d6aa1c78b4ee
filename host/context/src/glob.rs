//! Path patterns in the two dialects that Dockerfiles use.
//!
//! Go's `filepath.Match` selects the sources of COPY and ADD; Docker's pattern matcher, which adds `**`, reads
//! `.dockerignore`, `--exclude` and `--parents`. Both compile to the same small program, which is run over all
//! positions of the text at once: time is pattern × text, whatever the pattern.
//!
//! ```text
//! *      any run without '/'          ?      one character but '/'
//! [a-c]  one character of a class     [^a]   one character outside of it
//! \x     x itself                     **/    any number of folders (Docker only)
//! ```

/// Longest pattern taken, in bytes. No path is longer.
const MAX_PATTERN_LEN: usize = 4096;

/// A pattern cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// A class that is not closed, an empty class or a `\` at the end.
    #[error("syntax error in pattern")]
    Syntax,
    /// Longer than any path.
    #[error("pattern is longer than {MAX_PATTERN_LEN} bytes")]
    TooLong,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Op {
    /// This byte.
    Byte(u8),
    /// One character but '/'.
    One,
    /// Any run of characters but '/'.
    Run,
    /// One character of the class, '/' included.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// Nothing, or anything that ends in '/'.
    Folders,
    /// Anything.
    Anything,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    /// Bytes that every match starts with.
    prefix: Vec<u8>,
    /// What follows.
    ops: Vec<Op>,
    /// Bytes that every match ends with; `ops` has them too.
    suffix: Vec<u8>,
}

impl Glob {
    /// Compile in the dialect of Go's `filepath.Match`.
    pub fn go(pattern: &[u8]) -> Result<Glob, GlobError> {
        Glob::compile(pattern, false)
    }

    /// Compile in the dialect of Docker's pattern matcher, where `**` crosses folders.
    pub fn docker(pattern: &[u8]) -> Result<Glob, GlobError> {
        Glob::compile(pattern, true)
    }

    fn compile(pattern: &[u8], docker: bool) -> Result<Glob, GlobError> {
        if pattern.len() > MAX_PATTERN_LEN {
            return Err(GlobError::TooLong);
        }
        let ops = parse(pattern, docker)?;
        let byte = |op: &Op| {
            if let Op::Byte(byte) = op {
                Some(*byte)
            } else {
                None
            }
        };
        let prefix: Vec<u8> = ops.iter().map_while(byte).collect();
        let ops = ops[prefix.len()..].to_vec();
        let mut suffix: Vec<u8> = ops.iter().rev().map_while(byte).collect();
        suffix.reverse();
        Ok(Glob {
            prefix,
            ops,
            suffix,
        })
    }

    /// Whether the pattern can only match one text.
    pub fn is_literal(&self) -> bool {
        self.ops.is_empty()
    }

    /// Whether `text` as a whole matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        let Some(rest) = text.strip_prefix(self.prefix.as_slice()) else {
            return false;
        };
        if self.ops.is_empty() {
            return rest.is_empty();
        }
        // Most paths fail here, before anything is allocated.
        rest.ends_with(&self.suffix) && (self.ops == [Op::Anything] || run(&self.ops, rest))
    }

    /// Whether some path below the folder `dir` might match. May say yes in vain, never no.
    pub fn may_match_below(&self, dir: &[u8]) -> bool {
        let dir_slash = [dir, b"/"].concat();
        self.prefix.starts_with(&dir_slash)
            || (!self.ops.is_empty() && dir_slash.starts_with(&self.prefix))
    }
}

/// Whether `pattern` has a character that makes it more than a name, as BuildKit looks for it.
pub fn has_wildcards(pattern: &[u8]) -> bool {
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    false
}

fn parse(pattern: &[u8], docker: bool) -> Result<Vec<Op>, GlobError> {
    let mut ops = Vec::new();
    let mut at = 0;
    while let Some(&byte) = pattern.get(at) {
        match byte {
            b'*' if docker && pattern.get(at + 1) == Some(&b'*') => {
                at = parse_folders(pattern, at, &mut ops)
            }
            b'*' => {
                ops.push(Op::Run);
                at += 1;
            }
            b'?' => {
                ops.push(Op::One);
                at += 1;
            }
            b'[' => {
                let (class, next) = parse_class(pattern, at + 1)?;
                ops.push(class);
                at = next;
            }
            b'\\' => {
                ops.push(Op::Byte(*pattern.get(at + 1).ok_or(GlobError::Syntax)?));
                at += 2;
            }
            _ => {
                ops.push(Op::Byte(byte));
                at += 1;
            }
        }
    }
    Ok(ops)
}

/// `**` and `**/` at `at`: the slash is eaten, at the end of the pattern anything goes.
fn parse_folders(pattern: &[u8], at: usize, ops: &mut Vec<Op>) -> usize {
    let slash = pattern.get(at + 2) == Some(&b'/');
    let next = at + 2 + usize::from(slash);
    let rest = &pattern[next..];
    let plain = !rest.iter().any(|b| b"*?[]\\".contains(b));
    // Docker takes a leading `**` before plain text as "ends in that text", slash or not.
    let suffix = at == 0 && !slash && plain;
    ops.push(if rest.is_empty() || suffix {
        Op::Anything
    } else {
        Op::Folders
    });
    next
}

fn parse_class(pattern: &[u8], start: usize) -> Result<(Op, usize), GlobError> {
    let mut at = start;
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        if pattern.get(at) == Some(&b']') && !ranges.is_empty() {
            return Ok((Op::Class { negated, ranges }, at + 1));
        }
        let (low, next) = class_char(pattern, at)?;
        at = next;
        let mut high = low;
        if pattern.get(at) == Some(&b'-') {
            (high, at) = class_char(pattern, at + 1)?;
        }
        ranges.push((low, high));
    }
}

fn class_char(pattern: &[u8], at: usize) -> Result<(char, usize), GlobError> {
    let escaped = match pattern.get(at) {
        None | Some(b'-' | b']') => return Err(GlobError::Syntax),
        Some(b'\\') => 1,
        Some(_) => 0,
    };
    let rest = pattern
        .get(at + escaped..)
        .filter(|rest| !rest.is_empty())
        .ok_or(GlobError::Syntax)?;
    let (character, len) = decode(rest);
    Ok((character, at + escaped + len))
}

/// The first character of non-empty `bytes` and its length; a byte that is not UTF-8 counts as one character.
fn decode(bytes: &[u8]) -> (char, usize) {
    if bytes[0] < 0x80 {
        return (char::from(bytes[0]), 1);
    }
    let window = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(window) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&window[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid
        .chars()
        .next()
        .map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8()))
}

/// Run the program from every position that is reachable so far; positions stay sorted and unique.
fn run(ops: &[Op], text: &[u8]) -> bool {
    let mut reached = vec![0];
    let mut next = Vec::new();
    for op in ops {
        next.clear();
        match op {
            Op::Folders => folders(text, &reached, &mut next),
            Op::Anything => next.extend(reached[0]..=text.len()),
            Op::Run => runs(text, &reached, &mut next),
            _ => next.extend(
                reached
                    .iter()
                    .filter_map(|&at| step(op, &text[at..]).map(|len| at + len)),
            ),
        }
        if next.is_empty() {
            return false;
        }
        std::mem::swap(&mut reached, &mut next);
    }
    reached.last() == Some(&text.len())
}

fn folders(text: &[u8], reached: &[usize], next: &mut Vec<usize>) {
    let first = reached[0];
    let mut reached = reached.iter().copied().peekable();
    for at in first..=text.len() {
        let here = reached.next_if_eq(&at).is_some();
        if here || (at > first && text[at - 1] == b'/') {
            next.push(at);
        }
    }
}

fn runs(text: &[u8], reached: &[usize], next: &mut Vec<usize>) {
    let mut starts = reached.iter().copied().peekable();
    let mut inside = false;
    for at in reached[0]..=text.len() {
        inside = starts.next_if_eq(&at).is_some() || (inside && text[at - 1] != b'/');
        if inside {
            next.push(at);
        }
    }
}

/// Bytes that a one-character op eats at the start of `text`.
fn step(op: &Op, text: &[u8]) -> Option<usize> {
    let first = *text.first()?;
    match op {
        Op::Byte(byte) => (first == *byte).then_some(1),
        Op::One if first == b'/' => None,
        Op::One => Some(decode(text).1),
        Op::Class { negated, ranges } => {
            let (character, len) = decode(text);
            let inside = ranges
                .iter()
                .any(|&(low, high)| low <= character && character <= high);
            (inside != *negated).then_some(len)
        }
        Op::Run | Op::Folders | Op::Anything => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Glob, GlobError};

    #[test]
    fn go_patterns_stay_inside_one_folder() {
        for (pattern, text, wanted) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("[!x]", "!", true),
            ("[!x]", "y", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("a?b", "a/b", false),
            ("**", "a/b", false),
            ("[\\]a]", "]", true),
            ("[x\\-]", "-", true),
        ] {
            let glob = Glob::go(pattern.as_bytes()).unwrap();
            assert_eq!(glob.matches(text.as_bytes()), wanted, "{pattern} on {text}");
        }
    }

    #[test]
    fn docker_patterns_cross_folders() {
        for (pattern, text, wanted) in [
            ("**", "a/b/c", true),
            ("**/a", "a", true),
            ("**/a", "b/c/a", true),
            ("**/a", "ba", false),
            ("**a", "x/ba", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("**/*.txt", "a.txt", true),
            ("**/*.txt", "d/e/f.txt", true),
            ("**/*.txt", "d/e/f.txt/g", false),
            ("x/**/*.txt", "x/1.txt", true),
            ("a**b", "a/x/b", true),
            ("dir*/**/z?", "dirx/a/b/zz", true),
            ("*/**/c", "a/c", true),
            ("*/*", "a/b/c", false),
            ("*/a*/*b", "x/ab/cb", true),
        ] {
            let glob = Glob::docker(pattern.as_bytes()).unwrap();
            assert_eq!(glob.matches(text.as_bytes()), wanted, "{pattern} on {text}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in ["[", "[]", "[a", "a\\", "[a-", "[-x]", "[^", "[]a]", "[\\"] {
            assert_eq!(
                Glob::go(pattern.as_bytes()).unwrap_err(),
                GlobError::Syntax,
                "{pattern}"
            );
        }
        assert_eq!(Glob::go(&vec![b'a'; 5000]).unwrap_err(), GlobError::TooLong);
    }

    #[test]
    fn a_pattern_of_many_stars_is_quick() {
        let glob = Glob::docker("**/*a*a*a*a*a*a*a*a*a*a*a*a*b".as_bytes()).unwrap();
        assert!(!glob.matches(&[b'a'; 2000]));
    }

    #[test]
    fn below_asks_only_where_a_match_is_possible() {
        for (pattern, dir, wanted) in [
            ("src/**/*.go", "src", true),
            ("src/**/*.go", "src/v", true),
            ("src/**/*.go", "node_modules", false),
            ("build/keep", "build", true),
            ("build/keep", "build/keep", false),
            ("**/x", "any", true),
            ("s*", "src", true),
        ] {
            assert_eq!(
                Glob::docker(pattern.as_bytes())
                    .unwrap()
                    .may_match_below(dir.as_bytes()),
                wanted,
                "{pattern}"
            );
        }
    }
}
