//! Digests of several parts, for requests, renderings and written content.

use sha2::{Digest as _, Sha256};

/// SHA-256 over parts, each with its length before it, because two different lists of parts must
/// not give the same input.
#[derive(Clone, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds a part.
    pub fn part(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update(part.len().to_be_bytes());
        self.0.update(part);
    }

    /// Adds a part, in a chain.
    #[must_use]
    pub fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        self.part(part);
        self
    }

    /// All 64 hex digits.
    #[must_use]
    pub fn full(self) -> String {
        format!("{:x}", self.0.finalize())
    }

    /// The first 32 hex digits: enough to distinguish the objects of one owner.
    #[must_use]
    pub fn short(self) -> String {
        let mut digits = self.full();
        digits.truncate(32);
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundaries_of_parts_count() {
        let digest = |parts: &[&str]| parts.iter().fold(Digest::default(), Digest::with).short();
        let all = [digest(&["ab", "c"]), digest(&["a", "bc"]), digest(&["abc"]), digest(&["abc", ""])];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(digest(&["ab", "c"]), all[0]);
        assert_eq!(all[0].len(), 32);
    }
}
