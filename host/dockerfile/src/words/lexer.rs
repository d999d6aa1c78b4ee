//! One pass over a word: characters in, result and split words out. Recursive for `${x:-…}`, with bounded depth.

use super::{ExpandError, Expander, Expansion, MAX_DEPTH, MAX_LEN, MAX_WORK, Variables};
use std::iter::Peekable;
use std::str::Chars;

type Result<T> = std::result::Result<T, ExpandError>;

pub(super) fn run(rules: &Expander, word: &str, variables: &dyn Variables) -> Result<Expansion> {
    if word.len() > MAX_LEN {
        return Err(ExpandError::TooLong);
    }
    let mut lexer = Lexer {
        rules,
        variables,
        input: word.chars().peekable(),
        keep_escapes: rules.keep_escapes,
        depth: 0,
        found: Expansion::default(),
    };
    let (text, words) = lexer.until(None)?;
    Ok(Expansion {
        text,
        words,
        ..lexer.found
    })
}

/// The pass: input, rules, and what was found so far.
pub(super) struct Lexer<'a> {
    pub(super) rules: &'a Expander,
    pub(super) variables: &'a dyn Variables,
    pub(super) input: Peekable<Chars<'a>>,
    pub(super) found: Expansion,
    keep_escapes: bool,
    depth: usize,
}

/// The two results that grow side by side: the text as one word, and split at unquoted white space.
#[derive(Default)]
struct Output {
    text: String,
    words: Vec<String>,
    current: String,
}

impl Output {
    /// A character that may split.
    fn push(&mut self, ch: char) {
        self.text.push(ch);
        self.split_or_append(ch);
    }

    /// A character that was quoted or escaped.
    fn push_raw(&mut self, ch: char) {
        self.text.push(ch);
        self.current.push(ch);
    }

    fn push_value(&mut self, value: &str) {
        self.text.push_str(value);
        value.chars().for_each(|ch| self.split_or_append(ch));
    }

    fn push_quoted(&mut self, value: &str) {
        self.text.push_str(value);
        self.current.push_str(value);
    }

    fn split_or_append(&mut self, ch: char) {
        if !ch.is_whitespace() {
            self.current.push(ch);
        } else if !self.current.is_empty() {
            self.words.push(std::mem::take(&mut self.current));
        }
    }

    fn check(&self) -> Result<()> {
        if self.text.len() > MAX_LEN {
            Err(ExpandError::TooLong)
        } else {
            Ok(())
        }
    }

    fn finish(mut self) -> (String, Vec<String>) {
        if !self.current.is_empty() {
            self.words.push(self.current);
        }
        (self.text, self.words)
    }
}

impl<'a> Lexer<'a> {
    /// Reads up to `stop`, which is taken off the input, or to the end when there is none.
    fn until(&mut self, stop: Option<char>) -> Result<(String, Vec<String>)> {
        let mut out = Output::default();
        while let Some(&ch) = self.input.peek() {
            if Some(ch) == stop {
                self.input.next();
                return Ok(out.finish());
            }
            match ch {
                '$' => out.push_value(&self.dollar()?),
                '\'' if !self.rules.plain_quotes => out.push_quoted(&self.single_quoted()?),
                '"' if !self.rules.plain_quotes => out.push_quoted(&self.double_quoted()?),
                _ => self.plain(&mut out),
            }
            out.check()?;
        }
        match stop {
            Some(missing) => Err(ExpandError::UnterminatedSubstitution { missing }),
            None => Ok(out.finish()),
        }
    }

    fn plain(&mut self, out: &mut Output) {
        let Some(ch) = self.input.next() else { return };
        if ch != self.rules.escape {
            return out.push(ch);
        }
        if self.keep_escapes {
            out.push_raw(ch);
        }
        if let Some(escaped) = self.input.next() {
            out.push_raw(escaped);
        }
    }

