//! Rules from text: words first, then the action with its keys. Every error knows its column.

use std::str::FromStr;

use super::action::parse_action;
use super::action::{Action, Until};
use super::error::{Problem, RuleError, hint};
use super::rule::Rule;
use super::trigger::{Event, Matcher, Trigger, Watch};
use super::units::parse_time;
use super::values::{Arg, Args, is_name, without_value};
use super::word::{KeyWord, Misfit, OP_NAMES, Word};
use super::words;
use crate::op::Op;

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

fn parse_rule(text: &str) -> Result<Rule, Misfit> {
    let words = split_words(Word { text, column: 1 })?;
    let Some((action_word, rest)) = words.split_first() else {
        let problem = Problem::Empty {
            expected: list(words::action_names()),
        };
        return Err(Misfit {
            column: 1,
            width: 1,
            problem,
        });
    };
    let Some(action) = words::action(action_word.text) else {
        let found = action_word.text;
        return Err(action_word.misfit(Problem::UnknownAction {
            found: found.to_owned(),
            expected: list(words::action_names()),
            hint: hint(found, words::action_names()),
        }));
    };
    let known = words::keys_of(action);
    let (op, op_word, rest) = parse_op(rest, &known)?;
    let mut args = Args::parse(*action_word, rest, &known)?;
    let words = ["until", "name", "after", "before"].map(|key| args.word(key));
    let action = parse_action(&mut args, parse_until)?;
    // Whatever operation a rule for any names, it means those that its action can be done to.
    let only = op.or(action.ops().only());
    let trigger = Trigger {
        matcher: Matcher {
            op,
            ..parse_matcher(only, &mut args)?
        },
        ..parse_trigger(only, &mut args)?
    };
    if let Some(op) = trigger.matcher.op.filter(|op| !action.goes_with(*op)) {
        return Err(op_word.unwrap_or(*action_word).misfit(Problem::WrongOp {
            what: action.name(),
            op: op.name(),
            expected: action.ops().expected(),
        }));
    }
    let set = args.take("set").map(Arg::var).transpose()?;
    let name = args.take("name").map(Arg::ident).transpose()?;
    let rule = Rule {
        name,
        action,
        trigger,
        set,
    };
    refuse_never(&rule, words)?;
    Ok(rule)
}

/// Refuses a rule that no request can ever meet, by its words with `until`, `name`, `after` and `before`.
fn refuse_never(rule: &Rule, [until, name, after, before]: [Option<Word<'_>>; 4]) -> Result<(), Misfit> {
    let never = |word: Option<Word<'_>>, other: Option<Word<'_>>, why| match (word, other) {
        (Some(word), Some(other)) => Err(word.misfit(Problem::Never {
            word: word.text.to_owned(),
            other: other.text.to_owned(),
            why,
        })),
        _ => Ok(()),
    };
    let Trigger {
        after: Some(event),
        before: until_then,
        ..
    } = &rule.trigger
    else {
        return Ok(());
    };
    if until_then.as_ref() == Some(event) {
        return never(before, after, "what has happened stays so");
    }
    match (event, &rule.action) {
        (Event::Rule(other), _) if rule.name.as_ref() == Some(other) => {
            never(after, name, "a rule is not applied before itself")
        }
        (
            Event::Mark(mark),
            Action::Hold {
                until: Until::Mark(awaited),
                ..
            },
        ) if mark == awaited => never(after, until, "nothing is held until a mark that was made"),
        _ => Ok(()),
    }
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
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

/// The optional operation at the head of `words`; these keys are known after it.
fn parse_op<'w, 'a>(words: &'w [Word<'a>], known: &[&KeyWord]) -> Result<OpAndRest<'w, 'a>, Misfit> {
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
            hint: without_value(word.text, known).unwrap_or_else(|| hint(word.text, OP_NAMES)),
        })),
    }
}

