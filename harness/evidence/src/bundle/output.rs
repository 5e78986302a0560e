//! The output of a user's own program, from the events that have its parts.

use guest_wire::Event;

use crate::parts::Timed;

/// Bytes of a line that stands beside a verdict.
const LINE_BYTES_MAX: usize = 512;

/// The parts, each with the bytes that were left out before it.
fn parts(events: &[Timed]) -> impl DoubleEndedIterator<Item = (u64, &str)> {
    events.iter().filter_map(|timed| match &timed.event {
        Event::Output { left_out, text } => Some((*left_out, text.as_str())),
        _ => None,
    })
}

/// All of it. Where something was left out this is said.
pub(super) fn text(events: &[Timed]) -> String {
    let mut text = String::new();
    for (left_out, part) in parts(events) {
        if left_out > 0 {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&format!("[bioscope: {left_out} bytes are left out here]\n"));
        }
        text.push_str(part);
    }
    text
}

/// Its last lines, without the empty ones; before them how many there are in the file of this name, if these are not
/// all.
pub(super) fn end(events: &[Timed], lines_max: usize, file: &str) -> Vec<String> {
    let text = text(events);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let first = lines.len().saturating_sub(lines_max);
    let left_out: u64 = parts(events).map(|(left_out, _)| left_out).sum();
    let mut end = Vec::new();
    if first > 0 || left_out > 0 {
        let lacks = if left_out > 0 {
            format!(", and lacks {left_out} bytes of its middle")
        } else {
            String::new()
        };
        end.push(format!(
            "the output ends with these lines; {file} has {}{lacks}:",
            host::words::counted(lines.len(), "line")
        ));
    }
    end.extend(lines.iter().skip(first).map(|line| shown(line)));
    end
}

/// A line as a terminal may have it.
fn shown(line: &str) -> String {
    let mut cuts = (0..=LINE_BYTES_MAX.min(line.len())).rev();
    let cut = cuts.find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    let mut shown = String::new();
    for c in line[..cut].chars() {
        if c.is_control() && c != '\t' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if cut < line.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(parts: &[(u64, &str)]) -> Vec<Timed> {
        let timed = |event| Timed {
            host_ms: 0,
            uptime_ms: 0,
            event,
        };
        let mut events = vec![timed(Event::Begin)];
        events.extend(parts.iter().map(|(left_out, text)| {
            timed(Event::Output {
                left_out: *left_out,
                text: (*text).to_owned(),
            })
        }));
        events
    }

    #[test]
    fn parts_become_one_text_again() {
        let parts = events(&[(0, "a\nb"), (0, "c\n\n"), (0, "d")]);
        assert_eq!(text(&parts), "a\nbc\n\nd");
        assert_eq!(end(&parts, 3, "output.log"), ["a", "bc", "d"]);
        assert_eq!(
            end(&parts, 2, "output.log"),
            ["the output ends with these lines; output.log has 3 lines:", "bc", "d"]
        );
        assert_eq!(end(&events(&[]), 2, "output.log"), [""; 0]);
    }

    #[test]
    fn what_is_left_out_is_said() {
        let parts = events(&[(0, "a\nb"), (70, "c\n")]);
        assert_eq!(text(&parts), "a\nb\n[bioscope: 70 bytes are left out here]\nc\n");
        let end = end(&parts, 9, "output.log");
        assert_eq!(
            end[0],
            "the output ends with these lines; output.log has 4 lines, and lacks 70 bytes of its middle:"
        );
        assert_eq!(end.last().map(String::as_str), Some("c"));
    }

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        assert_eq!(shown("\u{1b}[2Jx\ty\u{e9}"), "\\u{1b}[2Jx\ty\u{e9}");
        let long = shown(&"é".repeat(400));
        assert!(long.ends_with('…') && long.len() <= LINE_BYTES_MAX + '…'.len_utf8());
    }
}
