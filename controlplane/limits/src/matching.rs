//! Which limits a descriptor comes to.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use limit_rule::{Limit, Mode, Node, Rules, Set};

/// A limit that a descriptor comes to, with the count that is held against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// The object that it comes from.
    pub name: String,
    /// What is done.
    pub mode: Mode,
    /// The limit.
    pub limit: Limit,
    /// The entries that are counted together, as one text.
    pub counter: String,
    /// Where several descriptors have a limit of the same object, those of the highest weight count.
    pub weight: u32,
    /// Whether it counts whatever the weight of others.
    pub always_apply: bool,
}

/// The limits of a descriptor's entries, without the first one.
pub(crate) fn limits(rules: &Rules, entries: &[Entry]) -> Vec<Match> {
    let new = |limit, counter, weight, always_apply| Match {
        name: rules.name.clone(),
        mode: rules.mode,
        limit,
        counter,
        weight,
        always_apply,
    };
    let node = walk(&rules.tree, entries);
    let of_tree = node.and_then(|node| {
        let counter = counter(entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())));
        Some(new(node.limit?, counter, node.weight, node.always_apply))
    });
    let fitting = rules.sets.iter().filter_map(|set| Some((set, chosen(set, entries)?)));
    let of_sets = fitting.enumerate().filter(|(index, (set, _))| *index == 0 || set.always_apply);
    let of_sets = of_sets.map(|(_, (set, counter))| new(set.limit, counter, 0, true));
    of_tree.into_iter().chain(of_sets).collect()
}

/// The node that the entries lead to.
fn walk<'a>(nodes: &'a [Node], entries: &[Entry]) -> Option<&'a Node> {
    let (entry, rest) = entries.split_first()?;
    let of_key = || nodes.iter().filter(|node| node.key == entry.key);
    let exact = of_key().find(|node| node.value.as_ref() == Some(&entry.value));
    let node = exact.or_else(|| of_key().find(|node| node.value.is_none()))?;
    if rest.is_empty() { Some(node) } else { walk(&node.nodes, rest) }
}

/// The count of the entries that a set wants, if the descriptor has them all.
fn chosen(set: &Set, entries: &[Entry]) -> Option<String> {
    let wanted = set.entries.iter().map(|wanted| {
        let is_wanted = |entry: &&Entry| {
            entry.key == wanted.key && wanted.value.as_ref().is_none_or(|value| *value == entry.value)
        };
        entries.iter().find(is_wanted)
    });
    let mut found: Vec<&Entry> = wanted.collect::<Option<_>>()?;
    found.sort_by(|left, right| (&left.key, &left.value).cmp(&(&right.key, &right.value)));
    Some(counter(found.iter().map(|entry| (entry.key.as_str(), entry.value.as_str()))))
}

/// A text that two lists of entries share only if they are equal: lengths stand before keys and values, which clients
/// may choose.
fn counter<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    entries.map(|(key, value)| format!("{}:{key}{}:{value}", key.len(), value.len())).collect()
}

/// Leaves out the limits of an object that another one of it outweighs.
pub(crate) fn leave_out_outweighed(all: &mut Vec<(usize, Match)>) {
    let mut heaviest: BTreeMap<String, u32> = BTreeMap::new();
    for (_, found) in all.iter() {
        let weight = heaviest.entry(found.name.clone()).or_default();
        *weight = found.weight.max(*weight);
    }
    all.retain(|(_, found)| found.always_apply || heaviest.get(&found.name) == Some(&found.weight));
}

#[cfg(test)]
mod tests {
    use limit_rule::{SetEntry, Unit};

    use super::*;

    fn entries(list: &[(&str, &str)]) -> Vec<Entry> {
        list.iter().map(|(key, value)| Entry { key: (*key).to_owned(), value: (*value).to_owned() }).collect()
    }

