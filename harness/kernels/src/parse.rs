//! From the text of `kernels.toml` to kernels, with every mistake pointed at.

mod package;
mod tree;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use globset::GlobMatcher;
use guest_wire::{Fs, Phase};
use toml::de::DeTable;

pub(crate) use tree::given as config_parts;

use super::diagnostic::Diagnostic;
use super::fields::{Document, Fields, Found};
use super::kernel::{Expect, Kernel, Source};
use host::suggest;
use package::{package, package_source};
use verdict::Cause;
use verdict::results::{Expected, ExpectedFailure, ExpectedVerdict};

const KERNEL_KEYS: [&str; 23] = [
    "id",
    "suite",
    "package",
    "version",
    "image",
    "package-file",
    "modules",
    "git",
    "rev",
    "dirty",
    "tarball",
    "sha256",
    "source-package",
    "patches",
    "config",
    "cc",
    "arch",
    "make",
    "line",
    "fs",
    "default",
    "group",
    "expect",
];
const EXPECT_KEYS: [&str; 6] = ["fs", "case", "verdict", "cause", "phase", "why"];

/// All kernels of a manifest.
pub(super) fn kernels(file: &Path, text: &str) -> Result<Vec<Kernel>, Diagnostic> {
    let document = Document { file, text };
    let root = DeTable::parse(text)
        .map_err(|error| document.error(error.span().unwrap_or(0..0), error.message().to_owned()))?;
    let top = Fields::new(document, "the file", root.get_ref(), root.span(), &["kernel"])?;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut kernels = Vec::new();
    for (table, span) in top.tables("kernel")? {
        let fields = Fields::new(document, "[[kernel]]", table, span, &KERNEL_KEYS)?;
        let (kernel, id_span) = kernel(document, &fields)?;
        let line = document.error(id_span.clone(), "").line;
        if let Some(first) = seen.insert(kernel.id.clone(), line) {
            let error = document.error(id_span, format!("the id `{}` is taken", kernel.id));
            return Err(error.help(format!("the kernel at line {first} has it; give this one another")));
        }
        kernels.push(kernel);
    }
    Ok(kernels)
}

fn kernel(document: Document<'_>, fields: &Fields<'_>) -> Result<(Kernel, Range<usize>), Diagnostic> {
    let id = fields.required("id", "\"debian-6.1.176\"")?;
    // An id becomes part of file names and of nextest's trial names, where `:` separates.
    if let Some(bad) = id
        .get_ref()
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || "-_.+~".contains(*c)))
    {
        let error = document.error(id.span(), format!("`{bad}` cannot be part of an id"));
        return Err(error.help("use letters, digits and any of - _ . + ~"));
    }
    let fs = match fields.strings("fs")? {
        None => vec![Fs::Btrfs],
        Some(names) => names
            .iter()
            .map(|name| file_system(document, name))
            .collect::<Result<_, _>>()?,
    };
    let expect = fields
        .tables("expect")?
        .into_iter()
        .map(|(table, span)| {
            let line = document.error(span.clone(), "").line;
            expect(
                document,
                &Fields::new(document, "[[kernel.expect]]", table, span, &EXPECT_KEYS)?,
                line,
            )
        })
        .collect::<Result<_, _>>()?;
    let group = fields.string("group")?.map(Found::into_inner);
    let kernel = Kernel {
        source: source(document, fields, &fs)?,
        fs,
        expect,
        line: fields.string("line")?.map(Found::into_inner),
        // A group is run when it is asked for.
        default: fields.bool("default")?.unwrap_or(group.is_none()),
        group,
        id: id.get_ref().clone(),
    };
    Ok((kernel, id.span()))
}

fn file_system(document: Document<'_>, name: &Found<String>) -> Result<Fs, Diagnostic> {
    let word = name.get_ref();
    word.parse().map_err(|_| {
        let error = document.error(name.span(), format!("unknown file system `{word}`"));
        error.help(suggest::hint(word, "file systems", &Fs::NAMES))
    })
}

