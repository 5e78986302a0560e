//! Rules from text: words first, then the action with its keys. Every error knows its column.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use super::error::{Problem, RuleError, hint};
use super::units::{parse_bytes, parse_time};
use super::{Action, FailStatus, Matcher, Order, PayloadMatch, Rule, ShortStatus, Span, Trigger, Until, Watch};
use crate::op::Op;

const OP_NAMES: [&str; 6] = ["read", "write", "flush", "discard", "write-zeroes", "any"];
const MATCHER_KEYS: [&str; 3] = ["sectors", "len", "payload"];
const TRIGGER_KEYS: [&str; 8] = ["sectors", "len", "payload", "nth", "every", "p", "limit", "name"];

/// Longest window of a reordering rule: a driver's largest queue.
const WINDOW_MAX: u64 = 1024;

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Rule, RuleError> {
        parse_rule(text).map_err(|Misfit { column, width, problem }| RuleError {
            text: text.to_owned(),
            column,
            width,
            problem: Box::new(problem),
        })
    }
}

/// A [`RuleError`] before the whole text is put in.
struct Misfit {
    column: usize,
    width: usize,
    problem: Problem,
}

/// A piece of the rule with its column (in characters, from 1).
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    column: usize,
}

impl Word<'_> {
    fn misfit(self, problem: Problem) -> Misfit {
        Misfit {
            column: self.column,
            width: self.text.chars().count(),
            problem,
        }
    }
}

fn parse_rule(text: &str) -> Result<Rule, Misfit> {
    let words = split_words(Word { text, column: 1 })?;
    let Some((action_word, rest)) = words.split_first() else {
        let problem = Problem::Empty {
            expected: Action::NAMES.join(", "),
        };
        return Err(Misfit {
            column: 1,
            width: 1,
            problem,
        });
    };
    let action_keys: &[&str] = match action_word.text {
        "fail" => &["status"],
        "delay" => &["for"],
        "hold" => &["until", "max"],
        "reorder" => &["window", "order", "max"],
        "short" => &["bytes", "then"],
        found => {
            return Err(action_word.misfit(Problem::UnknownAction {
                found: found.to_owned(),
                expected: Action::NAMES.join(", "),
                hint: hint(found, Action::NAMES),
            }));
        }
    };
    let (op, op_word, rest) = parse_op(rest)?;
    let known: Vec<&str> = action_keys.iter().chain(&TRIGGER_KEYS).copied().collect();
    let mut args = Args::parse(*action_word, rest, &known)?;
    let action = parse_action(&mut args)?;
    let trigger = parse_trigger(op, &mut args)?;
    if matches!(action, Action::Short { .. }) && trigger.matcher.op.is_some_and(|op| !op.moves_data()) {
        let op = op_word.unwrap_or(*action_word);
        return Err(op.misfit(Problem::WrongOp {
            what: "short",
            op: trigger.matcher.op.map_or("any", Op::name),
            expected: "read, write or any",
        }));
    }
    let name = args.take("name").map(Arg::ident).transpose()?;
    Ok(Rule { name, action, trigger })
}

