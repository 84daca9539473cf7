use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Maximum number of prefixes tried per seed.
const BEGINNINGS: usize = 200;

/// Returns the seeds of a target and the recorded answers of the broker, which are nonsense to most
/// targets and thus good input.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = fs::read_dir(root.join("fuzz/seeds").join(target)).unwrap();
    let recorded = fs::read_dir(root.join("tests/fixtures/kis")).unwrap();
    let mut paths: Vec<_> = own
        .chain(recorded)
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort_unstable();
    paths
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}

#[test]
fn every_seed_and_what_is_left_of_it_when_it_is_cut_off() {
    for (name, target) in TARGETS {
        for seed in seeds(name) {
            let step = seed.len() / BEGINNINGS + 1;
            for length in (0..seed.len()).step_by(step) {
                target(&seed[..length]);
            }
            target(&seed);
        }
    }
}

/// Bytes removed and inserted at a random place.
#[derive(Debug, Clone)]
struct Damage {
    place: prop::sample::Index,
    length: usize,
    new: Vec<u8>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let new = prop_oneof![
        "[-+0-9.eE\"\\\\:,{}\\[\\]a-zA-Z \n#=@/]{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..6),
        "(null|NaN|1e999|99999999999999999999|-0|0.0|\\\\u0000|true|\\[\\])"
            .prop_map(String::into_bytes),
    ];
    (any::<prop::sample::Index>(), 0_usize..12, new).prop_map(|(place, length, new)| Damage {
        place,
        length,
        new,
    })
}

/// One test per target, so that they run in parallel.
macro_rules! damaged {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let name = stringify!($name);
                let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
                let seeds = seeds(name);
                let strategy = (any::<prop::sample::Index>(), prop::collection::vec(damage(), 1..4));
                let config = ProptestConfig {
                    cases: 500,
                    // Findings are added to the seeds.
                    failure_persistence: None,
                    ..ProptestConfig::default()
                };
                proptest!(config, |((seed, damages) in strategy)| {
                    let mut bytes = seeds[seed.index(seeds.len())].clone();
                    for Damage { place, length, new } in damages {
                        let start = place.index(bytes.len() + 1);
                        let end = (start + length).min(bytes.len());
                        bytes.splice(start..end, new);
                    }
                    target(&bytes);
                });
            }
        )*

        #[test]
        fn every_target_is_tried() {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

damaged!(
    answers, archive, ban, calendar, holidays, list, master, messages, object, quotes, settings,
    token
);
