//! The workspace as its Cargo.toml files tell it: which packages there are, where, and who depends on whom.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exit::{Exit, ExitError};
use serde::Deserialize;
use thiserror::Error;
use toml::{Spanned, Value};

use crate::paths;

/// Why the workspace cannot be read.
#[derive(Debug, Error)]
#[error("cannot read {}: {why}", file.display())]
pub(crate) struct Unreadable {
    /// The file, relative to the root.
    pub(crate) file: PathBuf,
    pub(crate) why: String,
}

impl ExitError for Unreadable {
    fn exit(&self) -> Exit {
        Exit::Data
    }
}

/// A package of the workspace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Relative to the root.
    pub(crate) folder: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    /// Files of targets that Cargo.toml names.
    pub(crate) targets: Vec<PathBuf>,
}

/// A package that one depends on, by its own name, whatever it is called there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Needed by tests, benches and examples only.
    pub(crate) is_dev: bool,
    /// Where it is, relative to the root, if it is named by a path within that.
    pub(crate) folder: Option<String>,
    /// Line of the Cargo.toml.
    pub(crate) line: usize,
}

type Dependencies = BTreeMap<Spanned<String>, Value>;

// `Needs` stands in it field by field: serde's `flatten` loses where a key is.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    package: Option<Package>,
    workspace: Option<Workspace>,
    #[serde(default)]
    dependencies: Dependencies,
    #[serde(default)]
    build_dependencies: Dependencies,
    #[serde(default)]
    dev_dependencies: Dependencies,
    #[serde(default)]
    target: BTreeMap<String, Needs>,
    lib: Option<Target>,
    #[serde(default)]
    bin: Vec<Target>,
    #[serde(default)]
    test: Vec<Target>,
    #[serde(default)]
    bench: Vec<Target>,
    #[serde(default)]
    example: Vec<Target>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

#[derive(Deserialize)]
struct Workspace {
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Needs {
    #[serde(default)]
    dependencies: Dependencies,
    #[serde(default)]
    build_dependencies: Dependencies,
    #[serde(default)]
    dev_dependencies: Dependencies,
}

#[derive(Deserialize)]
struct Target {
    path: Option<PathBuf>,
}

/// The packages of the workspace at this root.
///
/// # Errors
/// A Cargo.toml is missing or is none.
pub(crate) fn members(root: &Path) -> Result<Vec<Member>, Unreadable> {
    members_of(&|file| std::fs::read_to_string(root.join(file)).map_err(|error| error.to_string()))
}

/// The packages of the workspace, whose files `read` reads.
///
/// # Errors
/// A Cargo.toml is missing or is none.
pub(crate) fn members_of(read: &dyn Fn(&Path) -> Result<String, String>) -> Result<Vec<Member>, Unreadable> {
    let file = PathBuf::from("Cargo.toml");
    let unreadable = |file: &Path, why: String| Unreadable {
        file: file.to_owned(),
        why,
    };
    let text = read(&file).map_err(|why| unreadable(&file, why))?;
    let root: Manifest = toml::from_str(&text).map_err(|error| unreadable(&file, error.to_string()))?;
    let workspace = root
        .workspace
        .ok_or_else(|| unreadable(&file, "it has no [workspace]".to_owned()))?;
    let member = |folder: &String| {
        let file = Path::new(folder).join("Cargo.toml");
        let text = read(&file).map_err(|why| unreadable(&file, why))?;
        member(Path::new(folder), &text, &workspace.dependencies).map_err(|why| unreadable(&file, why))
    };
    workspace.members.iter().map(member).collect()
}

/// The packages of other workspaces, and of none: those of a Cargo.toml among `files` that is not of `members`.
///
/// # Errors
/// One of these is no manifest.
pub(crate) fn others<'a>(
    files: impl Iterator<Item = (&'a str, &'a str)>,
    members: &[Member],
) -> Result<Vec<Member>, Unreadable> {
    let mut others = Vec::new();
    for (file, text) in files {
        let folder = Path::new(paths::folder(file));
        if paths::file_name(file) != "Cargo.toml" || members.iter().any(|member| member.folder == folder) {
            continue;
        }
        let unreadable = |why: String| Unreadable { file: file.into(), why };
        let manifest: Manifest = toml::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        if manifest.package.is_some() {
            let common = manifest.workspace.map(|workspace| workspace.dependencies);
            others.push(member(folder, text, &common.unwrap_or_default()).map_err(unreadable)?);
        }
    }
    Ok(others)
}

