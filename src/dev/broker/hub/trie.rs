//! Trie of topic filters: finds the values of all filters that match a topic, in steps that do not
//! grow with their number.
//!
//! Matching follows MQTT 5.0, section 4.7: `+` is one level, `#` all that follow; neither matches
//! topics that begin with `$` from the first level. A parameter decides whether `a/#` matches `a`,
//! since AWS IoT Core and MQTT differ there. Filters must be well formed: the caller checks them.

use rustc_hash::FxHashMap;

/// Values by topic filter.
#[derive(Debug)]
pub(crate) struct TopicTree<V> {
    root: TreeNode<V>,
}

#[derive(Debug)]
struct TreeNode<V> {
    children: FxHashMap<Box<str>, TreeNode<V>>,
    plus: Option<Box<TreeNode<V>>>,
    /// Value of the filter that ends here.
    here: Option<Box<V>>,
    /// Value of the filter that continues with `#`.
    below: Option<Box<V>>,
}

impl<V> Default for TreeNode<V> {
    fn default() -> Self {
        Self {
            children: FxHashMap::default(),
            plus: None,
            here: None,
            below: None,
        }
    }
}

impl<V> TreeNode<V> {
    fn is_empty(&self) -> bool {
        self.children.is_empty()
            && self.plus.is_none()
            && self.here.is_none()
            && self.below.is_none()
    }
}

impl<V: Default> Default for TopicTree<V> {
    fn default() -> Self {
        Self {
            root: TreeNode::default(),
        }
    }
}

impl<V: Default> TopicTree<V> {
    /// Returns the value of a filter, and creates it where it is missing.
    pub(crate) fn entry(&mut self, filter: &str) -> &mut V {
        let mut node = &mut self.root;
        for level in filter.split('/') {
            match level {
                "#" => return node.below.get_or_insert_default(),
                "+" => node = node.plus.get_or_insert_default(),
                _ => node = node.children.entry(level.into()).or_default(),
            }
        }
        node.here.get_or_insert_default()
    }

    /// Returns the value of a filter, if there is one.
    pub(crate) fn get(&self, filter: &str) -> Option<&V> {
        let mut node = &self.root;
        for level in filter.split('/') {
            match level {
                "#" => return node.below.as_deref(),
                "+" => node = node.plus.as_deref()?,
                _ => node = node.children.get(level)?,
            }
        }
        node.here.as_deref()
    }

    /// Changes the value of a filter; removes it, with its empty nodes, when `change` reports that
    /// nothing is left.
    pub(crate) fn change(&mut self, filter: &str, mut change: impl FnMut(&mut V) -> bool) {
        change_below(&mut self.root, Some(filter), &mut change);
    }

    /// Calls `with` for the value of each filter that matches a topic.
    pub(crate) fn matching<'a>(
        &'a self,
        topic: &str,
        hash_matches_parent: bool,
        with: &mut impl FnMut(&'a V),
    ) {
        let reserved = topic.starts_with('$');
        walk(&self.root, Some(topic), reserved, hash_matches_parent, with);
    }
}

/// Changes a value below a node. `rest` is the rest of the filter; `None` behind its last level.
/// Recursion is as deep as the filter.
fn change_below<V>(
    node: &mut TreeNode<V>,
    rest: Option<&str>,
    change: &mut dyn FnMut(&mut V) -> bool,
) {
    let emptied = |value: &mut Option<Box<V>>, change: &mut dyn FnMut(&mut V) -> bool| {
        if value.as_deref_mut().is_some_and(change) {
            *value = None;
        }
    };
    let Some(rest) = rest else {
        return emptied(&mut node.here, change);
    };
    let (level, rest) = split(rest);
    match level {
        "#" => emptied(&mut node.below, change),
        "+" => {
            if let Some(child) = &mut node.plus {
                change_below(child, rest, change);
                if child.is_empty() {
                    node.plus = None;
                }
            }
        }
        level => {
            let Some(child) = node.children.get_mut(level) else {
                return;
            };
            change_below(child, rest, change);
            if child.is_empty() {
                node.children.remove(level);
                // A level that once had many children would keep their memory for ever.
                if node.children.len() * 4 < node.children.capacity() {
                    node.children.shrink_to_fit();
                }
            }
        }
    }
}

