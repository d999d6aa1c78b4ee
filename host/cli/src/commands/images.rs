//! `kiln images`.

use kiln_oci::ImageName;
use kiln_store::ImageRecord;

use crate::failure::{Exit, Failure};
use crate::format::template::Listing;
use crate::format::{Value, size, table, time};
use crate::invocation::Invocation;

mod filter;

use filter::Filter;

/// What docker writes where there is nothing.
const NONE: &str = "<none>";

/// List images
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only images of this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
    /// Show all images; Kiln keeps no intermediate ones
    #[arg(short, long)]
    all: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Print ids in full
    #[arg(long)]
    no_trunc: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Only images for which this holds (`reference=PATTERN`, `dangling=true`, `label=NAME[=VALUE]`)
    #[arg(short, long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// Print with a Go template, `table TEMPLATE` or `json`
    #[arg(long, value_name = "FORMAT", conflicts_with = "quiet")]
    format: Option<String>,
}

/// One line of the list: an image under one of its names.
struct Row<'a> {
    image: &'a ImageRecord,
    name: Option<&'a ImageName>,
}

/// Lists.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let filters = arguments
        .filters
        .iter()
        .map(|text| Filter::parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    let default = arguments.default_format();
    let listing = Listing::parse(arguments.format.as_deref().unwrap_or("table"), default)
        .map_err(|error| Failure::of(Exit::Usage, &error))?;
    let mut images = invocation.store("kiln images")?.list()?;
    images.sort_by_key(|image| std::cmp::Reverse(created(image)));
    let mut rows = rows(&images);
    rows.retain(|row| arguments.shows(row) && filters.iter().all(|filter| filter.accepts(row)));
    if arguments.quiet {
        let ids = rows.iter().map(|row| arguments.id(row.image) + "\n");
        return invocation.console.data(&ids.collect::<String>());
    }
    let now = time::now();
    let values: Vec<Value> = rows.iter().map(|row| arguments.value(row, now)).collect();
    let text = listing
        .render(&header(), &values)
        .map_err(|error| Failure::of(Exit::Usage, &error))?;
    invocation.console.data(&text)
}

/// When the image says it was made, in seconds.
pub fn created(image: &ImageRecord) -> Option<i64> {
    image.created.as_deref().and_then(time::parse_rfc3339)
}

fn rows(images: &[ImageRecord]) -> Vec<Row<'_>> {
    images
        .iter()
        .flat_map(|image| {
            let unnamed = image.names.is_empty().then_some(Row { image, name: None });
            image
                .names
                .iter()
                .map(move |name| Row {
                    image,
                    name: Some(name),
                })
                .chain(unnamed)
        })
        .collect()
}

fn header() -> Value {
    Value::Record(
        [
            ("Containers", "CONTAINERS"),
            ("CreatedAt", "CREATED AT"),
            ("CreatedSince", "CREATED"),
            ("Digest", "DIGEST"),
            ("ID", "IMAGE ID"),
            ("Repository", "REPOSITORY"),
            ("SharedSize", "SHARED SIZE"),
            ("Size", "SIZE"),
            ("Tag", "TAG"),
            ("UniqueSize", "UNIQUE SIZE"),
        ]
        .map(|(name, title)| (name, Value::from(title)))
        .to_vec(),
    )
}

impl Arguments {
    fn default_format(&self) -> &'static str {
        if self.digests {
            "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
        } else {
            "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
        }
    }

    /// Whether the row has the name that was asked for.
    fn shows(&self, row: &Row<'_>) -> bool {
        let Some(wanted) = &self.name else {
            return true;
        };
        let (Some(name), Ok(parsed)) = (row.name, ImageName::parse(wanted)) else {
            return false;
        };
        let tag_fits = parsed.tag.is_none() || parsed.tag == name.tag;
        parsed.registry == name.registry && parsed.repository == name.repository && tag_fits
    }

    fn id(&self, image: &ImageRecord) -> String {
        if self.no_trunc {
            image.id.to_string()
        } else {
            image.id.0.short()
        }
    }

    fn value(&self, row: &Row<'_>, now: i64) -> Value {
        let created = created(row.image);
        let tag = row.name.and_then(|name| name.tag.clone());
        let digest = row.name.and_then(|name| name.digest);
        let text = |value: Option<String>| Value::from(value.unwrap_or_else(|| NONE.to_owned()));
        Value::Record(vec![
            ("Containers", Value::from("N/A")),
            (
                "CreatedAt",
                Value::from(created.map_or_else(|| "N/A".to_owned(), time::in_utc)),
            ),
            (
                "CreatedSince",
                Value::from(created.map_or_else(|| "N/A".to_owned(), |then| time::ago(then, now))),
            ),
            ("Digest", text(digest.map(|digest| digest.to_string()))),
            ("ID", Value::from(self.id(row.image))),
            (
                "Repository",
                text(row.name.map(ImageName::familiar_repository)),
            ),
            ("SharedSize", Value::from("N/A")),
            ("Size", Value::from(size::short(row.image.size))),
            ("Tag", text(tag)),
            ("UniqueSize", Value::from("N/A")),
        ])
    }
}

/// The plain list of some images, for `system df -v`.
pub fn plain_table(images: &[ImageRecord]) -> String {
    let now = time::now();
    let mut lines = vec![
        ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for row in rows(images) {
        let created =
            created(row.image).map_or_else(|| "N/A".to_owned(), |then| time::ago(then, now));
        let name = row
            .name
            .map_or_else(|| NONE.to_owned(), ImageName::familiar_repository);
        let tag = row
            .name
            .and_then(|name| name.tag.clone())
            .unwrap_or_else(|| NONE.to_owned());
        lines.push(vec![
            name,
            tag,
            row.image.id.0.short(),
            created,
            size::short(row.image.size),
        ]);
    }
    table::render(&lines)
}
