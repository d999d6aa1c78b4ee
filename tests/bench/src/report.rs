//! The table, for people and for programs.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::samples::Row;

/// Version of the JSON report.
const VERSION: u32 = 1;

/// The table as Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = "| What | Builder | Median | Samples |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let median = row.median().map_or("not measured".to_owned(), human);
        let samples = row.absent.clone().unwrap_or_else(|| {
            row.samples
                .iter()
                .map(|sample| human(*sample))
                .collect::<Vec<_>>()
                .join(", ")
        });
        writeln!(
            text,
            "| {} | {} | {median} | {samples} |",
            row.name, row.builder
        )
        .expect("strings grow");
    }
    text
}

/// Writes both forms.
pub fn write(folder: &Path, rows: &[Row]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("report.md"), markdown(rows))?;
    let rows: Vec<Value> = rows.iter().map(json_row).collect();
    std::fs::write(
        folder.join("report.json"),
        format!("{:#}\n", json!({ "version": VERSION, "rows": rows })),
    )
}

fn json_row(row: &Row) -> Value {
    json!({
        "name": row.name,
        "builder": row.builder,
        "median_seconds": row.median().map(|median| median.as_secs_f64()),
        "samples_seconds": row.samples.iter().map(Duration::as_secs_f64).collect::<Vec<_>>(),
        "absent": row.absent,
    })
}

fn human(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.0} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_tells_medians_and_what_is_absent() {
        let rows = [
            Row::new(
                "boot",
                "kiln",
                vec![Duration::from_millis(700), Duration::from_millis(1500)],
            ),
            Row::absent("boot", "buildah", "first\nnot installed"),
        ];
        let text = markdown(&rows);
        assert!(
            text.contains("| boot | kiln | 1.50 s | 700 ms, 1.50 s |"),
            "{text}"
        );
        assert!(
            text.contains("| boot | buildah | not measured | not installed |"),
            "{text}"
        );
    }
}
