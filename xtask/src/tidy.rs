//! stub
pub(crate) const HELP: &str = "ARCHITECTURE.md";
pub(crate) fn run(_root: &std::path::Path) -> Result<u8, Box<dyn std::error::Error>> {
    Ok(0)
}
