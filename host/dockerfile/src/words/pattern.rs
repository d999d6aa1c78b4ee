//! Shell patterns of substitutions: `*`, `?`, and a backslash before those two, itself, `}` or `/`.
//!
//! Matched by walking the set of possible pattern positions, so the work is value × pattern and has a bound.
//! A `*` or `?` does not match a newline, as in BuildKit.

use super::{ExpandError, MAX_LEN, MAX_WORK};

/// A result and the steps that it took.
type Worked = Result<(String, usize), ExpandError>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    One(char),
    AnyOne,
    AnyRun,
}

pub(super) struct Pattern {
    items: Vec<Item>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, ExpandError> {
        let mut items = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(ch) = chars.next() {
            items.push(match ch {
                '*' => Item::AnyRun,
                '?' => Item::AnyOne,
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Item::One(escaped),
                    _ => {
                        return Err(ExpandError::InvalidPattern {
                            pattern: text.to_owned(),
                        });
                    }
                },
                ch => Item::One(ch),
            });
        }
        Ok(Self { items })
    }

    pub(super) fn trim_start(&self, value: &str, longest: bool) -> Worked {
        let chars: Vec<char> = value.chars().collect();
        let mut matcher = Matcher::new(&self.items);
        let matched = matcher.prefix(&chars, longest)?;
        Ok((
            chars[matched.unwrap_or(0)..].iter().collect(),
            matcher.steps + value.len(),
        ))
    }

    pub(super) fn trim_end(&self, value: &str, longest: bool) -> Worked {
        let chars: Vec<char> = value.chars().rev().collect();
        let items: Vec<Item> = self.items.iter().rev().copied().collect();
        let mut matcher = Matcher::new(&items);
        let matched = matcher.prefix(&chars, longest)?;
        Ok((
            chars[matched.unwrap_or(0)..].iter().rev().collect(),
            matcher.steps + value.len(),
        ))
    }

    /// Replaces the first or every leftmost longest match.
    pub(super) fn replace(&self, value: &str, with: &str, every: bool) -> Worked {
        let chars: Vec<char> = value.chars().collect();
        let mut matcher = Matcher::new(&self.items);
        let mut out = String::new();
        let mut at = 0;
        let mut may_be_empty = true;
        while at <= chars.len() {
            match matcher.prefix(&chars[at..], true)? {
                Some(len) if len > 0 || may_be_empty => {
                    out.push_str(with);
                    if !every {
                        out.extend(&chars[at + len..]);
                        return bounded(out, matcher.steps + value.len());
                    }
                    at += len;
                    may_be_empty = false;
                    if len > 0 {
                        continue;
                    }
                }
                _ => {}
            }
            out.extend(chars.get(at));
            at += 1;
            may_be_empty = true;
            if out.len() > MAX_LEN {
                return Err(ExpandError::TooLong);
            }
        }
        bounded(out, matcher.steps + value.len())
    }
}

fn bounded(text: String, work: usize) -> Worked {
    if text.len() > MAX_LEN {
        Err(ExpandError::TooLong)
    } else {
        Ok((text, work))
    }
}

/// Pattern positions reachable so far; `positions[n]` means the first `n` items are matched.
struct Matcher<'a> {
    items: &'a [Item],
    positions: Vec<bool>,
    next: Vec<bool>,
    steps: usize,
}

impl<'a> Matcher<'a> {
    fn new(items: &'a [Item]) -> Self {
        let width = items.len() + 1;
        Self {
            items,
            positions: vec![false; width],
            next: vec![false; width],
            steps: 0,
        }
    }

    /// Length of the shortest or longest prefix of `chars` that the whole pattern matches.
    fn prefix(&mut self, chars: &[char], longest: bool) -> Result<Option<usize>, ExpandError> {
        self.positions.fill(false);
        self.positions[0] = true;
        let mut best = None;
        for at in 0..=chars.len() {
            self.skip_runs();
            if self.positions[self.items.len()] {
                best = Some(at);
                if !longest {
                    return Ok(best);
                }
            }
            match chars.get(at) {
                Some(&ch) if self.advance(ch)? => {}
                _ => break,
            }
        }
        Ok(best)
    }

    fn skip_runs(&mut self) {
        for (index, item) in self.items.iter().enumerate() {
            if *item == Item::AnyRun && self.positions[index] {
                self.positions[index + 1] = true;
            }
        }
    }

    /// Takes one character; false when nothing can match any more.
    fn advance(&mut self, ch: char) -> Result<bool, ExpandError> {
        self.steps += self.items.len() + 1;
        if self.steps > MAX_WORK {
            return Err(ExpandError::TooExpensive);
        }
        self.next.fill(false);
        let mut alive = false;
        for (index, item) in self
            .items
            .iter()
            .enumerate()
            .filter(|(index, _)| self.positions[*index])
        {
            let to = match item {
                Item::One(wanted) if *wanted == ch => index + 1,
                Item::AnyOne if ch != '\n' => index + 1,
                Item::AnyRun if ch != '\n' => index,
                _ => continue,
            };
            self.next[to] = true;
            alive = true;
        }
        std::mem::swap(&mut self.positions, &mut self.next);
        Ok(alive)
    }
}