/// Splits off the first level.
fn split(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once('/') {
        Some((level, rest)) => (level, Some(rest)),
        None => (rest, None),
    }
}

/// Visits the matching values below a node. `rest` is the rest of the topic; `None` behind its last
/// level. Recursion is as deep as the filters, whatever the topic.
fn walk<'a, V>(
    node: &'a TreeNode<V>,
    rest: Option<&str>,
    reserved: bool,
    hash_matches_parent: bool,
    with: &mut impl FnMut(&'a V),
) {
    let Some(rest) = rest else {
        if let Some(value) = &node.here {
            with(value);
        }
        if hash_matches_parent && let Some(value) = &node.below {
            with(value);
        }
        return;
    };
    if !reserved && let Some(value) = &node.below {
        with(value);
    }
    let (level, rest) = split(rest);
    if !reserved && let Some(child) = &node.plus {
        walk(child, rest, false, hash_matches_parent, with);
    }
    if let Some(child) = node.children.get(level) {
        walk(child, rest, false, hash_matches_parent, with);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Matches like MQTT, level by level.
    fn matches(filter: &[&str], topic: &[&str], parent: bool) -> bool {
        match (filter, topic) {
            (["#"], []) => parent,
            (["#"], _) => true,
            ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => matches(filter, topic, parent),
            ([level, filter @ ..], [name, topic @ ..]) => {
                level == name && matches(filter, topic, parent)
            }
            _ => false,
        }
    }

    fn naive(filter: &str, topic: &str, parent: bool) -> bool {
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let filter: Vec<&str> = filter.split('/').collect();
        let topic: Vec<&str> = topic.split('/').collect();
        matches(&filter, &topic, parent)
    }

    fn found(trie: &TopicTree<Vec<usize>>, topic: &str, parent: bool) -> Vec<usize> {
        let mut found = Vec::new();
        trie.matching(topic, parent, &mut |numbers: &Vec<usize>| {
            found.extend(numbers);
        });
        found.sort_unstable();
        found
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof!["[ab]", Just("+".to_owned()), Just(String::new())];
        (
            prop::collection::vec(level, 1..5),
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(|(mut levels, all, dollar)| {
                if all {
                    levels.push("#".into());
                }
                if dollar && let Some(first) = levels.first_mut() {
                    *first = "$a".into();
                }
                levels.join("/")
            })
    }

    proptest! {
        #[test]
        fn agrees_with_matching_one_by_one(
            filters in prop::collection::vec(filter(), 0..20),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            topic in "(\\$a|[ab]?)(/[ab]?){0,4}",
            parent: bool,
        ) {
            let mut trie = TopicTree::<Vec<usize>>::default();
            for (number, filter) in filters.iter().enumerate() {
                trie.entry(filter).push(number);
            }
            let mut left: Vec<(usize, &String)> = filters.iter().enumerate().collect();
            for index in gone {
                if left.is_empty() {
                    break;
                }
                let (number, filter) = left.remove(index.index(left.len()));
                trie.change(filter, |numbers| {
                    numbers.retain(|other| *other != number);
                    numbers.is_empty()
                });
            }
            let wanted: Vec<usize> = left
                .iter()
                .filter(|(_, filter)| naive(filter, &topic, parent))
                .map(|(number, _)| *number)
                .collect();
            prop_assert_eq!(found(&trie, &topic, parent), wanted);
            for (number, filter) in left {
                prop_assert!(trie.get(filter).is_some_and(|numbers| numbers.contains(&number)));
                trie.change(filter, |numbers| {
                    numbers.retain(|other| *other != number);
                    numbers.is_empty()
                });
            }
            prop_assert!(trie.root.is_empty(), "an empty trie keeps nothing: {:?}", trie);
        }
    }

    #[test]
    fn the_parent_is_iot_cores_exception() {
        let mut trie = TopicTree::<Vec<usize>>::default();
        trie.entry("a/#").push(1);
        assert!(found(&trie, "a", false).is_empty());
        assert_eq!(found(&trie, "a", true), [1]);
        assert_eq!(found(&trie, "a/", false), [1]);
        assert_eq!(found(&trie, "a/b/c", false), [1]);
    }
}
