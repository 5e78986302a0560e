//! The reference pages are what the code says.

use std::path::PathBuf;

/// The root of the clone, looked for at run time: a path that the compiler wrote down is another clone's when this one
/// was copied or moved.
fn root() -> Option<PathBuf> {
    // cargo and nextest name the package; a test that is started by hand has a place of its own in target/.
    let named = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let start = named.or_else(|| std::env::current_exe().ok())?;
    let root = start.ancestors().find(|dir| dir.join("kernels.toml").is_file())?;
    Some(root.to_owned())
}

fn page(name: &str) -> String {
    let path = root().unwrap_or_default().join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_default()
}

#[test]
fn the_page_of_the_rule_language_is_up_to_date() {
    assert!(
        page("rule-language.md") == vhost_blk_api::plan::reference(),
        "docs/rule-language.md is not what the code says: cargo run -p vhost-blk -- reference > docs/rule-language.md"
    );
}

#[test]
fn the_page_of_the_control_socket_is_up_to_date() {
    assert!(
        page("control.md") == vhost_blk_api::control::reference(),
        "docs/control.md is not what the code says: cargo run -p vhost-blk -- reference control > docs/control.md"
    );
}
