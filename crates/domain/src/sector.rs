//! Sectors of the exchange's industry indices, with one set of names for both markets.

use super::Market;

/// Code of records that name no sector.
const NONE: &str = "0000";

/// A sector of one market, with the codes of the broker's symbol files (contract 6.3, 6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sector {
    /// Market of the index.
    pub market: Market,
    /// The large division.
    pub large: &'static str,
    /// The medium division; `0000` if the large one is not divided.
    pub medium: &'static str,
    /// Name used by the exchange.
    pub name: &'static str,
}

const fn sector(
    market: Market,
    large: &'static str,
    medium: &'static str,
    name: &'static str,
) -> Sector {
    Sector {
        market,
        large,
        medium,
        name,
    }
}

use Market::{Kosdaq, Kospi};

/// The sectors that occur in records. `idxcode.mst`, their source, lists indices of all kinds.
const SECTORS: [Sector; 46] = [
    sector(Kospi, "0027", "0005", "음식료·담배"),
    sector(Kospi, "0027", "0006", "섬유·의류"),
    sector(Kospi, "0027", "0007", "종이·목재"),
    sector(Kospi, "0027", "0008", "화학"),
    sector(Kospi, "0027", "0009", "제약"),
    sector(Kospi, "0027", "0010", "비금속"),
    sector(Kospi, "0027", "0011", "금속"),
    sector(Kospi, "0027", "0012", "기계·장비"),
    sector(Kospi, "0027", "0013", "전기·전자"),
    sector(Kospi, "0027", "0014", "의료·정밀기기"),
    sector(Kospi, "0027", "0015", "운송장비·부품"),
    sector(Kospi, "0016", NONE, "유통"),
    sector(Kospi, "0017", NONE, "전기·가스"),
    sector(Kospi, "0018", NONE, "건설"),
    sector(Kospi, "0019", NONE, "운송·창고"),
    sector(Kospi, "0020", NONE, "통신"),
    sector(Kospi, "0021", "0024", "증권"),
    sector(Kospi, "0021", "0025", "보험"),
    sector(Kospi, "0021", NONE, "금융"),
    sector(Kospi, "0026", NONE, "일반서비스"),
    sector(Kospi, "0027", NONE, "제조"),
    sector(Kospi, "0028", NONE, "부동산"),
    sector(Kospi, "0029", NONE, "IT 서비스"),
    sector(Kospi, "0030", NONE, "오락·문화"),
    sector(Kosdaq, "1009", "1019", "음식료·담배"),
    sector(Kosdaq, "1009", "1020", "섬유·의류"),
    sector(Kosdaq, "1009", "1021", "종이·목재"),
    sector(Kosdaq, "1009", "1022", "출판·매체복제"),
    sector(Kosdaq, "1009", "1023", "화학"),
    sector(Kosdaq, "1009", "1024", "제약"),
    sector(Kosdaq, "1009", "1025", "비금속"),
    sector(Kosdaq, "1009", "1026", "금속"),
    sector(Kosdaq, "1009", "1027", "기계·장비"),
    sector(Kosdaq, "1009", "1028", "전기·전자"),
    sector(Kosdaq, "1009", "1029", "의료·정밀기기"),
    sector(Kosdaq, "1009", "1030", "운송장비·부품"),
    sector(Kosdaq, "1009", "1031", "기타제조"),
    sector(Kosdaq, "1006", NONE, "일반서비스"),
    sector(Kosdaq, "1009", NONE, "제조"),
    sector(Kosdaq, "1010", NONE, "건설"),
    sector(Kosdaq, "1011", NONE, "유통"),
    sector(Kosdaq, "1013", NONE, "운송·창고"),
    sector(Kosdaq, "1014", NONE, "금융"),
    sector(Kosdaq, "1015", NONE, "오락·문화"),
    sector(Kosdaq, "1032", NONE, "통신"),
    sector(Kosdaq, "1033", NONE, "IT 서비스"),
];

impl Sector {
    /// Returns the sector for the two codes of a record.
    ///
    /// The medium code is used if known, otherwise the large one. `None` if neither is known: then
    /// the record names no sector.
    #[must_use]
    pub fn of(market: Market, large: &str, medium: &str) -> Option<&'static Self> {
        let find = |medium: &str| {
            let mut sectors = SECTORS.iter().filter(|sector| sector.market == market);
            sectors.find(|sector| sector.large == large && sector.medium == medium)
        };
        find(medium).or_else(|| find(NONE))
    }

    /// Returns the sector with this name.
    #[must_use]
    pub fn named(market: Market, name: &str) -> Option<&'static Self> {
        let mut sectors = SECTORS.iter().filter(|sector| sector.market == market);
        sectors.find(|sector| sector.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_finest_sector_that_is_known() {
        let name = |market, large, medium| Sector::of(market, large, medium).map(|s| s.name);
        assert_eq!(name(Kospi, "0027", "0013"), Some("전기·전자"));
        assert_eq!(name(Kosdaq, "1009", "1028"), Some("전기·전자"));
        assert_eq!(name(Kospi, "0021", "0000"), Some("금융"));
        assert_eq!(name(Kospi, "0021", "0999"), Some("금융"));
        assert_eq!(name(Kospi, "0000", "0000"), None);
        assert_eq!(name(Kosdaq, "0027", "0013"), None);
    }

    #[test]
    fn names_and_codes_stand_once_in_a_market() {
        for (place, one) in SECTORS.iter().enumerate() {
            for other in &SECTORS[..place] {
                let same = other.name == one.name
                    || (other.large, other.medium) == (one.large, one.medium);
                assert!(other.market != one.market || !same, "{one:?}");
            }
            assert_eq!(Sector::named(one.market, one.name), Some(one));
        }
    }
}
