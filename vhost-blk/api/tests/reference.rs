//! The reference pages are what the code says.

#[path = "../../tests/common/clone.rs"]
mod clone;

fn page(name: &str) -> String {
    let path = clone::root().join("docs").join(name);
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
