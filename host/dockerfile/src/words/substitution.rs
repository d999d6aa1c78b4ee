//! `${…}`: the substitutions, after the opening brace.

use super::ExpandError;
use super::lexer::Lexer;
use super::pattern::Pattern;

type Result<T> = std::result::Result<T, ExpandError>;

impl Lexer<'_> {
    /// After `${`.
    pub(super) fn braced(&mut self) -> Result<String> {
        match self.input.peek() {
            None => return Err(ExpandError::UnterminatedSubstitution { missing: '}' }),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.input.next() {
            Some('}') => match self.lookup(&name) {
                None if self.rules.keep_unset => Ok(format!("${{{name}}}")),
                value => self.copy(value),
            },
            Some('/') => self.replace(&name),
            Some(':') => {
                let modifier = self.input.next();
                self.modified(&name, modifier, true)
            }
            Some(ch @ ('+' | '-' | '?' | '#' | '%')) => self.modified(&name, Some(ch), false),
            Some(ch) => Err(ExpandError::UnsupportedModifier {
                modifier: ch.to_string(),
            }),
            None => Err(ExpandError::UnterminatedSubstitution { missing: '}' }),
        }
    }

    /// `${name:-word}` and its kin, after the modifier; `colon` makes empty count as unset.
    fn modified(&mut self, name: &str, modifier: Option<char>, colon: bool) -> Result<String> {
        let Some(modifier) = modifier else {
            return Err(ExpandError::UnterminatedSubstitution { missing: '}' });
        };
        let word = self.argument('}', matches!(modifier, '#' | '%'))?;
        let value = match modifier {
            '-' | '+' | '?' => self.variables.get(name),
            _ => self.lookup(name),
        };
        if value.is_some() {
            self.found.matched.insert(name.to_owned());
        }
        let written = || format!("{}{modifier}", if colon { ":" } else { "" });
        if self.rules.keep_unset && value.is_none() {
            return Ok(format!("${{{name}{}{word}}}", written()));
        }
        let given = value.is_some_and(|value| !colon || !value.is_empty());
        match modifier {
            '-' if given => self.copy(value),
            '-' => Ok(word),
            '+' if given => Ok(word),
            '+' => Ok(String::new()),
            '?' if given => self.copy(value),
            '?' => Err(required(name, word, value.is_none())),
            '#' | '%' => self.trim(value.unwrap_or_default(), modifier, &word),
            _ => Err(ExpandError::UnsupportedModifier {
                modifier: written(),
            }),
        }
    }

    /// `${name/pattern/replacement}`, after the first slash.
    fn replace(&mut self, name: &str) -> Result<String> {
        let every = self.input.next_if_eq(&'/').is_some();
        let pattern = self.argument('/', true)?;
        let replacement = self.argument('}', true)?;
        match self.lookup(name) {
            None if self.rules.keep_unset => Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            value => {
                let (text, work) = Pattern::parse(&pattern)?.replace(
                    value.unwrap_or_default(),
                    &replacement,
                    every,
                )?;
                self.spend(work)?;
                Ok(text)
            }
        }
    }

    fn trim(&mut self, value: &str, side: char, word: &str) -> Result<String> {
        let (longest, word) = match word.strip_prefix(side) {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        let pattern = Pattern::parse(word)?;
        let (text, work) = match side {
            '#' => pattern.trim_start(value, longest)?,
            _ => pattern.trim_end(value, longest)?,
        };
        self.spend(work)?;
        Ok(text)
    }
}

fn required(name: &str, word: String, unset: bool) -> ExpandError {
    let reason = if unset {
        "is not allowed to be unset"
    } else {
        "is not allowed to be empty"
    };
    let message = if word.is_empty() {
        reason.to_owned()
    } else {
        word
    };
    ExpandError::Required {
        name: name.to_owned(),
        message,
    }
}
