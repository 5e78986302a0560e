//! The keys of a kernel that is built from source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use guest_wire::Fs;

use super::package::{package, package_source};
use crate::diagnostic::Diagnostic;
use crate::fields::{Document, Fields, Found};
use crate::tree::{ConfigPart, NoPart, Origin, TreeSource, is_url};
use host::places::Places;

/// Keys that name where source comes from.
const ORIGINS: [&str; 3] = ["git", "tarball", "source-package"];
/// Keys that belong to a kernel that is built, whatever its source.
const BUILD: [&str; 5] = ["patches", "config", "cc", "arch", "make"];
/// Architectures that boot in our machine.
const ARCHITECTURES: [&str; 1] = ["x86_64"];

/// The source of a kernel that is built; nothing if it is another kind of kernel.
pub(super) fn source(document: Document<'_>, fields: &Fields<'_>, fs: &[Fs]) -> Result<Option<TreeSource>, Diagnostic> {
    let mut named = ORIGINS.into_iter().filter(|key| fields.has(key));
    let Some(origin) = named.next() else {
        let stray = BUILD
            .into_iter()
            .chain(["rev", "dirty", "sha256"])
            .find(|key| fields.has(key));
        return stray.map_or(Ok(None), |key| {
            let error = document.error(fields.key_span(key), format!("`{key}` without source"));
            Err(error.help("it belongs to a kernel that is built; add `git`, `tarball` or `source-package`"))
        });
    };
    let other = named.next().or_else(|| {
        ["image", "package", "package-file", "modules"]
            .into_iter()
            .find(|key| fields.has(key))
    });
    if let Some(other) = other {
        let error = document.error(fields.key_span(other), format!("`{other}` beside `{origin}`"));
        return Err(
            error.help("a kernel has one source: a package, an image, or one of git, tarball and source-package")
        );
    }
    for (key, owner) in [
        ("rev", "git"),
        ("dirty", "git"),
        ("sha256", "tarball"),
        ("suite", "source-package"),
        ("version", "source-package"),
    ] {
        if fields.has(key) && origin != owner {
            let error = document.error(fields.key_span(key), format!("`{key}` beside `{origin}`"));
            return Err(error.help(format!("`{key}` goes with `{owner}`; take this line out")));
        }
    }
    if let Some(arch) = fields
        .string("arch")?
        .filter(|arch| !ARCHITECTURES.contains(&arch.get_ref().as_str()))
    {
        let error = document.error(
            arch.span(),
            format!("architecture `{}` does not boot in our machine", arch.get_ref()),
        );
        return Err(error.help(format!("known architectures: {}", ARCHITECTURES.join(", "))));
    }
    let patches = fields.strings("patches")?.unwrap_or_default();
    Ok(Some(TreeSource {
        origin: self::origin(document, fields, origin)?,
        patches: patches.iter().map(|path| document.relative(path)).collect(),
        config: config(document, fields, fs)?,
        cc: fields.string("cc")?.map(Found::into_inner),
        make: make(document, fields)?,
    }))
}

