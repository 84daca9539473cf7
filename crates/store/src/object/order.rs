//! The order in which an object of another program has its members, remembered from the one before.

/// How many members an object is remembered to have. Those of the contract are fewer.
const MOST: usize = 32;

/// How each member of the last object began, and which of the known names it has.
#[derive(Debug, Default)]
pub(super) struct Order {
    starts: Vec<Start>,
}

/// What stands before a value: comma, blanks, name and colon.
#[derive(Debug)]
struct Start {
    text: Vec<u8>,
    place: usize,
}

impl Order {
    /// The place of the name with which `rest` goes on, and what follows its colon, if the member
    /// with this number begins as it did in the object before.
    #[inline(always)]
    pub(super) fn expected<'a>(&self, number: usize, rest: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let start = self.starts.get(number)?;
        let rest = rest.strip_prefix(start.text.as_slice())?;
        Some((start.place, rest))
    }

    /// Remembers that the member with this number begins with `text`, and forgets those after it.
    pub(super) fn remember(&mut self, number: usize, text: &[u8], place: usize) {
        if number < MOST {
            self.starts.truncate(number);
            let text = text.to_vec();
            self.starts.push(Start { text, place });
        }
    }
}