    fn node(key: &str, value: Option<&str>, hits: u32, nodes: Vec<Node>) -> Node {
        let limit = (hits > 0).then_some(Limit { hits, unit: Unit::Hour });
        Node { key: key.to_owned(), value: value.map(str::to_owned), limit, nodes, ..Node::default() }
    }

    fn found(rules: &Rules, list: &[(&str, &str)]) -> Vec<u32> {
        limits(rules, &entries(list)).iter().map(|found| found.limit.hits).collect()
    }

    #[test]
    fn a_tree_is_walked_to_the_end_and_a_value_goes_before_any() {
        let inner = vec![node("path", None, 3, Vec::new())];
        let tree = vec![
            node("user", None, 1, Vec::new()),
            node("user", Some("alice"), 2, inner),
            node("group", None, 0, Vec::new()),
        ];
        let rules = Rules { tree, ..Rules::default() };
        assert_eq!(found(&rules, &[("user", "bob")]), [1]);
        assert_eq!(found(&rules, &[("user", "alice")]), [2]);
        assert_eq!(found(&rules, &[("user", "alice"), ("path", "/")]), [3]);
        assert_eq!(found(&rules, &[("user", "bob"), ("path", "/")]), [0; 0]);
        assert_eq!(found(&rules, &[("group", "a")]), [0; 0]);
        assert_eq!(found(&rules, &[]), [0; 0]);
    }

    #[test]
    fn of_sets_the_first_counts_and_those_that_always_apply() {
        let set = |hits, always_apply, list: &[(&str, Option<&str>)]| Set {
            entries: list
                .iter()
                .map(|(key, value)| SetEntry { key: (*key).to_owned(), value: value.map(str::to_owned) })
                .collect(),
            limit: Limit { hits, unit: Unit::Day },
            always_apply,
        };
        let sets = vec![
            set(1, false, &[("type", Some("a")), ("number", None)]),
            set(2, false, &[("type", Some("a"))]),
            set(3, true, &[("number", None)]),
            set(4, false, &[]),
        ];
        let rules = Rules { sets, ..Rules::default() };
        assert_eq!(found(&rules, &[("number", "5"), ("type", "a")]), [1, 3]);
        assert_eq!(found(&rules, &[("type", "a")]), [2]);
        assert_eq!(found(&rules, &[("number", "5")]), [3]);
        assert_eq!(found(&rules, &[("other", "5")]), [4]);
        let one = limits(&rules, &entries(&[("number", "5"), ("type", "a")]));
        let other = limits(&rules, &entries(&[("type", "a"), ("more", "x"), ("number", "5")]));
        assert_eq!(one, other, "in any order, and others do not matter");
    }

    #[test]
    fn counts_are_of_one_list_of_entries_alone() {
        let mut lists = vec![
            entries(&[("a", "bc")]),
            entries(&[("ab", "c")]),
            entries(&[("a", "b1:c")]),
            entries(&[("a", "b"), ("", "c")]),
            entries(&[("a", "b"), ("c", "")]),
            entries(&[("a", "")]),
        ];
        let count = lists.len();
        let text =
            |list: &Vec<Entry>| counter(list.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())));
        lists.sort_by_key(text);
        lists.dedup_by_key(|list| text(list));
        assert_eq!(lists.len(), count);
    }

    #[test]
    fn the_heaviest_of_an_object_count_and_those_that_always_apply() {
        let of = |name: &str, weight, always_apply| Match {
            name: name.to_owned(),
            mode: Mode::Count,
            limit: Limit::default(),
            counter: String::new(),
            weight,
            always_apply,
        };
        let all =
            [of("a", 1, false), of("a", 2, false), of("a", 2, false), of("a", 0, true), of("b", 0, false)];
        let mut all: Vec<_> = all.into_iter().enumerate().collect();
        leave_out_outweighed(&mut all);
        let all: Vec<_> = all.into_iter().map(|(_, found)| found).collect();
        assert_eq!(all, [of("a", 2, false), of("a", 2, false), of("a", 0, true), of("b", 0, false)]);
    }
}
