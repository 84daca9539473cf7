//! The stock list that ships inside the program.

use sise::domain::Shipped;

/// The first `count` codes of the list.
pub(crate) fn codes(count: usize) -> Vec<String> {
    let universe = Shipped::get().universe();
    let codes: Vec<String> = universe
        .symbols()
        .take(count)
        .map(|symbol| symbol.as_str().to_owned())
        .collect();
    assert_eq!(codes.len(), count);
    codes
}

/// All codes of the list, 2,769.
pub(crate) fn every_code() -> Vec<String> {
    codes(Shipped::get().universe().len())
}
