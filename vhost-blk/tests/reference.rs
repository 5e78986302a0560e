//! The reference page of the rule language is what the code says.

use std::path::Path;

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rule-language.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == vhost_blk::plan::words::reference(),
        "docs/rule-language.md is not what the code says: cargo run -p vhost-blk -- reference > docs/rule-language.md"
    );
}
