//! Members that object after object has in common, read once.

use super::scan::Scan;

/// A run of members, as text and as what they say.
#[derive(Debug, Default)]
pub(super) struct Alike<T> {
    text: Vec<u8>,
    values: Option<T>,
}

impl<T: Clone> Alike<T> {
    /// What the next members say, passed over, if they are the ones remembered.
    #[inline(always)]
    pub(super) fn skip(&self, scan: &mut Scan<'_>) -> Option<T> {
        let values = self.values.as_ref()?;
        scan.skip(&self.text).then(|| values.clone())
    }

    /// Remembers that members which stand there as `text` say `values`, if there are any and another
    /// member follows: a value is only whole where something ends it.
    pub(super) fn remember(&mut self, text: Option<&[u8]>, values: &T) {
        let Some(text) = text else { return };
        self.text.clear();
        self.text.extend_from_slice(text);
        self.values = Some(values.clone());
    }
}
