//! Did you mean …: the known word closest to what was written.

/// Longest word that is compared; nobody mistypes longer ones.
const MAX_LEN: usize = 32;

/// The option closest to `word`, if one is at most two edits away and not a wholly different word.
#[must_use]
pub fn closest<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    if word.len() > MAX_LEN {
        return None;
    }
    let scored = options
        .into_iter()
        .map(|option| (edits(&word, option), option));
    let (distance, option) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= 2 && distance < word.len()).then_some(option)
}

/// A ready hint for an error.
#[must_use]
pub fn did_you_mean<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(word, options).map(|option| format!("did you mean {option}?"))
}

/// Insertions, deletions and replacements between two words, case ignored.
fn edits(word: &[char], option: &str) -> usize {
    let mut row: Vec<usize> = (0..=word.len()).collect();
    for (index, wanted) in option.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, ch) in word.iter().enumerate() {
            let replaced = diagonal + usize::from(*ch != wanted);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[word.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn near_words_are_found_and_far_ones_not() {
        let options = ["COPY", "RUN", "ENTRYPOINT"];
        assert_eq!(closest("COPPY", options), Some("COPY"));
        assert_eq!(closest("entripoint", options), Some("ENTRYPOINT"));
        assert_eq!(closest("apt-get", options), None);
        assert_eq!(closest("x", options), None);
    }
}
