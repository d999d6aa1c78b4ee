//! `kiln history`.

use kiln_oci::History;
use kiln_store::{ImageRecord, Store};

use crate::failure::{Exit, Failure};
use crate::format::template::Listing;
use crate::format::{Value, size, time};
use crate::invocation::Invocation;

/// Characters of an instruction that are shown unless all are asked for.
const SHOWN_INSTRUCTION: usize = 45;

/// Show how an image was made
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Print sizes and dates for people
    #[arg(
        short = 'H',
        long,
        value_name = "BOOL",
        default_value_t = true,
        num_args = 0..=1,
        default_missing_value = "true",
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    human: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Cut nothing off
    #[arg(long)]
    no_trunc: bool,
    /// Print with a Go template, `table TEMPLATE` or `json`
    #[arg(long, value_name = "FORMAT", conflicts_with = "quiet")]
    format: Option<String>,
}

/// Shows the newest step first.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let columns = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
    let listing = Listing::parse(arguments.format.as_deref().unwrap_or("table"), columns)
        .map_err(|error| Failure::of(Exit::Usage, &error))?;
    let store = invocation.store("kiln history")?;
    let image = store.resolve(&arguments.image)?;
    let steps = steps(&store, &image)?;
    if arguments.quiet {
        let ids = (0..steps.len()).map(|index| arguments.id(&image, index) + "\n");
        return invocation.console.data(&ids.collect::<String>());
    }
    let now = time::now();
    let rows: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| arguments.row(&image, index, step, now))
        .collect();
    let text = listing
        .render(&header(), &rows)
        .map_err(|error| Failure::of(Exit::Usage, &error))?;
    invocation.console.data(&text)
}

/// The steps, newest first, each with the size of its layer. Layers that no step accounts for come last.
fn steps(store: &Store, image: &ImageRecord) -> Result<Vec<(History, u64)>, Failure> {
    let mut layers = image.config.rootfs.diff_ids.iter();
    let mut next_size = || -> Result<Option<u64>, Failure> {
        layers
            .next()
            .map(|layer| Ok(store.layer(*layer)?.tar_size))
            .transpose()
    };
    let mut steps = Vec::new();
    for step in &image.config.history {
        let size = if step.empty_layer {
            0
        } else {
            next_size()?.unwrap_or(0)
        };
        steps.push((step.clone(), size));
    }
    while let Some(size) = next_size()? {
        steps.push((History::default(), size));
    }
    steps.reverse();
    Ok(steps)
}

fn header() -> Value {
    Value::Record(
        [
            ("Comment", "COMMENT"),
            ("CreatedAt", "CREATED AT"),
            ("CreatedBy", "CREATED BY"),
            ("CreatedSince", "CREATED"),
            ("ID", "IMAGE"),
            ("Size", "SIZE"),
        ]
        .map(|(name, title)| (name, Value::from(title)))
        .to_vec(),
    )
}

impl Arguments {
    fn id(&self, image: &ImageRecord, index: usize) -> String {
        match (index, self.no_trunc) {
            (0, true) => image.id.to_string(),
            (0, false) => image.id.0.short(),
            _ => "<missing>".to_owned(),
        }
    }

    fn row(
        &self,
        image: &ImageRecord,
        index: usize,
        (step, bytes): &(History, u64),
        now: i64,
    ) -> Value {
        let created = step.created.as_deref().and_then(time::parse_rfc3339);
        let at = created.map_or_else(|| "N/A".to_owned(), time::to_rfc3339);
        let since = match created {
            Some(then) if self.human => time::ago(then, now),
            _ => at.clone(),
        };
        let size = if self.human {
            size::short(*bytes)
        } else {
            bytes.to_string()
        };
        Value::Record(vec![
            (
                "Comment",
                Value::from(step.comment.clone().unwrap_or_default()),
            ),
            ("CreatedAt", Value::from(at)),
            (
                "CreatedBy",
                Value::from(self.instruction(step.created_by.as_deref().unwrap_or_default())),
            ),
            ("CreatedSince", Value::from(since)),
            ("ID", Value::from(self.id(image, index))),
            ("Size", Value::from(size)),
        ])
    }

    fn instruction(&self, text: &str) -> String {
        let text = text.replace(['\t', '\n', '\r'], " ");
        if self.no_trunc || text.chars().count() <= SHOWN_INSTRUCTION {
            return text;
        }
        text.chars()
            .take(SHOWN_INSTRUCTION - 1)
            .chain(['…'])
            .collect()
    }
}
