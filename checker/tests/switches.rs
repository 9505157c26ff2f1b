//! Under which switches of the engine's rules a history is judged.

use rashomon_checker::Rules;

/// One history in so many is judged under every combination.
const ALL_EVERY: u64 = 1 << 13;

/// All rules on for every third history, else a combination by chance; now and then every combination there is.
pub(crate) fn combinations(number: u64) -> impl Iterator<Item = Rules> {
    let chance = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u16;
    let (first, many) = match number {
        number if number % ALL_EVERY == ALL_EVERY - 1 => (0, Rules::COMBINATIONS),
        number if number.is_multiple_of(3) => (Rules::COMBINATIONS - 1, 1),
        _ => (chance, 1),
    };
    (0..many).map(move |i| Rules::combination(first.wrapping_add(i)))
}

/// Every combination there is.
pub(crate) fn all() -> impl Iterator<Item = Rules> {
    (0..Rules::COMBINATIONS).map(Rules::combination)
}
