//! Map of the slots of a cluster to its nodes.

use std::sync::Arc;

use super::node::Node;

/// Slots of all nodes.
#[derive(Default)]
pub(super) struct SlotMap {
    /// Sorted, without overlaps.
    ranges: Vec<Range>,
}

/// Consecutive slots of one node.
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

    /// Returns the node that has a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        let place = self.ranges.partition_point(|range| range.last < slot);
        let range = self.ranges.get(place)?;
        (range.first <= slot).then(|| Arc::clone(&range.node))
    }

    /// Returns all nodes that have slots.
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
