//! Names, probabilities and conclusions as a person reads them.

use crate::search::{Conclusion, End};

/// A name as a person writes it: a commit by its first letters.
#[must_use]
pub fn short(name: &str) -> &str {
    let is_commit = name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_commit { &name[..12] } else { name }
}

/// What a search came to, in a line: "6.1.90 (99.8 %)".
#[must_use]
pub fn describe(conclusion: &Conclusion, names: &[String]) -> String {
    let name = |item: &usize| names.get(*item).map_or("none", |name| short(name));
    match conclusion {
        Conclusion::Found { item, probability } => format!("{} ({})", name(item), percent(*probability)),
        Conclusion::Among { items, probability } => {
            let items: Vec<&str> = items.iter().map(|(item, _)| name(item)).collect();
            format!("one of {} ({})", items.join(", "), percent(*probability))
        }
        Conclusion::BadEndPasses { passed, rate_below } => format!(
            "the bad end passed {passed} times and never failed: if it fails at all, then (with 95 %) in less than {} \
            of its runs",
            percent(*rate_below)
        ),
        Conclusion::GoodEndFails { probability } => format!("the good end fails, too ({})", percent(*probability)),
        Conclusion::EndUntestable(End::Bad) => "the bad end cannot be tested".to_owned(),
        Conclusion::EndUntestable(End::Good) => "the good end cannot be tested".to_owned(),
        Conclusion::Contradiction => {
            "no single change explains the runs: what fails and what passes do not lie apart in this range".to_owned()
        }
    }
}

/// A probability for a person: never 100 %, for none is.
#[must_use]
pub fn percent(probability: f64) -> String {
    let percent = probability * 100.0;
    if percent > 99.99 {
        "more than 99.99 %".to_owned()
    } else if percent >= 99.0 {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.1} %")
    }
}
