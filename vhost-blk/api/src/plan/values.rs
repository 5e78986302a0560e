//! The `key=value` words of a rule and what their values can be.

use std::ops::Range;
use std::time::Duration;

use super::action::{Sectors, Span, Window};
use super::error::{Problem, hint};
use super::trigger::{Align, Event, PREFIX_BYTES, PayloadMatch, Var};
use super::units::{parse_bytes, parse_time};
use super::word::{KeyWord, Misfit, OP_NAMES, Word};
use crate::op::Op;

/// The `key=value` words of a rule, taken out one by one.
pub(super) struct Args<'a> {
    /// The action's word, for messages.
    pub(super) action: Word<'a>,
    left: Vec<Arg<'a>>,
}

/// One `key=value`.
#[derive(Clone, Copy)]
pub(super) struct Arg<'a> {
    /// The whole of it.
    pub(super) word: Word<'a>,
    key: &'a str,
    pub(super) value: Word<'a>,
}

impl<'a> Args<'a> {
    pub(super) fn parse(action: Word<'a>, words: &[Word<'a>], known: &[&KeyWord]) -> Result<Self, Misfit> {
        let names = || known.iter().map(|key| key.name);
        let mut left: Vec<Arg<'a>> = Vec::new();
        for word in words {
            let Some((key, value)) = word.text.split_once('=') else {
                let hint = if OP_NAMES.contains(&word.text) {
                    "; an operation stands right after the action".to_owned()
                } else {
                    without_value(word.text, known).unwrap_or_else(|| hint(word.text, names()))
                };
                return Err(word.misfit(Problem::NotKeyValue {
                    found: word.text.to_owned(),
                    hint,
                }));
            };
            let key_word = Word {
                text: key,
                column: word.column,
            };
            if !names().any(|name| name == key) {
                return Err(key_word.misfit(Problem::UnknownKey {
                    found: key.to_owned(),
                    what: action.text.to_owned(),
                    expected: names().collect::<Vec<_>>().join(", "),
                    hint: if key == "op" {
                        "; an operation stands right after the action, by itself".to_owned()
                    } else {
                        hint(key, names())
                    },
                }));
            }
            if let Some(first) = left.iter().find(|arg| arg.key == key) {
                let problem = Problem::Twice {
                    key: key.to_owned(),
                    first: first.word.column,
                };
                return Err(key_word.misfit(problem));
            }
            let value = Word {
                text: value,
                column: word.column + key.chars().count() + 1,
            };
            left.push(Arg {
                word: *word,
                key,
                value,
            });
        }
        Ok(Args { action, left })
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Arg<'a>> {
        let index = self.left.iter().position(|arg| arg.key == key)?;
        Some(self.left.remove(index))
    }

    /// A key's whole word, which stays.
    pub(super) fn word(&self, key: &str) -> Option<Word<'a>> {
        self.left.iter().find(|arg| arg.key == key).map(|arg| arg.word)
    }

    pub(super) fn need(&mut self, key: &'static str, example: &'static str) -> Result<Arg<'a>, Misfit> {
        let action = self.action;
        self.take(key).ok_or_else(|| {
            action.misfit(Problem::Missing {
                action: action.text.to_owned(),
                key,
                example,
            })
        })
    }
}

