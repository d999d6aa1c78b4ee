//! `--exclude` and the patterns of `--parents`, applied to what lies below a source folder.

use kiln_context::{Ignore, MatchState};

use crate::error::CopyError;

/// Which paths below a folder are taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Takes only what one of these matches, or all.
    include: Option<Ignore>,
    exclude: Ignore,
}

/// How far the patterns matched a folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilterState {
    include: MatchState,
    exclude: MatchState,
}

/// What to do with an entry.
pub(crate) struct Verdict {
    pub take: bool,
    /// For a folder: whether anything below it might be taken.
    pub enter: bool,
    pub state: FilterState,
}

impl Filter {
    pub fn new(include: Option<&[u8]>, excludes: &[String]) -> Result<Filter, CopyError> {
        let include = include
            .map(|pattern| Ignore::from_patterns([pattern]))
            .transpose();
        let exclude = Ignore::from_patterns(excludes.iter().map(|pattern| pattern.as_bytes()));
        Ok(Filter {
            include: include.map_err(CopyError::Pattern)?,
            exclude: exclude.map_err(CopyError::Exclude)?,
        })
    }

    /// Judge the entry at `path`, relative to the source folder.
    pub fn judge(&self, path: &[u8], is_dir: bool, folder: &FilterState) -> Verdict {
        let (included, include) = match &self.include {
            Some(patterns) => patterns.check(path, &folder.include),
            None => (true, MatchState::default()),
        };
        let (excluded, exclude) = match self.exclude.is_empty() {
            true => (false, MatchState::default()),
            false => self.exclude.check(path, &folder.exclude),
        };
        let reaches = included
            || self
                .include
                .as_ref()
                .is_some_and(|patterns| patterns.may_exclude_below(path));
        let enter = is_dir && reaches && (!excluded || self.exclude.may_bring_back_below(path));
        Verdict {
            take: included && !excluded,
            enter,
            state: FilterState { include, exclude },
        }
    }

    /// Whether a source that is itself a file, of this name, is left out.
    pub fn excludes_file(&self, name: &[u8]) -> bool {
        self.exclude.excludes_file(name, &MatchState::default())
    }
}
