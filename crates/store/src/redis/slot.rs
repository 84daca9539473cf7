//! Slots of a cluster: the slot of a key, and the key that decides where a command goes.

use std::collections::BTreeMap;

use redis::{Arg, Cmd};

/// Number of slots of a cluster, by its specification.
const SLOTS: u16 = 16_384;

/// CRC-16/XMODEM of every byte.
const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u16;
    while byte < 256 {
        let mut sum = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum << 1) ^ if sum & 0x8000 == 0 { 0 } else { 0x1021 };
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
        {
            table[byte as usize] = sum;
        }
        byte += 1;
    }
    table
};

/// Returns the slot of `key`. If the first braces in it are not empty, only the text between them
/// counts.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let tag = || {
        let mut parts = key.splitn(2, |byte| *byte == b'{');
        let inside = parts.nth(1)?;
        let end = inside.iter().position(|byte| *byte == b'}')?;
        inside.get(..end).filter(|tag| !tag.is_empty())
    };
    let sum = tag().unwrap_or(key).iter().fold(0_u16, |sum, byte| {
        let [high, _] = sum.to_be_bytes();
        let of_byte = TABLE.get(usize::from(high ^ byte)).copied();
        (sum << 8) ^ of_byte.unwrap_or(0)
    });
    sum % SLOTS
}

/// Returns the positions of `keys`, grouped by slot.
pub(super) fn by_slot(keys: impl Iterator<Item = impl AsRef<str>>) -> Vec<Vec<usize>> {
    let mut slots: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (place, key) in keys.enumerate() {
        let slot = slot_of(key.as_ref().as_bytes());
        slots.entry(slot).or_default().push(place);
    }
    slots.into_values().collect()
}

/// Returns the first key of a command; `None` for commands without a key.
pub(super) fn key_of(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().map(|argument| match argument {
        Arg::Simple(word) => word,
        _ => &[],
    });
    match words.next()? {
        b"INFO" | b"PING" | b"SCRIPT" => None,
        // The script and the number of its keys come first.
        b"EVAL" | b"EVALSHA" => words.nth(2),
        b"XGROUP" => words.nth(1),
        b"XREAD" | b"XREADGROUP" => words.skip_while(|word| *word != b"STREAMS").nth(1),
        _ => words.next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // As reported by CLUSTER KEYSLOT.
        for (key, slot) in [
            ("", 0),
            ("123456789", 12_739),
            ("foo", 12_182),
            ("{foo}bar", 12_182),
            ("a{foo}{bar}", 12_182),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
            ("foo{bar", 15_278),
        ] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn commands_go_by_their_first_key() {
        let command = |words: &[&str]| {
            let mut command = Cmd::new();
            command.arg(words);
            key_of(&command).map(|key| String::from_utf8_lossy(key).into_owned())
        };
        assert_eq!(command(&["GET", "a"]).as_deref(), Some("a"));
        assert_eq!(
            command(&["EVALSHA", "d", "2", "a", "b"]).as_deref(),
            Some("a")
        );
        let group = ["XGROUP", "CREATE", "a", "workers", "0-0", "MKSTREAM"];
        assert_eq!(command(&group).as_deref(), Some("a"));
        let read = [
            "XREADGROUP",
            "GROUP",
            "g",
            "me",
            "BLOCK",
            "1",
            "STREAMS",
            "a",
            ">",
        ];
        assert_eq!(command(&read).as_deref(), Some("a"));
        assert_eq!(command(&["PING"]), None);
        assert_eq!(command(&["SCRIPT", "LOAD", "x"]), None);
    }
}