/// A package, from the text of its Cargo.toml.
pub(crate) fn member(folder: &Path, text: &str, common: &BTreeMap<String, Value>) -> Result<Member, String> {
    let manifest: Manifest = toml::from_str(text).map_err(|error| error.to_string())?;
    let package = manifest.package.ok_or("it has no [package]")?;
    let mut dependencies = Vec::new();
    let needs = Needs {
        dependencies: manifest.dependencies,
        build_dependencies: manifest.build_dependencies,
        dev_dependencies: manifest.dev_dependencies,
    };
    for needs in std::iter::once(&needs).chain(manifest.target.values()) {
        for (listed, is_dev) in [
            (&needs.dependencies, false),
            (&needs.build_dependencies, false),
            (&needs.dev_dependencies, true),
        ] {
            dependencies.extend(listed.iter().map(|(key, value)| Dependency {
                name: real_name(key.get_ref(), value, common),
                is_dev,
                folder: folder_of(key.get_ref(), value, folder, common),
                line: line_at(text, key.span().start),
            }));
        }
    }
    let targets = [manifest.bin, manifest.test, manifest.bench, manifest.example];
    Ok(Member {
        name: package.name,
        folder: folder.to_owned(),
        dependencies,
        targets: manifest
            .lib
            .into_iter()
            .chain(targets.into_iter().flatten())
            .filter_map(|target| target.path)
            .collect(),
    })
}

/// The name of the package that stands behind a key of a table of dependencies.
fn real_name(key: &str, value: &Value, common: &BTreeMap<String, Value>) -> String {
    let of = |value: &Value| value.get("package").and_then(Value::as_str).map(str::to_owned);
    let inherited = || common.get(key).and_then(of);
    of(value).or_else(inherited).unwrap_or_else(|| key.to_owned())
}

/// Where the package is that stands behind a key of a table of dependencies of the package in `folder`.
fn folder_of(key: &str, value: &Value, folder: &Path, common: &BTreeMap<String, Value>) -> Option<String> {
    let path = |value: &Value| value.get("path").and_then(Value::as_str).map(str::to_owned);
    match path(value) {
        Some(path) => paths::join(folder.to_str()?, &path),
        // A path that is inherited begins at the root.
        None => paths::join("", &common.get(key).and_then(path)?),
    }
}

/// The package that a file is in, by its name relative to the root.
pub(crate) fn home<'a>(file: &str, members: &'a [Member]) -> Option<&'a Member> {
    let holds = |member: &&Member| Path::new(file).starts_with(&member.folder);
    let depth = |member: &&Member| member.folder.components().count();
    members.iter().filter(holds).max_by_key(depth)
}

/// The number of the line, from 1, with this byte.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace]\nmembers = [\"a\", \"a/b\"]\n\n[workspace.dependencies]\nb = { path = \"a/b\" }\n\
        c-old = { package = \"c\", version = \"1\" }\n";
    const A: &str = "[package]\nname = \"a\"\n\n[dependencies]\nb.workspace = true\nc-old = { workspace = true }\n\n\
        [target.'cfg(unix)'.dependencies]\nd = \"1\"\n\n[build-dependencies]\n\
        e = { package = \"f\", version = \"1\" }\n\n\
        [dev-dependencies]\ng = \"1\"\n\n[[bin]]\nname = \"x\"\npath = \"src/x.rs\"\n";

    fn read(file: &Path) -> Result<String, String> {
        match file.to_str() {
            Some("Cargo.toml") => Ok(ROOT.to_owned()),
            Some("a/Cargo.toml") => Ok(A.to_owned()),
            Some("a/b/Cargo.toml") => Ok("[package]\nname = \"b\"\n".to_owned()),
            _ => Err("not there".to_owned()),
        }
    }

    #[test]
    fn members_have_their_dependencies_by_name() {
        let members = members_of(&read).expect("a workspace");
        assert_eq!(members.len(), 2);
        let (a, b) = (&members[0], &members[1]);
        assert_eq!((b.name.as_str(), &*b.folder), ("b", Path::new("a/b")));
        assert_eq!(a.targets, [Path::new("src/x.rs")]);
        let mut found: Vec<(&str, bool, usize)> = Vec::new();
        found.extend(a.dependencies.iter().map(|d| (d.name.as_str(), d.is_dev, d.line)));
        assert_eq!(
            found,
            [
                ("b", false, 5),
                ("c", false, 6),
                ("f", false, 12),
                ("g", true, 15),
                ("d", false, 9)
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let unreadable = |text: &'static str| {
            members_of(&move |file| match file.to_str() {
                Some("Cargo.toml") => Ok(text.to_owned()),
                _ => Err("not there".to_owned()),
            })
            .expect_err("it cannot be read")
            .to_string()
        };
        assert_eq!(
            unreadable("[package]\nname = \"a\"\n"),
            "cannot read Cargo.toml: it has no [workspace]"
        );
        assert_eq!(
            unreadable("[workspace]\nmembers = [\"a\"]\n"),
            "cannot read a/Cargo.toml: not there"
        );
        assert!(unreadable("[workspace").starts_with("cannot read Cargo.toml: "));
    }

    #[test]
    fn our_own_workspace_is_read() {
        let repo = crate::repo::Repo::find().expect("a clone");
        let members = members(&repo.root).expect("a workspace");
        assert!(members.iter().any(|member| member.name == "xtask"));
    }
}