/// All of a trigger but its matcher.
fn parse_trigger(op: Option<Op>, args: &mut Args<'_>) -> Result<Trigger, Misfit> {
    let nth = args.take("nth").map(Arg::count).transpose()?;
    let every = args.take("every");
    if let (Some(_), Some(every)) = (nth, &every) {
        return Err(every.word.misfit(Problem::Exclude {
            key: "every",
            other: "nth",
        }));
    }
    let covers = args.take("covers");
    if let (Some(Op::Flush), Some(covers)) = (op, &covers) {
        return Err(covers.word.misfit(Problem::WrongOp {
            what: "covers",
            op: "flush",
            expected: "read, write, discard, write-zeroes or any".to_owned(),
        }));
    }
    Ok(Trigger {
        matcher: Matcher::default(),
        nth,
        every: every.map(Arg::count).transpose()?,
        probability: args.take("p").map(Arg::probability).transpose()?,
        limit: args.take("limit").map(Arg::count).transpose()?,
        first_after: args.take("first-after").map(Arg::op).transpose()?,
        covers: covers.map(Arg::sectors).transpose()?,
        after: args.take("after").map(Arg::event).transpose()?,
        before: args.take("before").map(Arg::event).transpose()?,
        when: args.take("when").map(Arg::var).transpose()?,
    })
}

fn parse_matcher(op: Option<Op>, args: &mut Args<'_>) -> Result<Matcher, Misfit> {
    let sectors = args.take("sectors");
    let payload = args.take("payload");
    if let (Some(op), Some(arg)) = (op.filter(|op| *op != Op::Write), &payload) {
        let problem = Problem::WrongOp {
            what: "payload",
            op: op.name(),
            expected: "write or any".to_owned(),
        };
        return Err(arg.word.misfit(problem));
    }
    let (len, align) = (args.take("len"), args.take("align"));
    for (what, arg) in [("sectors", &sectors), ("len", &len), ("align", &align)] {
        if let (Some(Op::Flush), Some(arg)) = (op, arg) {
            return Err(arg.word.misfit(Problem::WrongOp {
                what,
                op: "flush",
                expected: "read, write, discard, write-zeroes or any".to_owned(),
            }));
        }
    }
    Ok(Matcher {
        op,
        sectors: sectors.map(Arg::sectors).transpose()?,
        len: len.map(Arg::len_range).transpose()?,
        align: align.map(Arg::align).transpose()?,
        queue: args.take("queue").map(Arg::queue).transpose()?,
        payload: payload.map(Arg::payload).transpose()?,
    })
}

/// The trigger in `next(…)` and `done(…)`.
fn parse_watch(text: Word<'_>) -> Result<Watch, Misfit> {
    let words = split_words(text)?;
    let nth = words::RULE_KEYS.iter().filter(|key| key.name == "nth");
    let known: Vec<&KeyWord> = words::MATCHER_KEYS.iter().chain(nth).collect();
    let (op, _, rest) = parse_op(&words, &known)?;
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

/// What a request waits for.
fn parse_until(arg: Arg<'_>) -> Result<Until, Misfit> {
    let text = arg.value.text;
    if text == "release" {
        return Ok(Until::Release);
    }
    if let Some(time) = parse_time(text) {
        return Ok(Until::Time(time));
    }
    let inner = |head: &str| text.strip_prefix(head).and_then(|rest| rest.strip_suffix(')'));
    if let Some(name) = inner("mark(").filter(|name| is_name(name)) {
        return Ok(Until::Mark(name.to_owned()));
    }
    for (head, make) in [("next(", Until::Next as fn(Watch) -> Until), ("done(", Until::Done)] {
        if let Some(inner) = inner(head) {
            return Ok(make(parse_watch(Word {
                text: inner,
                column: arg.value.column + head.len(),
            })?));
        }
    }
    let expected = "next(TRIGGER), done(TRIGGER), mark(NAME), release or a time of at most 3600s like 500ms";
    Err(arg.bad_hint(expected, hint(text, ["release"])))
}
