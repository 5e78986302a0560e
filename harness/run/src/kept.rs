//! What of ours keeps a disk from answering.

use vhost_blk_api::control::{RuleStatus, Stats};
use vhost_blk_api::plan::{Action, Rule};

/// What keeps requests from ever being answered, if something does: a rule's name, or a command. `begin` is how the
/// device stood when the job began.
pub(crate) fn for_ever(begin: &Stats, now: &Stats, rules: &[RuleStatus]) -> Option<String> {
    let did = |wanted: fn(&Action) -> bool, command: &str| {
        let rule = rules.iter().find(|rule| rule.hits > 0 && does(rule, wanted));
        Some(rule.map_or_else(|| format!("the command `{command}`"), named))
    };
    // What was out when the power went is never answered, even if it has come back.
    if now.dark || now.cuts > begin.cuts {
        return did(|action| matches!(action, Action::Cut { .. }), "cut");
    }
    if !now.connected || now.connections > begin.connections {
        return did(|action| matches!(action, Action::Disconnect), "disconnect");
    }
    let holding = rules.iter().filter(|rule| rule.holding > 0);
    let hangs = |rule: &RuleStatus| does(rule, |action| matches!(action, Action::Hang));
    // Others let go by themselves, sooner or later.
    let all_hang = now.held >= now.outstanding && holding.clone().all(hangs);
    holding.clone().next().filter(|_| all_hang).map(named)
}

/// The rule that makes a request wait, for however long.
pub(crate) fn now(rules: &[RuleStatus]) -> Option<String> {
    rules.iter().find(|rule| rule.holding > 0).map(named)
}

fn named(rule: &RuleStatus) -> String {
    format!("the rule {} (`{}`)", rule.name, rule.text)
}

fn does(rule: &RuleStatus, wanted: fn(&Action) -> bool) -> bool {
    rule.text.parse::<Rule>().is_ok_and(|rule| wanted(&rule.action))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str, hits: u64, holding: usize) -> RuleStatus {
        RuleStatus {
            name: "r1".to_owned(),
            text: text.to_owned(),
            seen: hits,
            hits,
            holding,
        }
    }

    fn stats(change: impl Fn(&mut Stats)) -> Stats {
        let mut stats = Stats {
            connected: true,
            connections: 1,
            ..Stats::default()
        };
        change(&mut stats);
        stats
    }

    #[test]
    fn a_rule_that_hangs_and_one_that_will_let_go() {
        let begin = stats(|_| {});
        let held = stats(|stats| (stats.outstanding, stats.held) = (1, 1));
        let hang = rule("hang write nth=1", 1, 1);
        assert_eq!(
            for_ever(&begin, &held, std::slice::from_ref(&hang)).as_deref(),
            Some("the rule r1 (`hang write nth=1`)")
        );
        let hold = rule("hold write until=release max=30s", 1, 1);
        assert_eq!(for_ever(&begin, &held, &[hang.clone(), hold.clone()]), None);
        assert!(now(&[hold]).is_some() && now(&[rule("hang write nth=1", 0, 0)]).is_none());
        // The device has another one, which it will answer.
        let more = stats(|stats| (stats.outstanding, stats.held) = (2, 1));
        assert_eq!(for_ever(&begin, &more, &[hang]), None);
    }

    #[test]
    fn a_disk_that_was_cut_or_hung_up() {
        let begin = stats(|_| {});
        let dark = stats(|stats| (stats.dark, stats.cuts) = (true, 1));
        assert_eq!(
            for_ever(&begin, &dark, &[rule("cut write nth=3 lose=all", 1, 0)]).as_deref(),
            Some("the rule r1 (`cut write nth=3 lose=all`)")
        );
        assert_eq!(for_ever(&begin, &dark, &[]).as_deref(), Some("the command `cut`"));
        let came_back = stats(|stats| stats.cuts = 1);
        assert!(for_ever(&begin, &came_back, &[]).is_some());
        assert_eq!(for_ever(&came_back, &came_back, &[]), None, "an earlier case's cut");
        let hung_up = stats(|stats| stats.connected = false);
        assert_eq!(
            for_ever(&begin, &hung_up, &[rule("disconnect write nth=1", 1, 0)]).as_deref(),
            Some("the rule r1 (`disconnect write nth=1`)")
        );
    }
}