impl Arg<'_> {
    pub(super) fn bad(&self, expected: &'static str) -> Misfit {
        self.bad_hint(expected, String::new())
    }

    pub(super) fn bad_hint(&self, expected: &'static str, hint: String) -> Misfit {
        let problem = Problem::BadValue {
            key: self.key.to_owned(),
            value: self.value.text.to_owned(),
            expected,
            hint,
        };
        // An empty value has no width of its own: point at the key.
        if self.value.text.is_empty() {
            self.word.misfit(problem)
        } else {
            self.value.misfit(problem)
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        number(self.value.text)
    }

    pub(super) fn count(self) -> Result<u64, Misfit> {
        self.number()
            .filter(|count| *count > 0)
            .ok_or_else(|| self.bad("a number from 1"))
    }

    pub(super) fn window(self) -> Result<Window, Misfit> {
        if self.value.text == "epoch" {
            return Ok(Window::Epoch);
        }
        self.number()
            .and_then(|window| usize::try_from(window).ok())
            .filter(|window| (2..=Window::MAX).contains(window))
            .map(Window::Count)
            .ok_or_else(|| self.bad_hint("a number from 2 to 1024, or epoch", hint(self.value.text, ["epoch"])))
    }

    pub(super) fn queue(self) -> Result<u16, Misfit> {
        self.number()
            .and_then(|queue| u16::try_from(queue).ok())
            .ok_or_else(|| self.bad("the number of a virtqueue, from 0"))
    }

    /// `1bit`, `8bits` or just the number.
    pub(super) fn bits(self) -> Result<u32, Misfit> {
        let text = self.value.text;
        let digits = text.strip_suffix("bits").or(text.strip_suffix("bit")).unwrap_or(text);
        number(digits)
            .and_then(|bits| u32::try_from(bits).ok())
            .filter(|bits| (1..=4096).contains(bits))
            .ok_or_else(|| self.bad("a number of bits from 1bit to 4096bit"))
    }

    /// A number of sectors, or all of them.
    pub(super) fn row(self) -> Result<Sectors, Misfit> {
        if self.value.text == "all" {
            return Ok(Sectors::All);
        }
        self.number()
            .and_then(|sectors| u32::try_from(sectors).ok())
            .filter(|sectors| *sectors > 0)
            .map(Sectors::Some)
            .ok_or_else(|| self.bad("a number of sectors from 1, or all"))
    }

    /// Sectors further on, or back.
    pub(super) fn offset(self) -> Result<i64, Misfit> {
        let text = self.value.text;
        let (back, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        number(digits)
            .and_then(|sectors| i64::try_from(sectors).ok())
            .filter(|sectors| *sectors > 0)
            .map(|sectors| if back { -sectors } else { sectors })
            .ok_or_else(|| self.bad("a number of sectors other than 0, like 8 or -8"))
    }

    pub(super) fn align(self) -> Result<Align, Misfit> {
        let text = self.value.text;
        let bytes = |text: &str| parse_bytes(text).filter(|bytes| *bytes >= 512 && bytes.is_power_of_two());
        let align = match text.strip_prefix("not(").and_then(|rest| rest.strip_suffix(')')) {
            Some(inner) => bytes(inner).map(Align::Off),
            None => bytes(text).map(Align::To),
        };
        align.ok_or_else(|| self.bad("a power of two from 512, like 4k, or not(4k)"))
    }

    pub(super) fn op(self) -> Result<Op, Misfit> {
        let names = Op::MATCHABLE.map(Op::name);
        Op::MATCHABLE
            .into_iter()
            .find(|op| op.name() == self.value.text)
            .ok_or_else(|| {
                self.bad_hint(
                    "read, write, flush, discard or write-zeroes",
                    hint(self.value.text, names),
                )
            })
    }

    pub(super) fn event(self) -> Result<Event, Misfit> {
        let text = self.value.text;
        let inner = |head: &str| text.strip_prefix(head).and_then(|rest| rest.strip_suffix(')'));
        for (head, make) in [("rule(", Event::Rule as fn(String) -> Event), ("mark(", Event::Mark)] {
            if let Some(name) = inner(head).filter(|name| is_name(name)) {
                return Ok(make(name.to_owned()));
            }
        }
        Err(self.bad("rule(NAME) or mark(NAME)"))
    }

    pub(super) fn var(self) -> Result<Var, Misfit> {
        Var::read(self.value.text).ok_or_else(|| self.bad("a variable and a number, like phase:2"))
    }

    pub(super) fn time(self) -> Result<Duration, Misfit> {
        parse_time(self.value.text).ok_or_else(|| self.bad("a time of at most 3600s, like 500us, 20ms or 5s"))
    }

    pub(super) fn bytes(self) -> Result<u64, Misfit> {
        parse_bytes(self.value.text).ok_or_else(|| self.bad("a number of bytes, like 512, 4k, 2M or 1G"))
    }

    pub(super) fn probability(self) -> Result<f64, Misfit> {
        let plain = self
            .value
            .text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let value = self
            .value
            .text
            .parse::<f64>()
            .ok()
            .filter(|p| plain && (0.0..=1.0).contains(p));
        value.ok_or_else(|| self.bad("a probability from 0 to 1, like 0.1"))
    }

    pub(super) fn choice<T: Copy, const N: usize>(
        self,
        all: [T; N],
        name: fn(T) -> &'static str,
        expected: &'static str,
    ) -> Result<T, Misfit> {
        all.into_iter()
            .find(|item| name(*item) == self.value.text)
            .ok_or_else(|| self.bad_hint(expected, hint(self.value.text, all.map(name))))
    }

    pub(super) fn ident(self) -> Result<String, Misfit> {
        if is_name(self.value.text) {
            Ok(self.value.text.to_owned())
        } else {
            Err(self.bad("a name of letters, digits, `_` and `-`"))
        }
    }

    pub(super) fn span(self) -> Result<Span, Misfit> {
        let expected = "a time of at most 3600s like 20ms, or a range like 20ms..80ms";
        let (min, max) = self
            .value
            .text
            .split_once("..")
            .unwrap_or((self.value.text, self.value.text));
        match (parse_time(min), parse_time(max)) {
            (Some(min), Some(max)) if min <= max => Ok(Span { min, max }),
            (Some(_), Some(_)) => Err(self.bad("a range with the shorter time first, like 20ms..80ms")),
            _ => Err(self.bad(expected)),
        }
    }

    pub(super) fn sectors(self) -> Result<Range<u64>, Misfit> {
        let bad = || self.bad("sectors of 512 bytes, A..B with A < B");
        let (start, end) = self.value.text.split_once("..").ok_or_else(bad)?;
        let number = |text: &str| parse_bytes(text).filter(|_| text.ends_with(|c: char| c.is_ascii_digit()));
        match (number(start), number(end)) {
            (Some(start), Some(end)) if start < end => Ok(start..end),
            _ => Err(bad()),
        }
    }

    pub(super) fn len_range(self) -> Result<Range<u64>, Misfit> {
        let bad = || self.bad("bytes like 4k, or A..B with A < B (B not included)");
        match self.value.text.split_once("..") {
            None => {
                let len = parse_bytes(self.value.text).ok_or_else(bad)?;
                Ok(len..len.checked_add(1).ok_or_else(bad)?)
            }
            Some((start, end)) => match (parse_bytes(start), parse_bytes(end)) {
                (Some(start), Some(end)) if start < end => Ok(start..end),
                _ => Err(bad()),
            },
        }
    }

    pub(super) fn payload(self) -> Result<PayloadMatch, Misfit> {
        let bad = || self.bad("tag:F or tag:F.P with numbers F (tag) and P (page), or hex: and up to 32 bytes");
        if let Some(digits) = self.value.text.strip_prefix("hex:") {
            return bytes_of(digits).map(PayloadMatch::Prefix).ok_or_else(bad);
        }
        let text = self.value.text.strip_prefix("tag:").ok_or_else(bad)?;
        let (tag, page) = match text.split_once('.') {
            Some((tag, page)) => (number(tag), Some(number(page).ok_or_else(bad)?)),
            None => (number(text), None),
        };
        Ok(PayloadMatch::Tag {
            tag: tag.ok_or_else(bad)?,
            page,
        })
    }
}

/// The hint for a known key that stands without a value; nothing for another word.
pub(super) fn without_value(word: &str, known: &[&KeyWord]) -> Option<String> {
    let key = known.iter().find(|key| key.name == word)?;
    Some(format!("; write {}", key.ways()))
}

impl Var {
    /// Reads `NAME:VALUE`.
    #[must_use]
    pub fn read(text: &str) -> Option<Var> {
        let (name, value) = text.split_once(':')?;
        is_name(name).then_some(())?;
        Some(Var {
            name: name.to_owned(),
            value: number(value)?,
        })
    }
}

/// A number without a sign.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Whether rules, marks and variables can have this name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Bytes from pairs of hexadecimal digits.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() || pairs.len() > PREFIX_BYTES {
        return None;
    }
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    pairs
        .iter()
        .map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?))
        .collect()
}