    fn single_quoted(&mut self) -> Result<String> {
        let mut text = String::new();
        self.quote(&mut text);
        loop {
            match self.input.peek() {
                None => {
                    return Err(ExpandError::UnterminatedQuote {
                        quote: "single-quote",
                    });
                }
                Some('\'') => {
                    self.quote(&mut text);
                    return Ok(text);
                }
                Some(&ch) => {
                    text.push(ch);
                    self.input.next();
                }
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String> {
        let mut text = String::new();
        self.quote(&mut text);
        loop {
            match self.input.peek().copied() {
                None => {
                    return Err(ExpandError::UnterminatedQuote {
                        quote: "double-quote",
                    });
                }
                Some('"') => {
                    self.quote(&mut text);
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(ch) if ch == self.rules.escape => self.escape_in_quotes(&mut text),
                Some(ch) => {
                    text.push(ch);
                    self.input.next();
                }
            }
            if text.len() > MAX_LEN {
                return Err(ExpandError::TooLong);
            }
        }
    }

    /// Takes the quote off the input, and keeps it where quotes are kept.
    fn quote(&mut self, text: &mut String) {
        let quote = self.input.next();
        if self.rules.keep_quotes {
            text.extend(quote);
        }
    }

    /// In double quotes only `"`, `$` and the escape character can be escaped; others keep the escape.
    fn escape_in_quotes(&mut self, text: &mut String) {
        let escape = self.rules.escape;
        self.input.next();
        if self.keep_escapes {
            text.push(escape);
        }
        match self.input.peek().copied() {
            None => {}
            Some(ch) if ch == '"' || ch == '$' || ch == escape => {
                text.push(ch);
                self.input.next();
            }
            Some(_) => text.push(escape),
        }
    }

    fn dollar(&mut self) -> Result<String> {
        self.input.next();
        if self.input.peek() == Some(&'{') {
            self.input.next();
            if self.depth == MAX_DEPTH {
                return Err(ExpandError::TooDeep);
            }
            self.depth += 1;
            let value = self.braced();
            self.depth -= 1;
            return value;
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.lookup(&name) {
            None if self.rules.keep_unset => Ok(format!("${name}")),
            value => self.copy(value),
        }
    }

    /// Reads an argument of a substitution, up to `stop`.
    pub(super) fn argument(&mut self, stop: char, keep_escapes: bool) -> Result<String> {
        let outer = std::mem::replace(&mut self.keep_escapes, keep_escapes);
        let word = self.until(Some(stop));
        self.keep_escapes = outer;
        Ok(word?.0)
    }

    /// A name: digits, or one special character, or letters, digits and underscores.
    pub(super) fn name(&mut self) -> String {
        let mut name = String::new();
        let Some(&first) = self.input.peek() else {
            return name;
        };
        if first.is_numeric() {
            while let Some(digit) = self.input.next_if(|ch| ch.is_numeric()) {
                name.push(digit);
            }
        } else if matches!(first, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
            name.extend(self.input.next());
        } else {
            while let Some(ch) = self.input.next_if(|ch| ch.is_alphanumeric() || *ch == '_') {
                name.push(ch);
            }
        }
        name
    }

    /// The value of `name`, remembered as asked for.
    pub(super) fn lookup(&mut self, name: &str) -> Option<&'a str> {
        let value = self.variables.get(name);
        let names = if value.is_some() {
            &mut self.found.matched
        } else {
            &mut self.found.unmatched
        };
        names.insert(name.to_owned());
        value
    }

    /// Takes a copy of a value, which is work.
    pub(super) fn copy(&mut self, value: Option<&str>) -> Result<String> {
        let value = value.unwrap_or_default();
        self.spend(value.len())?;
        Ok(value.to_owned())
    }

    /// Counts work done, in bytes copied and matching steps.
    pub(super) fn spend(&mut self, work: usize) -> Result<()> {
        self.found.work += work;
        if self.found.work > MAX_WORK {
            Err(ExpandError::TooExpensive)
        } else {
            Ok(())
        }
    }
}