fn origin(document: Document<'_>, fields: &Fields<'_>, key: &str) -> Result<Origin, Diagnostic> {
    let place = |found: &Found<String>| {
        let word = found.get_ref();
        if is_url(word) {
            word.clone()
        } else {
            document.relative(found).to_string_lossy().into_owned()
        }
    };
    match key {
        "git" => {
            let repository = place(&fields.required("git", "\"../linux\"")?);
            let dirty = fields.bool("dirty")?.unwrap_or(false);
            if dirty && fields.has("rev") {
                let error = document.error(fields.key_span("rev"), "`rev` beside `dirty = true`");
                return Err(error.help("build a revision (`rev`), or the working tree as it is (`dirty = true`)"));
            }
            if dirty && is_url(&repository) {
                let error = document.error(
                    fields.key_span("dirty"),
                    "`dirty = true` of a repository that is fetched",
                );
                return Err(error.help("only a path has a working tree; name a `rev`"));
            }
            let rev = if dirty {
                "HEAD".to_owned()
            } else {
                fields.required("rev", "\"v6.1\"")?.into_inner()
            };
            Ok(Origin::Git { repository, rev, dirty })
        }
        "tarball" => {
            let location = place(&fields.required("tarball", "\"linux-6.1.170.tar.xz\"")?);
            let sha256 = fields.required("sha256", "\"…\"")?;
            let word = sha256.get_ref();
            if word.len() != 64 || !word.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
                let error = document.error(sha256.span(), "not a sha256");
                return Err(error.help("64 lower-case hexadecimal digits, as `sha256sum FILE` prints them"));
            }
            Ok(Origin::Tarball {
                location,
                sha256: sha256.into_inner(),
            })
        }
        _ => {
            let name = package(document, fields.required("source-package", "\"linux-source-6.1\"")?)?;
            Ok(Origin::Package(package_source(document, fields, vec![name])?))
        }
    }
}

fn config(document: Document<'_>, fields: &Fields<'_>, fs: &[Fs]) -> Result<Vec<ConfigPart>, Diagnostic> {
    let ready = Places::find().configs();
    let folder = document.file.parent().unwrap_or(Path::new(""));
    let Some(words) = fields.strings("config")? else {
        return Ok(ConfigPart::usual(fs, &ready));
    };
    parts(&words, &ready, folder).map_err(|(found, problem)| {
        let word = found.get_ref();
        let file = format!("a file of your own is written with a dot or slash: \"./{word}.config\"");
        let (what, help) = problem.say(word, &file);
        document.error(found.span(), what).help(help)
    })
}

/// The parts that words stand for; a fragment that comes first goes onto tinyconfig.
fn parts<'a>(
    words: &'a [Found<String>],
    ready: &Path,
    folder: &Path,
) -> Result<Vec<ConfigPart>, (&'a Found<String>, NoPart)> {
    let mut parts = Vec::new();
    for (index, found) in words.iter().enumerate() {
        parts.push(
            ConfigPart::from_word(found.get_ref(), index == 0, ready, folder).map_err(|problem| (found, problem))?,
        );
    }
    if !parts.first().is_some_and(ConfigPart::is_base) {
        parts.insert(0, ConfigPart::Tiny);
    }
    Ok(parts)
}

/// `make = ["LLVM=1"]`.
fn make(document: Document<'_>, fields: &Fields<'_>) -> Result<BTreeMap<String, String>, Diagnostic> {
    const TAKEN: [&str; 5] = ["ARCH", "CC", "O", "INSTALL_MOD_PATH", "KBUILD_OUTPUT"];
    let mut variables = BTreeMap::new();
    for found in fields.strings("make")?.unwrap_or_default() {
        let variable = found.get_ref().split_once('=');
        let Some((name, value)) = variable
            .filter(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty())
        else {
            let error = document.error(found.span(), format!("`{}` is no variable for make", found.get_ref()));
            return Err(error.help("expected \"NAME=VALUE\", like \"LLVM=1\""));
        };
        if TAKEN.contains(&name) {
            let error = document.error(found.span(), format!("`{name}` is not yours to set here"));
            return Err(error
                .help("the compiler is `cc`, the architecture `arch`; where things are made is bioscope's business"));
        }
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}

/// The parts of `--config WORD`, each word a base, a ready fragment or a file.
///
/// # Errors
/// A word is none; gives it back.
pub(crate) fn given(words: &[String], ready: &Path) -> Result<Vec<ConfigPart>, (String, NoPart)> {
    let words: Vec<Found<String>> = words.iter().map(|word| Found::new(0..0, word.clone())).collect();
    parts(&words, ready, &PathBuf::new()).map_err(|(found, problem)| (found.get_ref().clone(), problem))
}
