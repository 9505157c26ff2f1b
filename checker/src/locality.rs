//! Going through the ops of many keys at once.
//!
//! The ops of one key lie far apart in a history of many keys, so to read a whole key after another is to wait for memory at
//! every op. Instead the keys of one thread take turns: each goes on to the end of the same stretch of the history, which stays
//! in the cache meanwhile. (With 100 keys of 10,000 ops each, half of the time went into the waiting.)

use histories::OpId;
use histories::keyed::KeyOps;

/// Ops in a stretch: a few hundred kilobytes of history. And at least so many for each key on average.
const OPS: usize = 1 << 12;
const OPS_PER_KEY: usize = 8;

/// The keys in as many parts as there are threads, of about as many ops each.
pub(crate) fn parts(groups: &[KeyOps]) -> Vec<&[KeyOps]> {
    let ops: usize = groups.iter().map(|group| group.ops.len()).sum();
    let each = ops.div_ceil(rayon::current_num_threads()).max(1);
    let mut parts = Vec::new();
    let (mut rest, mut taken, mut in_part) = (groups, 0, 0);
    while taken < rest.len() {
        in_part += rest[taken].ops.len();
        taken += 1;
        if in_part >= each {
            let (part, others) = rest.split_at(taken);
            parts.push(part);
            (rest, taken, in_part) = (others, 0, 0);
        }
    }
    parts.extend((!rest.is_empty()).then_some(rest));
    parts
}

/// Where the stretches end: each is up to there, without it. `ops` is the number of ops of the history.
pub(crate) fn stretches(ops: usize, keys: usize) -> impl Iterator<Item = OpId> {
    let each = if keys == 1 { ops.max(1) } else { OPS.max(keys * OPS_PER_KEY) };
    (1..=ops.div_ceil(each)).map(move |stretch| OpId((stretch * each).min(ops) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_in_one_part_and_all_ops_in_one_stretch() {
        let groups: Vec<KeyOps> = [0, 5, 1, 0, 900, 3, 0].map(|n| KeyOps { key: None, ops: (0..n).map(OpId).collect() }).into();
        let lengths: usize = parts(&groups).iter().map(|part| part.len()).sum();
        assert_eq!(lengths, groups.len());
        for (ops, keys) in [(0, 1), (1, 1), (1_000_000, 1), (OPS, 2), (OPS + 1, 2), (100_000, 1000)] {
            let ends: Vec<OpId> = stretches(ops, keys).collect();
            assert!(ends.is_sorted() && ends.last().map_or(0, |end| end.0 as usize) == ops, "{ops} {keys}");
        }
    }
}
