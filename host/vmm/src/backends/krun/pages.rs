//! Memory that becomes the guest's: whole pages, aligned for every host that libkrun runs on.

/// Alignment and unit. libkrun wants the host's page size, which is 4, 16 or 64 KiB.
pub(super) const PAGE: usize = 64 << 10;

#[derive(Clone)]
#[repr(C, align(65536))]
struct Page([u8; PAGE]);

/// Zeroed pages to be filled.
pub(super) struct Pages(Vec<Page>);

impl Pages {
    /// Enough pages for `len` bytes.
    pub(super) fn zeroed(len: usize) -> Self {
        Self(vec![Page([0; PAGE]); len.div_ceil(PAGE)])
    }

    /// Bytes in them.
    pub(super) fn len(&self) -> usize {
        self.0.len() * PAGE
    }

    /// Where they start. They stay there, also when this value moves, until it is dropped.
    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }

    /// The pieces that `len` bytes from `at` on consist of, one for each page. `None` when they are not all there.
    pub(super) fn pieces(
        &mut self,
        at: usize,
        len: usize,
    ) -> Option<impl Iterator<Item = &mut [u8]>> {
        let end = at.checked_add(len).filter(|end| *end <= self.len())?;
        let first = at / PAGE;
        let pages = self.0.iter_mut().enumerate().skip(first);
        Some(pages.map_while(move |(number, page)| {
            let start = number * PAGE;
            if start >= end {
                return None;
            }
            let from = at.saturating_sub(start);
            let to = (end - start).min(PAGE);
            Some(&mut page.0[from..to])
        }))
    }
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} pages", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_exactly_what_was_asked_for() {
        let mut pages = Pages::zeroed(3 * PAGE - 5);
        assert_eq!(pages.len(), 3 * PAGE);
        assert_eq!(pages.as_mut_ptr() as usize % PAGE, 0);
        for (at, len) in [(0, 1), (PAGE - 1, 2), (10, 2 * PAGE), (0, 3 * PAGE), (7, 0)] {
            let lens: Vec<usize> = pages
                .pieces(at, len)
                .unwrap()
                .map(|piece| piece.len())
                .collect();
            assert_eq!(lens.iter().sum::<usize>(), len, "{at} {len}");
        }
        let marks: Vec<&mut [u8]> = pages.pieces(PAGE - 1, 2).unwrap().collect();
        assert_eq!(marks.len(), 2);
        assert!(pages.pieces(3 * PAGE, 1).is_none());
        assert!(pages.pieces(usize::MAX, 2).is_none());
    }
}
