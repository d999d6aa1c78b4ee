//! Variables in the order of their first definition.

use std::collections::HashMap;

use kiln_dockerfile::words::Variables;

/// An ordered list of `NAME=value` with quick look-up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    pairs: Vec<(String, String)>,
    index: HashMap<String, usize>,
    bytes: usize,
}

impl Environment {
    /// From an image config's `Env`; an entry without `=` has an empty value.
    pub(crate) fn from_list(list: &[String]) -> Self {
        let mut environment = Self::default();
        for entry in list {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            environment.set(name, value);
        }
        environment
    }

    /// Sets `name`; one that is there keeps its place.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.index.get(name) {
            Some(&at) => {
                let old = std::mem::replace(&mut self.pairs[at].1, value.to_owned());
                self.bytes = self.bytes - old.len() + value.len();
            }
            None => {
                self.index.insert(name.to_owned(), self.pairs.len());
                self.pairs.push((name.to_owned(), value.to_owned()));
                self.bytes += name.len() + value.len() + 1;
            }
        }
    }

    pub(crate) fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs().map(|(name, _)| name)
    }

    /// As an image config has it.
    pub(crate) fn to_list(&self) -> Vec<String> {
        self.pairs()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    /// Length of [`Environment::to_list`] in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Variables for Environment {
    fn get(&self, name: &str) -> Option<&str> {
        self.index.get(name).map(|&at| self.pairs[at].1.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_variables_keep_their_place() {
        let mut environment =
            Environment::from_list(&["A=1".to_owned(), "B".to_owned(), "C=x=y".to_owned()]);
        environment.set("A", "22");
        environment.set("D", "");
        assert_eq!(environment.to_list(), ["A=22", "B=", "C=x=y", "D="]);
        assert_eq!(environment.bytes(), environment.to_list().concat().len());
    }
}