/// Splits at blanks outside parentheses; ` # …` to the end is a comment.
fn split_words(line: Word<'_>) -> Result<Vec<Word<'_>>, Misfit> {
    let mut words = Vec::new();
    let mut start: Option<(usize, usize)> = None;
    let mut open: Vec<usize> = Vec::new();
    let mut end = line.text.len();
    let at = |column| line.column + column;
    for (column, (index, c)) in line.text.char_indices().enumerate() {
        match c {
            '(' => open.push(column),
            ')' if open.pop().is_none() => {
                return Err(Misfit {
                    column: at(column),
                    width: 1,
                    problem: Problem::Parenthesis { found: c },
                });
            }
            '#' if start.is_none() && open.is_empty() => {
                end = index;
                break;
            }
            _ => {}
        }
        if c.is_whitespace() && open.is_empty() {
            if let Some((from, column)) = start.take() {
                words.push(Word {
                    text: &line.text[from..index],
                    column: at(column),
                });
            }
        } else if start.is_none() {
            start = Some((index, column));
        }
    }
    if let Some(column) = open.pop() {
        return Err(Misfit {
            column: at(column),
            width: 1,
            problem: Problem::Parenthesis { found: '(' },
        });
    }
    if let Some((from, column)) = start {
        words.push(Word {
            text: &line.text[from..end],
            column: at(column),
        });
    }
    Ok(words)
}

type OpAndRest<'w, 'a> = (Option<Op>, Option<Word<'a>>, &'w [Word<'a>]);

/// The optional operation at the head of `words`.
fn parse_op<'w, 'a>(words: &'w [Word<'a>]) -> Result<OpAndRest<'w, 'a>, Misfit> {
    let Some((word, rest)) = words.split_first().filter(|(word, _)| !word.text.contains('=')) else {
        return Ok((None, None, words));
    };
    if word.text == "any" {
        return Ok((None, Some(*word), rest));
    }
    match Op::MATCHABLE.into_iter().find(|op| op.name() == word.text) {
        Some(op) => Ok((Some(op), Some(*word), rest)),
        None => Err(word.misfit(Problem::UnknownOp {
            found: word.text.to_owned(),
            expected: OP_NAMES.join(", "),
            hint: hint(word.text, OP_NAMES),
        })),
    }
}

fn parse_action(args: &mut Args<'_>) -> Result<Action, Misfit> {
    Ok(match args.action.text {
        "fail" => Action::Fail(match args.take("status") {
            Some(arg) => arg.choice(FailStatus::ALL, FailStatus::name, "ioerr or unsupp")?,
            None => FailStatus::IoErr,
        }),
        "delay" => Action::Delay(args.need("for", "delay write for=20ms..80ms")?.span()?),
        "hold" => {
            let until = args.need("until", "hold write nth=1 until=next(write)")?;
            let max = args.take("max");
            let until = until.until()?;
            if let (Until::Time(_), Some(max)) = (&until, &max) {
                return Err(max.word.misfit(Problem::Exclude {
                    key: "max",
                    other: "until=TIME",
                }));
            }
            Action::Hold {
                until,
                max: max.map_or(Ok(Action::HOLD_MAX_DEFAULT), Arg::time)?,
            }
        }
        "reorder" => Action::Reorder {
            window: args.need("window", "reorder write window=8 order=shuffle")?.window()?,
            order: args.need("order", "reorder write window=8 order=shuffle")?.choice(
                Order::ALL,
                Order::name,
                "reverse, shuffle or rotate",
            )?,
            max: args.take("max").map_or(Ok(Action::REORDER_MAX_DEFAULT), Arg::time)?,
        },
        _ => Action::Short {
            bytes: args.need("bytes", "short write bytes=4096 then=ioerr")?.bytes()?,
            then: args.need("then", "short write bytes=4096 then=ioerr")?.choice(
                ShortStatus::ALL,
                ShortStatus::name,
                "ioerr or ok",
            )?,
        },
    })
}

fn parse_trigger(op: Option<Op>, args: &mut Args<'_>) -> Result<Trigger, Misfit> {
    let matcher = parse_matcher(op, args)?;
    let nth = args.take("nth").map(Arg::count).transpose()?;
    let every = args.take("every");
    if let (Some(_), Some(every)) = (nth, &every) {
        return Err(every.word.misfit(Problem::Exclude {
            key: "every",
            other: "nth",
        }));
    }
    Ok(Trigger {
        matcher,
        nth,
        every: every.map(Arg::count).transpose()?,
        probability: args.take("p").map(Arg::probability).transpose()?,
        limit: args.take("limit").map(Arg::count).transpose()?,
    })
}

fn parse_matcher(op: Option<Op>, args: &mut Args<'_>) -> Result<Matcher, Misfit> {
    let sectors = args.take("sectors");
    let payload = args.take("payload");
    if let (Some(op), Some(arg)) = (op.filter(|op| *op != Op::Write), &payload) {
        let problem = Problem::WrongOp {
            what: "payload",
            op: op.name(),
            expected: "write or any",
        };
        return Err(arg.word.misfit(problem));
    }
    if let (Some(Op::Flush), Some(arg)) = (op, &sectors) {
        let expected = "read, write, discard, write-zeroes or any";
        return Err(arg.word.misfit(Problem::WrongOp {
            what: "sectors",
            op: "flush",
            expected,
        }));
    }
    Ok(Matcher {
        op,
        sectors: sectors.map(Arg::sectors).transpose()?,
        len: args.take("len").map(Arg::len_range).transpose()?,
        payload: payload.map(Arg::payload).transpose()?,
    })
}

/// The `key=value` words of a rule, taken out one by one.
struct Args<'a> {
    action: Word<'a>,
    left: Vec<Arg<'a>>,
}

/// One `key=value`.
#[derive(Clone, Copy)]
struct Arg<'a> {
    word: Word<'a>,
    key: &'a str,
    value: Word<'a>,
}

