//! Times the walk of a folder and the digests of its files: `cargo run --example scan_time -- FOLDER [INDEX]`.

use std::path::Path;
use std::time::Instant;

use kiln_context::{Context, Ignore, NodeId, NodeKind, Tree};

fn files(tree: &Tree, dir: NodeId, out: &mut Vec<NodeId>) {
    for id in tree.children(dir) {
        match tree.node(id).kind {
            NodeKind::Dir => files(tree, id, out),
            NodeKind::File { .. } => out.push(id),
            _ => {}
        }
    }
}

#[expect(clippy::print_stdout, reason = "a measuring tool")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = arguments.get(1).map_or(".", String::as_str);
    let start = Instant::now();
    let mut context = Context::new(folder, Ignore::none());
    if let Some(index) = arguments.get(2) {
        context = context.with_stat_index(Path::new(index));
    }
    println!("index  {:?}", start.elapsed());
    let start = Instant::now();
    let tree = context.tree()?;
    println!("walk   {:?}", start.elapsed());
    let start = Instant::now();
    let mut all = Vec::new();
    files(tree, tree.root(), &mut all);
    context.facts(&all)?;
    println!("digest {:?} of {} files", start.elapsed(), all.len());
    let start = Instant::now();
    context.save_stat_index()?;
    println!("save   {:?}", start.elapsed());
    Ok(())
}
