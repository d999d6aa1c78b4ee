//! `--chmod`: octal up to 7777, or clauses as `chmod` takes them. Only checked here; applied where files are copied.

/// True when `text` is one of the two forms.
pub(super) fn is_valid(text: &str) -> bool {
    match u32::from_str_radix(text, 8) {
        Ok(mode) => mode <= 0o7777 && !text.starts_with('+'),
        Err(_) => text.split(',').all(is_clause),
    }
}

/// `[ugoa]*` and then one or more of `[-+=]` with `[rwxXst]*` or one of `ugo`.
fn is_clause(text: &str) -> bool {
    let actions = text.trim_start_matches(['u', 'g', 'o', 'a']);
    let Some(first) = actions.strip_prefix(['-', '+', '=']) else {
        return false;
    };
    first.split(['-', '+', '=']).all(|permissions| {
        matches!(permissions, "u" | "g" | "o")
            || permissions.chars().all(|ch| "rwxXst".contains(ch))
    })
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn octal_and_symbolic_modes_are_told_from_others() {
        for mode in [
            "644",
            "0755",
            "7777",
            "u=rwX,go=rX",
            "+x",
            "a-w",
            "u+s",
            "g=u",
            "u=rw-x+s",
            "u=",
        ] {
            assert!(is_valid(mode), "{mode}");
        }
        for mode in [
            "", "wat", "888", "10000", "u", "u=q", "644,u=r", "u=rw,", "g=uo",
        ] {
            assert!(!is_valid(mode), "{mode}");
        }
    }
}
