//! Disjoint sets: what belongs together, directly or through others.

/// Each member knows another one of its set, or is the first of it.
#[derive(Clone, Debug)]
pub struct DisjointSets {
    parent: Vec<usize>,
}

impl DisjointSets {
    /// So many sets of one member each.
    pub fn new(members: usize) -> Self {
        Self { parent: (0..members).collect() }
    }

    /// The first of a member's set. Ways are made shorter as they are gone (path halving; Tarjan & van Leeuwen 1984).
    pub fn first(&mut self, mut member: usize) -> usize {
        while self.parent[member] != member {
            self.parent[member] = self.parent[self.parent[member]];
            member = self.parent[member];
        }
        member
    }

    /// Makes one set of the sets of two members; the lower of their firsts is its first.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.parent[a.max(b)] = a.min(b);
    }
}
