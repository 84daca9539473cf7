//! Order of the members in objects of other programs, remembered from the previous object.

/// Maximum number of members remembered of an object. The contract has fewer.
const MOST: usize = 32;

/// How each member of the previous object began, and which known name it has.
#[derive(Debug, Default)]
pub(super) struct Order {
    starts: Vec<Start>,
}

/// The text before a value: comma, blanks, name and colon.
#[derive(Debug)]
struct Start {
    text: Vec<u8>,
    place: usize,
}

impl Order {
    /// Returns the position of the name at the front of `rest`, and what follows its colon. `None`
    /// if the member with this number does not begin as in the previous object.
    #[inline(always)]
    pub(super) fn expected<'a>(&self, number: usize, rest: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let start = self.starts.get(number)?;
        let rest = rest.strip_prefix(start.text.as_slice())?;
        Some((start.place, rest))
    }

    /// Remembers that the member with this number begins with `text`, and forgets later ones.
    pub(super) fn remember(&mut self, number: usize, text: &[u8], place: usize) {
        if number < MOST {
            self.starts.truncate(number);
            let text = text.to_vec();
            self.starts.push(Start { text, place });
        }
    }
}
