//! The keys of a kernel that is a package, or comes from one.

use host::suggest;

use crate::diagnostic::Diagnostic;
use crate::fields::{Document, Fields, Found};
use crate::package::{PackageSource, VersionRequest};

/// Debian's releases, by the names that its archive uses. A new one is added here.
const CODENAMES: [&str; 12] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];
/// What may follow a release's name.
const POCKETS: [&str; 6] = [
    "",
    "-security",
    "-updates",
    "-backports",
    "-backports-sloppy",
    "-proposed-updates",
];

/// Packages with the suite and version that stand beside them.
pub(super) fn package_source(
    document: Document<'_>,
    fields: &Fields<'_>,
    packages: Vec<String>,
) -> Result<PackageSource, Diagnostic> {
    let suite = suite(document, fields.required("suite", "\"bookworm\"")?)?;
    let version = fields.required("version", "\"latest\"")?;
    let version = match version.get_ref().as_str() {
        "latest" => VersionRequest::Latest,
        word if word.starts_with(|c: char| c.is_ascii_digit()) && !word.contains(char::is_whitespace) => {
            VersionRequest::Exactly(word.to_owned())
        }
        word => {
            let error = document.error(version.span(), format!("`{word}` is not a package version"));
            return Err(error.help("write a whole version like \"6.1.176-1\", or \"latest\""));
        }
    };
    Ok(PackageSource {
        suite,
        packages,
        version,
    })
}

fn suite(document: Document<'_>, suite: Found<String>) -> Result<String, Diagnostic> {
    let word = suite.get_ref().as_str();
    let all: Vec<String> = CODENAMES
        .iter()
        .flat_map(|name| POCKETS.iter().map(move |pocket| format!("{name}{pocket}")))
        .collect();
    if all.iter().any(|known| known == word) {
        return Ok(suite.into_inner());
    }
    let near = suggest::closest(word, all.iter().map(String::as_str));
    let meant = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    let error = document.error(suite.span(), format!("unknown suite `{word}`"));
    Err(error.help(format!(
        "{meant}a suite is a Debian release ({}), alone or followed by one of {}",
        CODENAMES.join(", "),
        POCKETS[1..].join(", ")
    )))
}

pub(super) fn package(document: Document<'_>, name: Found<String>) -> Result<String, Diagnostic> {
    let word = name.get_ref().as_str();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.*?[]{},!".contains(c);
    if !word.starts_with(|c: char| c.is_ascii_alphanumeric()) || !word.chars().all(plain) {
        let error = document.error(name.span(), format!("`{word}` is not a package name"));
        return Err(error.help("package names are of lower-case letters, digits, + - and ."));
    }
    if let Err(bad) = suggest::glob(word) {
        return Err(document.error(name.span(), format!("`{word}` is not a valid glob: {bad}")));
    }
    Ok(name.into_inner())
}
