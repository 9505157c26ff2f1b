//! Ways to hurt: each has its turn before any comes again.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Things that are drawn like cards: in an order by chance, and anew when all are gone. So a fault that is injected as often as there are
/// ways to do it is injected in every way.
#[derive(Clone, Debug)]
pub(crate) struct Deck<T> {
    all: Vec<T>,
    /// What is left, the next one last.
    left: Vec<T>,
}

impl<T: Clone> Deck<T> {
    /// All of these.
    pub(crate) fn new(all: Vec<T>) -> Deck<T> {
        Deck { all, left: Vec::new() }
    }

    /// The next one; `None` if there are none.
    pub(crate) fn draw(&mut self, rng: &mut ChaCha8Rng) -> Option<T> {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
            self.left.shuffle(rng);
        }
        self.left.pop()
    }

    /// Leaves out those that do not hold.
    pub(crate) fn retain(&mut self, holds: impl Fn(&T) -> bool) {
        self.all.retain(&holds);
        self.left.retain(&holds);
    }

    /// All there are.
    pub(crate) fn all(&self) -> &[T] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn each_is_drawn_once_before_any_comes_again() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut deck = Deck::new((0..7).collect());
        let rounds: Vec<Vec<i32>> = (0..50).map(|_| (0..7).map(|_| deck.draw(&mut rng).unwrap()).collect()).collect();
        for round in &rounds {
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..7).collect::<Vec<_>>());
        }
        assert!(rounds.iter().any(|round| *round != rounds[0]), "the order is drawn anew");
    }

    #[test]
    fn what_is_left_out_does_not_come() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut deck = Deck::new((0..4).collect());
        deck.draw(&mut rng);
        deck.retain(|i| *i == 2);
        assert!(deck.all() == [2] && (0..9).all(|_| deck.draw(&mut rng) == Some(2)));
        deck.retain(|_| false);
        assert_eq!(deck.draw(&mut rng), None);
    }
}
