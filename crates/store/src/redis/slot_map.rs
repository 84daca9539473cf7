//! Which node of a cluster has which slots.

use std::sync::Arc;

use super::node::Node;

/// The slots of all nodes.
#[derive(Default)]
pub(super) struct SlotMap {
    /// In order, none over another.
    ranges: Vec<Range>,
}

/// Slots in a row that one node has.
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) node: Arc<Node>,
}

impl SlotMap {
    pub(super) fn new(mut ranges: Vec<Range>) -> Self {
        ranges.sort_unstable_by_key(|range| range.first);
        Self { ranges }
    }

    /// Who has a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        let place = self.ranges.partition_point(|range| range.last < slot);
        let range = self.ranges.get(place)?;
        (range.first <= slot).then(|| Arc::clone(&range.node))
    }

    /// Everybody who has slots.
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        for range in &self.ranges {
            if !nodes.iter().any(|node| Arc::ptr_eq(node, &range.node)) {
                nodes.push(Arc::clone(&range.node));
            }
        }
        nodes
    }
}
