//! Links in Markdown, and in HTML in it, whose file or heading does not exist.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{BrokenLink, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

use super::finding::{Finding, Kind};
use super::sources::Sources;
use crate::paths;
use crate::workspace::line_at;

pub(crate) fn check(file: &str, text: &str, sources: &Sources) -> Vec<Finding> {
    let mut undefined: Vec<(usize, String)> = Vec::new();
    // `[text]` alone is mostly no link; `[text][label]` is one, but `a[i][j]` is not.
    let is_index = |offset: usize| {
        let before = text.get(..offset).and_then(|before| before.chars().next_back());
        before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ')' | ']'))
    };
    let mut callback = |link: BrokenLink<'_>| {
        let is_link = matches!(link.link_type, LinkType::Reference | LinkType::Collapsed);
        if is_link && !is_index(link.span.start) {
            undefined.push((link.span.start, link.reference.to_string()));
        }
        None
    };
    let mut targets: Vec<(usize, String)> = Vec::new();
    for (event, range) in Parser::new_with_broken_link_callback(text, options(), Some(&mut callback)).into_offset_iter()
    {
        match event {
            Event::Start(
                Tag::Link {
                    dest_url, link_type, ..
                }
                | Tag::Image {
                    dest_url, link_type, ..
                },
            ) if link_type != LinkType::Email => targets.push((range.start, dest_url.to_string())),
            Event::Html(html) | Event::InlineHtml(html) => {
                targets.extend(html_targets(&html).map(|target| (range.start, target.to_owned())));
            }
            _ => {}
        }
    }
    let finding = |offset: usize, message: String| Finding::new(file, line_at(text, offset), Kind::Link, message);
    let undefined = undefined.into_iter().map(|(offset, label)| {
        let message = format!("a link to `[{label}]`, which no line `[{label}]: …` defines, add it");
        finding(offset, message)
    });
    let broken = targets
        .iter()
        .filter_map(|(offset, target)| Some(finding(*offset, problem(file, target, sources)?)));
    broken.chain(undefined).collect()
}

fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES
}

/// What is wrong with a link's target.
fn problem(file: &str, target: &str, sources: &Sources) -> Option<String> {
    // With a scheme it leads elsewhere.
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    let is_elsewhere = scheme.is_some_and(|scheme| scheme.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'+'));
    if is_elsewhere || target.starts_with("//") {
        return None;
    }
    let (path, anchor) = target
        .split_once('#')
        .map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let name = match path.strip_prefix('/') {
        _ if path.is_empty() => Some(file.to_owned()),
        Some(from_root) => paths::join("", from_root),
        None => paths::join(paths::folder(file), path),
    };
    let name = name.map(|name| name.replace("%20", " "));
    let Some(name) = name.filter(|name| sources.is_there(name)) else {
        return Some(format!(
            "a link to `{target}`, which is not in the repository, correct it"
        ));
    };
    let text = sources.get(&name).filter(|_| name.ends_with(".md"))?;
    let anchor = anchor.filter(|anchor| !anchors(text).contains(*anchor))?;
    Some(format!(
        "a link to `{target}`, but {name} has no heading `#{anchor}`, correct it"
    ))
}

/// The anchors of a file: its headings', as GitHub names them, and those that HTML sets.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, options()) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let slug = slug(&heading.take().unwrap_or_default());
                let times = seen.entry(slug.clone()).or_default();
                anchors.insert(if *times == 0 { slug } else { format!("{slug}-{times}") });
                *times += 1;
            }
            Event::Html(html) | Event::InlineHtml(html) => anchors.extend(html_anchor(&html)),
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c.is_alphanumeric().then_some(c),
    });
    kept.collect::<String>().to_lowercase()
}

/// The name that `<a id="…">` or `<a name="…">` sets.
fn html_anchor(html: &CowStr<'_>) -> Option<String> {
    let (_, rest) = html.split_once("id=\"").or_else(|| html.split_once("name=\""))?;
    rest.split_once('"').map(|(name, _)| name.to_owned())
}

/// What `href` and `src` say in a piece of HTML.
fn html_targets(html: &str) -> impl Iterator<Item = &str> {
    let values = ["href=", "src="].into_iter().flat_map(|name| html.split(name).skip(1));
    values.filter_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest.get(1..)?.split(quote).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = "# Other page\n\n## The `--yes` flag, and more\n\n## Twice\n\n## Twice\n\n<a id=\"set\"></a>\n";

    fn found(text: &str) -> Vec<String> {
        let sources = Sources::of(&[("docs/a.md", text), ("docs/other.md", OTHER), ("src/b.rs", "")]);
        let findings = check("docs/a.md", text, &sources);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        let gone =
            |target: &str| format!("docs/a.md:3: a link to `{target}`, which is not in the repository, correct it");
        for target in [
            "gone.md",
            "../src/gone.rs",
            "../../outside.md",
            "/gone.md",
            "target",
            "gone.md#a",
        ] {
            assert_eq!(found(&format!("# A\n\nSee [this]({target}).\n")), [gone(target)]);
            assert_eq!(found(&format!("# A\n\nSee ![this]({target}).\n")), [gone(target)]);
            assert_eq!(
                found(&format!("# A\n\nSee <a class=\"x\" href=\"{target}\">this</a>.\n")),
                [gone(target)]
            );
            assert_eq!(found(&format!("# A\n\n<img src='{target}'>\n")), [gone(target)]);
            assert_eq!(
                found(&format!("# A\n\nSee [this][b].\n\n[b]: {target}\n")),
                [gone(target)]
            );
        }
        let undefined = "docs/a.md:1: a link to `[b]`, which no line `[b]: …` defines, add it";
        assert_eq!(found("See [this][b].\n"), [undefined]);
        assert_eq!(found("[this][b]\n"), [undefined]);
        assert_eq!(found("([this][b])\n"), [undefined]);
    }

    #[test]
    fn a_link_to_a_heading_that_is_not_there_is_found() {
        let expected = |target: &str, file: &str| {
            [format!(
                "docs/a.md:1: a link to `{target}#gone`, but {file} has no heading `#gone`, correct it"
            )]
        };
        assert_eq!(found("[a](other.md#gone)\n"), expected("other.md", "docs/other.md"));
        assert_eq!(found("[a](#gone)\n"), expected("", "docs/a.md"));
        // What is code is no heading.
        assert_eq!(found("[a](#gone)\n\n```\n# gone\n```\n"), expected("", "docs/a.md"));
    }

    #[test]
    fn links_that_lead_somewhere_are_clean() {
        for target in [
            "other.md",
            "./other.md",
            "other.md#other-page",
            "other.md#the---yes-flag-and-more",
            "other.md#twice",
            "other.md#twice-1",
            "other.md#set",
            "#a-b",
            "../src/b.rs",
            "../src/b.rs#L1",
            "../src",
            "../src/",
            "..",
            "/docs/other.md",
            "https://example.org/gone",
            "mailto:a@example.org",
        ] {
            assert_eq!(found(&format!("# A b\n\n[this]({target})\n")), [""; 0], "{target}");
        }
        assert_eq!(
            found("An array [0], `[a](gone.md)`, a mail <a@example.org>.\n"),
            [""; 0]
        );
        assert_eq!(found("An element a[i][j] of it, and b()[i][j], c[i][j][k].\n"), [""; 0]);
        assert_eq!(
            found("# B\n\n<a id=\"c\"></a> <a href=\"#b\">d</a> <a href=\"https://e\">f</a>\n"),
            [""; 0]
        );
    }
}
