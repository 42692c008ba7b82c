//! The requested fields of an event: a trie of paths that the scan walks along with the event.
//!
//! Patterns and templates name fields by dotted path (`detail.order.id`); each distinct path gets a
//! [`FieldId`]. A key of an event that has a dot in it (`"order.id"`) means the same path as nested
//! objects do, as in EventBridge. Arrays are transparent: `detail.items.sku` names the `sku` of
//! every element of `items`.
//!
//! It never looks at an event, and it never forgets a path: it is built when routes are loaded and shared by all scans.

use rustc_hash::FxHashMap;

/// One requested path; an index into the captures of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(u32);

impl FieldId {
    /// The id as an index: ids count from zero without gaps.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A place in the trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId(u32);

impl NodeId {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Debug, Default)]
struct FieldNode {
    children: FxHashMap<Box<[u8]>, NodeId>,
    field: Option<FieldId>,
    /// Number of path segments that lead here.
    depth: u16,
}

/// The set of paths that a scan captures.
#[derive(Clone, Debug)]
pub struct FieldTrie {
    nodes: Vec<FieldNode>,
    paths: Vec<Box<str>>,
}

impl Default for FieldTrie {
    fn default() -> Self {
        Self::new()
    }
}

impl FieldTrie {
    pub(super) const ROOT: NodeId = NodeId(0);

    /// No fields at all.
    pub fn new() -> Self {
        Self {
            nodes: vec![FieldNode::default()],
            paths: Vec::new(),
        }
    }

    /// Asks for the field at a dotted path; the same path gives the same id.
    pub fn add(&mut self, path: &str) -> FieldId {
        let node = self.node_at(path);
        let fresh = FieldId(u32::try_from(self.paths.len()).unwrap_or(u32::MAX));
        let Some(node) = self.nodes.get_mut(node.0 as usize) else {
            return fresh;
        };
        *node.field.get_or_insert_with(|| {
            self.paths.push(path.into());
            fresh
        })
    }

    /// Lets events spell the path `to` as `from`: a value found at either is captured for `to`. It serves envelopes that
    /// carry the same facts under other names. `from` must not be a path that was added.
    pub fn alias(&mut self, from: &str, to: &str) {
        let target = self.node_at(to);
        let (parent, key) = match from.rsplit_once('.') {
            Some((parent, key)) => (self.node_at(parent), key),
            None => (Self::ROOT, from),
        };
        if let Some(parent) = self.nodes.get_mut(parent.0 as usize) {
            parent.children.insert(key.as_bytes().into(), target);
        }
    }

    /// The field at a dotted path, if it was asked for.
    pub fn find(&self, path: &str) -> Option<FieldId> {
        self.field(self.descend(Self::ROOT, path.as_bytes())?)
    }

    /// Number of distinct fields that were asked for.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Returns `true` if no field was asked for.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The dotted path of a field of this set.
    pub fn path(&self, field: FieldId) -> &str {
        self.paths.get(field.index()).map_or("", |path| path)
    }

    /// The places that lead to a path which was added, one segment longer each.
    pub fn way(&self, path: &str) -> Vec<NodeId> {
        let mut at = Self::ROOT;
        path.split('.')
            .map_while(|segment| {
                at = self.child(at, segment.as_bytes())?;
                Some(at)
            })
            .collect()
    }

    fn node_at(&mut self, path: &str) -> NodeId {
        let mut at = Self::ROOT;
        for segment in path.split('.') {
            at = self.child_or_insert(at, segment.as_bytes());
        }
        at
    }

    fn child_or_insert(&mut self, at: NodeId, segment: &[u8]) -> NodeId {
        if let Some(child) = self.child(at, segment) {
            return child;
        }
        let child = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let mut depth = 0;
        if let Some(parent) = self.nodes.get_mut(at.0 as usize) {
            parent.children.insert(segment.into(), child);
            depth = parent.depth.saturating_add(1);
        }
        self.nodes.push(FieldNode {
            depth,
            ..FieldNode::default()
        });
        child
    }

    fn child(&self, at: NodeId, segment: &[u8]) -> Option<NodeId> {
        self.nodes
            .get(at.0 as usize)?
            .children
            .get(segment)
            .copied()
    }

    /// Returns the place that a key of an event leads to from `at`; `None` if nothing below it was
    /// asked for.
    pub(super) fn descend(&self, at: NodeId, key: &[u8]) -> Option<NodeId> {
        if memchr::memchr(b'.', key).is_none() {
            return self.child(at, key);
        }
        key.split(|&byte| byte == b'.')
            .try_fold(at, |at, segment| self.child(at, segment))
    }

    /// The field that ends at a node, if one was asked for.
    pub(super) fn field(&self, at: NodeId) -> Option<FieldId> {
        self.nodes.get(at.0 as usize)?.field
    }

    /// Number of places of the trie.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Returns `true` if a node leads to others.
    pub(super) fn leads_on(&self, at: NodeId) -> bool {
        let node = self.nodes.get(at.index());
        node.is_some_and(|node| !node.children.is_empty())
    }

    /// Number of path segments that lead to a node.
    pub(super) fn depth(&self, at: NodeId) -> u16 {
        self.nodes.get(at.0 as usize).map_or(0, |node| node.depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_path_has_the_same_id() {
        let mut fields = FieldTrie::new();
        let a = fields.add("detail.a");
        let b = fields.add("detail.b");
        assert_eq!(fields.add("detail.a"), a);
        assert_ne!(a, b);
        assert_eq!(fields.len(), 2);
        assert_eq!(fields.path(b), "detail.b");
    }

    #[test]
    fn a_dotted_key_is_a_path() {
        let mut fields = FieldTrie::new();
        let id = fields.add("a.b.c");
        let node = fields
            .descend(FieldTrie::ROOT, b"a.b")
            .and_then(|node| fields.descend(node, b"c"))
            .unwrap();
        assert_eq!(fields.field(node), Some(id));
        assert_eq!(fields.depth(node), 3);
        assert!(fields.descend(FieldTrie::ROOT, b"a.x").is_none());
    }

    #[test]
    fn an_alias_leads_to_the_same_field() {
        let mut fields = FieldTrie::new();
        let id = fields.add("detail.a");
        fields.alias("Data", "detail");
        let node = fields
            .descend(FieldTrie::ROOT, b"Data")
            .and_then(|node| fields.descend(node, b"a"))
            .unwrap();
        assert_eq!(fields.field(node), Some(id));
    }
}
