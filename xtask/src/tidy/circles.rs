//! Circles in a graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// For each group of names that all lead to each other: every pair that leads to each other, or else a shortest
/// circle. A circle begins with its least name.
pub(crate) fn find<'a>(arrows: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Vec<&'a str>> {
    let mut graph = Graph::new();
    for (from, to) in arrows {
        graph.entry(from).or_default().insert(to);
        graph.entry(to).or_default();
    }
    let mut circles = Vec::new();
    for group in groups(&graph) {
        let inside = |from: &'a str| {
            graph
                .get(from)
                .into_iter()
                .flatten()
                .copied()
                .filter(|to| group.contains(to))
        };
        let mut pairs = Vec::new();
        for &from in &group {
            for to in inside(from).filter(|to| from <= *to) {
                if from == to {
                    pairs.push(vec![from]);
                } else if inside(to).any(|back| back == from) {
                    pairs.push(vec![from, to]);
                }
            }
        }
        if pairs.is_empty() {
            let shortest = group
                .iter()
                .filter_map(|from| shortest(from, &inside))
                .min_by_key(Vec::len);
            pairs.extend(shortest);
        }
        circles.extend(pairs);
    }
    circles
}

/// The names that can be reached from each other by this graph, for each name in a circle how many there are.
pub(crate) fn group_sizes<'a>(arrows: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<&'a str, usize> {
    let mut graph = Graph::new();
    for (from, to) in arrows {
        graph.entry(from).or_default().insert(to);
    }
    let sized = |group: BTreeSet<&'a str>| {
        let size = group.len();
        group.into_iter().map(move |name| (name, size))
    };
    groups(&graph).into_iter().flat_map(sized).collect()
}

/// `a -> b -> a`.
pub(crate) fn show(circle: &[&str]) -> String {
    let names: Vec<&str> = circle.iter().chain(circle.first()).copied().collect();
    names.join(" -> ")
}

/// Names that lead to each other, or one that leads to itself.
fn groups<'a>(graph: &Graph<'a>) -> Vec<BTreeSet<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph.keys().map(|name| (*name, reach(graph, name))).collect();
    let mut groups: Vec<BTreeSet<&str>> = Vec::new();
    for (name, from_here) in &reached {
        if !from_here.contains(name) || groups.iter().any(|group| group.contains(name)) {
            continue;
        }
        let leads_back = |other: &&&str| reached.get(**other).is_some_and(|reached| reached.contains(name));
        groups.push(from_here.iter().filter(leads_back).copied().collect());
    }
    groups
}

/// What one or more arrows lead to.
fn reach<'a>(graph: &Graph<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&str> = graph.get(from).into_iter().flatten().copied().collect();
    while let Some(name) = waiting.pop() {
        if reached.insert(name) {
            waiting.extend(graph.get(name).into_iter().flatten().copied());
        }
    }
    reached
}

/// A shortest way back, if this is the least name of it.
fn shortest<'a, I: Iterator<Item = &'a str>>(from: &'a str, next: &impl Fn(&'a str) -> I) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for to in next(way.last().copied()?) {
            if to == from {
                return Some(way);
            }
            if seen.insert(to) {
                ways.push_back(way.iter().copied().chain([to]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(arrows: &[(&str, &str)]) -> Vec<String> {
        let circles = find(arrows.iter().copied());
        circles.iter().map(|circle| show(circle)).collect()
    }

    #[test]
    fn circles_are_found() {
        assert_eq!(found(&[("a", "a")]), ["a -> a"]);
        assert_eq!(found(&[("b", "a"), ("a", "b"), ("c", "a")]), ["a -> b -> a"]);
        assert_eq!(
            found(&[("b", "c"), ("c", "d"), ("d", "b"), ("a", "b")]),
            ["b -> c -> d -> b"]
        );
        // Two that have nothing to do with each other; one of two pairs.
        let two = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c")];
        assert_eq!(found(&two), ["a -> b -> a", "c -> d -> c"]);
        let one = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")];
        assert_eq!(found(&one), ["a -> b -> a", "b -> c -> b"]);
        assert_eq!(group_sizes(one.into_iter()).get("a"), Some(&3));
    }

    #[test]
    fn a_graph_without_is_clean() {
        let lattice = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")];
        assert_eq!(found(&lattice), [""; 0]);
        assert!(group_sizes(lattice.into_iter()).is_empty());
    }
}