fn source(document: Document<'_>, fields: &Fields<'_>, fs: &[Fs]) -> Result<Source, Diagnostic> {
    if let Some(tree) = tree::source(document, fields, fs)? {
        return Ok(Source::Tree(Box::new(tree)));
    }
    if let Some(files) = fields.strings("package-file")? {
        return package_files(document, fields, &files);
    }
    if let Some(image) = fields.string("image")? {
        if let Some(key) = ["suite", "package", "version"].into_iter().find(|key| fields.has(key)) {
            let error = document.error(fields.key_span(key), format!("`{key}` beside `image`"));
            return Err(error.help("a kernel is either a package (suite, package, version) or a file (image, modules)"));
        }
        let modules = fields.string("modules")?.map(|modules| document.relative(&modules));
        return Ok(Source::Image {
            image: document.relative(&image),
            modules,
        });
    }
    if fields.has("modules") {
        let error = document.error(fields.key_span("modules"), "`modules` without `image`");
        return Err(error.help("a package brings its own modules; `modules` belongs to a kernel that is a file"));
    }
    if !fields.has("package") && !fields.has("suite") {
        let error = document.error(fields.key_span("id"), "this kernel has no source");
        return Err(error.help(
            "give it `suite`, `package` and `version`; or `image`; or `package-file`; or source to build: `git`, \
            `tarball`, or `source-package`",
        ));
    }
    let example = "\"linux-image-6.1.0-50-cloud-amd64-unsigned\"";
    let Some(packages) = fields.strings("package")? else {
        return Err(fields
            .required("package", example)
            .err()
            .unwrap_or_else(|| document.error(fields.key_span("id"), "missing key `package`")));
    };
    let packages = packages
        .into_iter()
        .map(|name| package(document, name))
        .collect::<Result<_, _>>()?;
    Ok(Source::Package(package_source(document, fields, packages)?))
}

/// `package-file = "linux-image-6.1.9_amd64.deb"`, or several.
fn package_files(document: Document<'_>, fields: &Fields<'_>, files: &[Found<String>]) -> Result<Source, Diagnostic> {
    if let Some(key) = ["suite", "package", "version", "image", "modules"]
        .into_iter()
        .find(|key| fields.has(key))
    {
        let error = document.error(fields.key_span(key), format!("`{key}` beside `package-file`"));
        return Err(error.help(
            "package files are all that there is of a kernel: list those of its modules there, and take this line out",
        ));
    }
    Ok(Source::PackageFiles(
        files.iter().map(|file| document.relative(file)).collect(),
    ))
}

fn expect(document: Document<'_>, fields: &Fields<'_>, line: usize) -> Result<Expect, Diagnostic> {
    let case = fields.required("case", "\"partial-write*\"")?;
    let verdict = expected_verdict(document, fields)?;
    let fs = match fields.string("fs")? {
        Some(fs) => glob(document, &fs)?,
        None => glob(document, &Found::new(0..0, "*".to_owned()))?,
    };
    let why = fields
        .required("why", "\"the commit or report that explains it\"")?
        .into_inner();
    Ok(Expect {
        fs,
        case: glob(document, &case)?,
        expected: Expected { verdict, why },
        line,
    })
}

fn expected_verdict(document: Document<'_>, fields: &Fields<'_>) -> Result<ExpectedVerdict, Diagnostic> {
    let verdict = fields.required("verdict", "\"fail\"")?;
    let known = |found: &str| ExpectedVerdict::WORDS.into_iter().find(|word| *word == found);
    let verdict = word(document, "verdict", &verdict, known, &ExpectedVerdict::WORDS)?;
    let fails = verdict == ExpectedVerdict::Fail(ExpectedFailure::Any).word();
    let cause = fields
        .string("cause")?
        .map(|cause| {
            word(
                document,
                "cause",
                &cause,
                Cause::from_word,
                &Cause::ALL.map(Cause::word),
            )
        })
        .transpose()?;
    if cause.is_some() && !fails {
        let error = document.error(fields.key_span("cause"), "`cause` without verdict \"fail\"");
        return Err(error.help("only a failure has a cause; take this line out"));
    }
    let phase = fields
        .string("phase")?
        .map(|phase| {
            let names = Phase::ALL.map(Phase::name);
            let from_word = |word: &str| Phase::ALL.into_iter().find(|phase| phase.name() == word);
            word(document, "phase", &phase, from_word, &names)
        })
        .transpose()?;
    let failure = match (cause, phase) {
        (Some(Cause::Hang), Some(phase)) => ExpectedFailure::HangIn(phase),
        (_, Some(_)) => {
            let error = document.error(fields.key_span("phase"), "`phase` without cause \"hang\"");
            return Err(error.help("only a hang has a phase that never ends; take this line out"));
        }
        (Some(cause), None) => ExpectedFailure::Of(cause),
        (None, None) => ExpectedFailure::Any,
    };
    Ok(if fails {
        ExpectedVerdict::Fail(failure)
    } else {
        ExpectedVerdict::Inconclusive
    })
}

fn word<T>(
    document: Document<'_>,
    key: &str,
    found: &Found<String>,
    from_word: impl Fn(&str) -> Option<T>,
    known: &[&str],
) -> Result<T, Diagnostic> {
    from_word(found.get_ref()).ok_or_else(|| {
        let error = document.error(found.span(), format!("unknown {key} `{}`", found.get_ref()));
        error.help(suggest::hint(found.get_ref(), &format!("{key}s"), known))
    })
}

fn glob(document: Document<'_>, pattern: &Found<String>) -> Result<GlobMatcher, Diagnostic> {
    suggest::glob(pattern.get_ref()).map_err(|bad| {
        document.error(
            pattern.span(),
            format!("`{}` is not a valid glob: {bad}", pattern.get_ref()),
        )
    })
}
