//! The drawing of which crate may know which: a fenced block of ARCHITECTURE.md with lines `name -> name name`.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};

use super::circles;
use super::finding::{Finding, Kind};
use super::sources::Sources;
use crate::workspace::line_at;

/// The file with the drawing.
pub(crate) const FILE: &str = "ARCHITECTURE.md";
/// What the fence of the block says.
const MARK: &str = "crates";

/// A drawing: names, and arrows with their lines.
#[derive(Debug, Default)]
pub(crate) struct Drawing {
    /// Line of the block's fence.
    pub(crate) line: usize,
    /// Names, with the line on which they stand first.
    pub(crate) names: BTreeMap<String, usize>,
    pub(crate) arrows: BTreeMap<(String, String), usize>,
    /// Arrows of lines that begin with `dev`.
    pub(crate) dev_arrows: BTreeMap<(String, String), usize>,
    /// Lines that are none of a drawing.
    bad: Vec<usize>,
}

impl Drawing {
    /// The drawing; none if there is no such block.
    pub(crate) fn find(sources: &Sources) -> Option<Drawing> {
        let text = sources.get(FILE)?;
        let mut events = Parser::new(text).into_offset_iter();
        let (_, range) = events.find(|(event, _)| match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => info.split_whitespace().eq([MARK]),
            _ => false,
        })?;
        let line = line_at(text, range.start);
        let block = text.get(range).unwrap_or_default();
        let inside = block
            .lines()
            .skip(1)
            .take_while(|line| !line.trim_start().starts_with("```"));
        Some(Drawing::parse(line, inside))
    }

    fn parse<'a>(line: usize, lines: impl Iterator<Item = &'a str>) -> Drawing {
        let mut drawing = Drawing {
            line,
            ..Drawing::default()
        };
        for (text, line) in lines.zip(line + 1..) {
            let mut words = text.split_whitespace().peekable();
            let is_dev = words.next_if_eq(&"dev").is_some();
            let Some(from) = words.next() else {
                continue;
            };
            if words.next().is_some_and(|arrow| arrow != "->") {
                drawing.bad.push(line);
                continue;
            }
            drawing.names.entry(from.to_owned()).or_insert(line);
            for to in words {
                drawing.names.entry(to.to_owned()).or_insert(line);
                let arrows = if is_dev {
                    &mut drawing.dev_arrows
                } else {
                    &mut drawing.arrows
                };
                arrows.insert((from.to_owned(), to.to_owned()), line);
            }
        }
        drawing
    }

    /// What is wrong with the drawing itself: lines that are none, names of nothing, names that are left out, circles.
    pub(crate) fn problems(&self, known: &BTreeSet<&str>) -> Vec<Finding> {
        let finding = |line: usize, message: String| Finding::new(FILE, line, Kind::CrateArrow, message);
        let mut findings = Vec::new();
        findings.extend(self.bad.iter().map(|line| {
            let message = "a line that is no `name -> name name`, correct it";
            finding(*line, message.to_owned())
        }));
        for (name, line) in &self.names {
            if !known.contains(name.as_str()) {
                findings.push(finding(
                    *line,
                    format!("`{name}` is drawn but does not exist, take it out"),
                ));
            }
        }
        for name in known {
            if !self.names.contains_key(*name) {
                findings.push(finding(self.line, format!("`{name}` is not drawn, add a line for it")));
            }
        }
        let arrows = self.arrows.keys().map(|(from, to)| (from.as_str(), to.as_str()));
        for circle in circles::find(arrows) {
            let (from, to) = (circle[0].to_owned(), circle[1 % circle.len()].to_owned());
            let line = self.arrows.get(&(from, to)).copied().unwrap_or(self.line);
            let message = format!("a circle is drawn: {}, take one arrow out", circles::show(&circle));
            findings.push(finding(line, message));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> Option<Drawing> {
        Drawing::find(&Sources::of(&[(FILE, text)]))
    }

    fn problems(block: &str) -> Vec<String> {
        let drawing = drawn(&format!("# A\n\n```crates\n{block}```\n")).expect("a drawing");
        let findings = drawing.problems(&BTreeSet::from(["a", "b"]));
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_drawing_is_found_by_its_mark() {
        for text in ["", "```\na -> b\n```\n", "```crates b\na -> b\n```\n", "    crates\n"] {
            assert!(drawn(text).is_none(), "{text}");
        }
        let drawing = drawn("# A\n\n```crates\na -> b c\n\ndev a -> d\ne\n```\n").expect("a drawing");
        let arrow = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(drawing.line, 3);
        assert_eq!(
            drawing.arrows,
            BTreeMap::from([(arrow("a", "b"), 4), (arrow("a", "c"), 4)])
        );
        assert_eq!(drawing.dev_arrows, BTreeMap::from([(arrow("a", "d"), 6)]));
        assert_eq!(drawing.names.get("e"), Some(&7));
    }

    #[test]
    fn what_is_wrong_in_a_drawing_is_found() {
        let expected = |line: usize, what: &str| vec![format!("{FILE}:{line}: {what}")];
        let bad = "a line that is no `name -> name name`, correct it";
        assert_eq!(problems("a -> b\na b\n"), expected(5, bad));
        let unknown = "`c` is drawn but does not exist, take it out";
        assert_eq!(problems("a -> b\na -> c\n"), expected(5, unknown));
        let left_out = "`b` is not drawn, add a line for it";
        assert_eq!(problems("a\n"), expected(3, left_out));
        let circle = "a circle is drawn: a -> b -> a, take one arrow out";
        assert_eq!(problems("a -> b\nb -> a\n"), expected(4, circle));
        let circle = "a circle is drawn: a -> a, take one arrow out";
        assert_eq!(problems("a -> a b\n"), expected(4, circle));
    }

    #[test]
    fn a_right_drawing_is_clean() {
        assert_eq!(problems("a -> b\n"), [""; 0]);
        assert_eq!(problems("a ->\nb\n"), [""; 0]);
        // cargo allows a circle by way of tests.
        assert_eq!(problems("a -> b\ndev b -> a\n"), [""; 0]);
    }
}
