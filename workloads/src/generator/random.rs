//! Randomness: one `ChaCha8` stream per use, all from the run's seed.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The random stream of one use, `name` (a constant in the code) and `index` (a key, a thread; 0 where there is one).
///
/// Equal arguments give equal streams on every machine and in every version of this crate; different ones give independent
/// streams. A new use does not disturb the others, so a seed keeps its meaning when the code grows.
pub fn stream(seed: u64, name: &str, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(name.bytes().chain(index.to_le_bytes())));
    rng
}

/// The 64-bit FNV-1a hash: stable, and good enough to name streams.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_stream_is_its_seed_its_name_and_its_index() {
        let draw = |seed, name, index| stream(seed, name, index).next_u64();
        assert_eq!(draw(7, "mix", 0), draw(7, "mix", 0));
        assert_ne!(draw(7, "mix", 0), draw(8, "mix", 0));
        assert_ne!(draw(7, "mix", 0), draw(7, "any", 0));
        assert_ne!(draw(7, "mix", 0), draw(7, "mix", 1));
    }

    #[test]
    fn streams_do_not_change_between_versions() {
        assert_eq!(fnv1a("a".bytes()), 0xaf63_dc4c_8601_ec8c, "FNV-1a's published test vector");
        let mut rng = stream(42, "register", 3);
        assert_eq!([rng.next_u64(), rng.next_u64()], [2_375_737_468_304_830_641, 17_416_346_247_271_898_344]);
    }
}
