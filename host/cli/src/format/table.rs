//! Tables in docker's layout: columns at least ten wide, three spaces apart, the last one unpadded.

use crate::escape;

/// Narrowest column, its gap included.
const MIN_WIDTH: usize = 10;
/// Spaces between the widest cell of a column and the next column.
const GAP: usize = 3;

/// Lays out rows, the header being the first of them. Cells are escaped.
#[must_use]
pub fn render(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| escape::line(cell)).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let widest = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| escape::width(cell))
                .max();
            (widest.unwrap_or(0) + GAP).max(MIN_WIDTH)
        })
        .collect();
    let mut out = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < row.len() {
                let padding = widths[column].saturating_sub(escape::width(cell));
                out.extend(std::iter::repeat_n(' ', padding));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_align_and_the_last_is_not_padded() {
        let text = render(&[
            row(&["REPOSITORY", "TAG", "SIZE"]),
            row(&["app", "latest", "13.3MB"]),
            row(&["registry.example.com/日本", "v1", "7B"]),
        ]);
        assert_eq!(
            text,
            "REPOSITORY                  TAG       SIZE\n\
             app                         latest    13.3MB\n\
             registry.example.com/日本   v1        7B\n"
        );
    }

    #[test]
    fn cells_cannot_break_the_line() {
        assert_eq!(render(&[row(&["a\nb"])]), "a\\nb\n");
    }
}