impl<'a> Args<'a> {
    fn parse(action: Word<'a>, words: &[Word<'a>], known: &[&str]) -> Result<Self, Misfit> {
        let mut left: Vec<Arg<'a>> = Vec::new();
        for word in words {
            let Some((key, value)) = word.text.split_once('=') else {
                let hint = if OP_NAMES.contains(&word.text) {
                    "; an operation stands right after the action".to_owned()
                } else {
                    hint(word.text, known.iter().copied())
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
            if !known.contains(&key) {
                return Err(key_word.misfit(Problem::UnknownKey {
                    found: key.to_owned(),
                    what: action.text.to_owned(),
                    expected: known.join(", "),
                    hint: hint(key, known.iter().copied()),
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

    fn take(&mut self, key: &str) -> Option<Arg<'a>> {
        let index = self.left.iter().position(|arg| arg.key == key)?;
        Some(self.left.remove(index))
    }

    fn need(&mut self, key: &'static str, example: &'static str) -> Result<Arg<'a>, Misfit> {
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
    fn bad(&self, expected: &'static str) -> Misfit {
        self.bad_hint(expected, String::new())
    }

    fn bad_hint(&self, expected: &'static str, hint: String) -> Misfit {
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

    fn number(&self) -> Option<u64> {
        let digits = self.value.text.bytes().all(|byte| byte.is_ascii_digit());
        self.value.text.parse().ok().filter(|_| digits)
    }

    fn count(self) -> Result<u64, Misfit> {
        self.number()
            .filter(|count| *count > 0)
            .ok_or_else(|| self.bad("a number from 1"))
    }

    fn window(self) -> Result<usize, Misfit> {
        self.number()
            .filter(|window| (2..=WINDOW_MAX).contains(window))
            .and_then(|window| usize::try_from(window).ok())
            .ok_or_else(|| self.bad("a number from 2 to 1024"))
    }

    fn time(self) -> Result<Duration, Misfit> {
        parse_time(self.value.text).ok_or_else(|| self.bad("a time of at most 3600s, like 500us, 20ms or 5s"))
    }

    fn bytes(self) -> Result<u64, Misfit> {
        parse_bytes(self.value.text).ok_or_else(|| self.bad("a number of bytes, like 512, 4k or 2M"))
    }

    fn probability(self) -> Result<f64, Misfit> {
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

    fn choice<T: Copy, const N: usize>(
        self,
        all: [T; N],
        name: fn(T) -> &'static str,
        expected: &'static str,
    ) -> Result<T, Misfit> {
        all.into_iter()
            .find(|item| name(*item) == self.value.text)
            .ok_or_else(|| self.bad_hint(expected, hint(self.value.text, all.map(name))))
    }

    fn ident(self) -> Result<String, Misfit> {
        let text = self.value.text;
        let good = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if good {
            Ok(text.to_owned())
        } else {
            Err(self.bad("a name of letters, digits, `_` and `-`"))
        }
    }

    fn span(self) -> Result<Span, Misfit> {
        let expected = "a time like 20ms, or a range like 20ms..80ms";
        let (min, max) = self
            .value
            .text
            .split_once("..")
            .unwrap_or((self.value.text, self.value.text));
        match (parse_time(min), parse_time(max)) {
            (Some(min), Some(max)) if min <= max => Ok(Span { min, max }),
            _ => Err(self.bad(expected)),
        }
    }

    fn sectors(self) -> Result<Range<u64>, Misfit> {
        let bad = || self.bad("sectors of 512 bytes, A..B with A < B");
        let (start, end) = self.value.text.split_once("..").ok_or_else(bad)?;
        let number = |text: &str| parse_bytes(text).filter(|_| text.ends_with(|c: char| c.is_ascii_digit()));
        match (number(start), number(end)) {
            (Some(start), Some(end)) if start < end => Ok(start..end),
            _ => Err(bad()),
        }
    }

    fn len_range(self) -> Result<Range<u64>, Misfit> {
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

    fn payload(self) -> Result<PayloadMatch, Misfit> {
        let bad = || self.bad("tag:F or tag:F.P with numbers F (tag) and P (page)");
        let text = self.value.text.strip_prefix("tag:").ok_or_else(bad)?;
        let number = |text: &str| {
            text.parse::<u64>()
                .ok()
                .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let (tag, page) = match text.split_once('.') {
            Some((tag, page)) => (number(tag), Some(number(page).ok_or_else(bad)?)),
            None => (number(text), None),
        };
        Ok(PayloadMatch {
            tag: tag.ok_or_else(bad)?,
            page,
        })
    }

    fn until(self) -> Result<Until, Misfit> {
        let text = self.value.text;
        if text == "release" {
            return Ok(Until::Release);
        }
        if let Some(time) = parse_time(text) {
            return Ok(Until::Time(time));
        }
        let inner = |head: &str| text.strip_prefix(head).and_then(|rest| rest.strip_suffix(')'));
        for (head, make) in [("next(", Until::Next as fn(Watch) -> Until), ("done(", Until::Done)] {
            if let Some(inner) = inner(head) {
                return Ok(make(parse_watch(Word {
                    text: inner,
                    column: self.value.column + head.len(),
                })?));
            }
        }
        let expected = "next(TRIGGER), done(TRIGGER), release or a time like 500ms";
        Err(self.bad_hint(expected, hint(text, ["release"])))
    }
}

/// The trigger in `next(…)` and `done(…)`.
fn parse_watch(text: Word<'_>) -> Result<Watch, Misfit> {
    let words = split_words(text)?;
    let (op, _, rest) = parse_op(&words)?;
    let known: Vec<&str> = MATCHER_KEYS.iter().copied().chain(["nth"]).collect();
    let mut args = Args::parse(
        Word {
            text: "a trigger to wait for",
            column: text.column,
        },
        rest,
        &known,
    )?;
    let matcher = parse_matcher(op, &mut args)?;
    Ok(Watch {
        matcher,
        nth: args.take("nth").map_or(Ok(1), Arg::count)?,
    })
}
