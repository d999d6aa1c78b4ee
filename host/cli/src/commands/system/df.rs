//! `kiln system df`.

use kiln_store::{Store, Usage, UsageOf};

use crate::commands::images;
use crate::failure::{Exit, Failure};
use crate::format::template::Listing;
use crate::format::{Value, size};
use crate::invocation::Invocation;

/// Show how much room images and cache take
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// List the images too
    #[arg(short, long)]
    verbose: bool,
    /// Print with a Go template, `table TEMPLATE` or `json`
    #[arg(long, value_name = "FORMAT", conflicts_with = "verbose")]
    format: Option<String>,
}

/// Measures and prints.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let columns = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
    let usage_error = |error| Failure::of(Exit::Usage, &error);
    let listing = Listing::parse(arguments.format.as_deref().unwrap_or("table"), columns)
        .map_err(usage_error)?;
    let store = invocation.store("kiln system df")?;
    let usage = store.df()?;
    let rows = rows(&store, &usage)?;
    let mut text = listing.render(&header(), &rows).map_err(usage_error)?;
    if arguments.format.is_none() {
        let total = size::long(usage.total());
        let root = store.root().display().to_string();
        text += &format!(
            "\n{total} in {root}, {} can be freed\n",
            size::long(usage.reclaimable())
        );
    }
    if arguments.verbose {
        text += &format!("\nImages:\n\n{}", images::plain_table(&store.list()?));
    }
    invocation.console.data(&text)
}

fn header() -> Value {
    row("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE")
}

fn row(kind: &str, total: &str, active: &str, size: &str, reclaimable: &str) -> Value {
    Value::Record(vec![
        ("Active", Value::from(active)),
        ("Reclaimable", Value::from(reclaimable)),
        ("Size", Value::from(size)),
        ("TotalCount", Value::from(total)),
        ("Type", Value::from(kind)),
    ])
}

fn rows(store: &Store, usage: &Usage) -> Result<Vec<Value>, Failure> {
    // An image is active while it has a name.
    let named = store
        .list()?
        .iter()
        .filter(|image| !image.names.is_empty())
        .count();
    Ok([
        ("Images", usage.images, named),
        ("Build Cache", usage.build_cache, 0),
        ("Compressed Layers", usage.blobs, 0),
        ("Logs", usage.logs, 0),
        ("Other", usage.other, 0),
    ]
    .map(|(kind, usage, active)| {
        let count = usage.count.to_string();
        row(
            kind,
            &count,
            &active.to_string(),
            &size::long(usage.bytes),
            &reclaimable(usage),
        )
    })
    .to_vec())
}

/// `11.63MB (70%)`.
fn reclaimable(usage: UsageOf) -> String {
    let percent = u128::from(usage.reclaimable) * 100 / u128::from(usage.bytes.max(1));
    format!("{} ({percent}%)", size::long(usage.reclaimable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_can_be_freed_is_a_percentage() {
        let usage = |bytes, reclaimable| UsageOf {
            count: 1,
            bytes,
            reclaimable,
        };
        assert_eq!(reclaimable(usage(16_430_000, 11_630_000)), "11.63MB (70%)");
        assert_eq!(reclaimable(usage(0, 0)), "0B (0%)");
        assert_eq!(reclaimable(usage(u64::MAX, u64::MAX)), "18.45EB (100%)");
    }
}
