//! Times `COPY FOLDER /` onto nothing: `cargo run --example copy_time -- FOLDER DATA`, where DATA is a store's folder.
//! The second run has its digests remembered.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kiln_context::{Context, Ignore};
use kiln_rootfs::{CopySource, CopySpec, MergedView, Selection, SourceTree};
use kiln_store::Store;

#[expect(clippy::print_stdout, reason = "a measuring tool")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, data] = arguments.as_slice() else {
        return Err("FOLDER and DATA are needed".into());
    };
    let start = Instant::now();
    let store = Store::open(Path::new(data))?;
    let context = Arc::new(
        Context::new(folder, Ignore::none()).with_stat_index(&Path::new(data).join("stat-index")),
    );
    println!("open    {:?}", start.elapsed());
    let start = Instant::now();
    context.tree()?;
    println!("walk    {:?}", start.elapsed());
    let start = Instant::now();
    let source = CopySource::Path {
        tree: SourceTree::Context(context.clone()),
        path: b".".to_vec(),
        unpack: false,
    };
    let spec = CopySpec {
        dest: b"/".to_vec(),
        ..CopySpec::default()
    };
    let selection = Selection::new(spec, vec![source])?;
    println!("select  {:?} {}", start.elapsed(), selection.digest());
    let start = Instant::now();
    let plan = selection.plan(&MergedView::empty(), Path::new(data))?;
    println!(
        "plan    {:?} of {} entries",
        start.elapsed(),
        plan.entries().len()
    );
    let start = Instant::now();
    let mut writer = store.begin_layer()?;
    plan.write(&mut writer)?;
    println!("write   {:?}", start.elapsed());
    let start = Instant::now();
    println!("layer   {}", writer.commit()?.diff_id.0);
    println!("commit  {:?}", start.elapsed());
    context.save_stat_index()?;
    Ok(())
}
