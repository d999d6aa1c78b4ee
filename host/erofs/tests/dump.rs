mod support;
#[test]
fn dump() {
    let Ok(dir) = std::env::var("KILN_DUMP") else {
        return;
    };
    let layer = support::build(&support::everything());
    std::fs::write(format!("{dir}/layer.tar"), layer.tar).unwrap();
    std::fs::write(format!("{dir}/layer.erofs"), layer.index).unwrap();
}
