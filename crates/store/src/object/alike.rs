//! Runs of members that many objects have in common, parsed once.

use super::scan::Scan;

/// A run of members: its text and its parsed values.
#[derive(Debug, Default)]
pub(super) struct Alike<T> {
    text: Vec<u8>,
    values: Option<T>,
}

impl<T: Clone> Alike<T> {
    /// Skips the next members and returns their values, if they are the ones remembered.
    #[inline(always)]
    pub(super) fn skip(&self, scan: &mut Scan<'_>) -> Option<T> {
        let values = self.values.as_ref()?;
        scan.skip(&self.text).then(|| values.clone())
    }

    /// Remembers that `text` has these `values`. The text is `None` if there are no members or if
    /// no member follows: only a comma shows that the last value is complete.
    pub(super) fn remember(&mut self, text: Option<&[u8]>, values: &T) {
        let Some(text) = text else { return };
        self.text.clear();
        self.text.extend_from_slice(text);
        self.values = Some(values.clone());
    }
}
