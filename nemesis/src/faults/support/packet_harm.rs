//! What can happen to packets.

use crate::agent::protocol::traffic::{Shape, Thousandths};

/// What a number behind a harm means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Microseconds,
    Thousandths,
    BitsPerSecond,
}

/// A harm, its name, the unit of its amount and the usual amount (Jepsen's, where it has one).
pub(crate) type Row = (Harm, &'static str, Unit, u64);

pub(crate) const HARMS: [Row; 8] = [
    (Harm::Delay, "delay", Unit::Microseconds, 50_000),
    (Harm::Jitter, "jitter", Unit::Microseconds, 30_000),
    (Harm::Loss, "loss", Unit::Thousandths, 200),
    (Harm::Duplicate, "duplicate", Unit::Thousandths, 200),
    (Harm::Reorder, "reorder", Unit::Thousandths, 200),
    (Harm::Corrupt, "corrupt", Unit::Thousandths, 200),
    (Harm::Rate, "rate", Unit::BitsPerSecond, 1_000_000),
    (Harm::Flaky, "flaky", Unit::Thousandths, 500),
];

/// How likely a packet is to fare like the one before it, where some are hurt and others not.
const CORRELATION: Thousandths = 750;

/// How late the packets are that others overtake, and how much the delay of late ones varies.
const OVERTAKEN_US: u64 = 50_000;

const VARIES_US: u64 = 10_000;

impl Unit {
    pub(crate) fn write(self, amount: u64) -> String {
        match self {
            Unit::Microseconds if amount.is_multiple_of(1000) => format!("{} ms", amount / 1000),
            Unit::Microseconds => format!("{amount} µs"),
            Unit::Thousandths => format!("{} %", amount as f64 / 10.0),
            Unit::BitsPerSecond => format!("{} kbit/s", amount as f64 / 1000.0),
        }
    }

    /// Reads `200ms`, `15%`, `500kbit`.
    pub(crate) fn read(self, text: &str) -> Option<u64> {
        let units: &[(&str, f64)] = match self {
            Unit::Microseconds => &[("us", 1.0), ("ms", 1e3), ("s", 1e6)],
            Unit::Thousandths => &[("%", 10.0)],
            Unit::BitsPerSecond => &[("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)],
        };
        let most = match self {
            Unit::Microseconds => 60e6,
            Unit::Thousandths => 1000.0,
            Unit::BitsPerSecond => 1e11,
        };
        let amount = units.iter().find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.trim().parse::<f64>().ok()? * factor))?;
        (1.0..=most).contains(&amount).then_some(amount.round() as u64)
    }

    pub(crate) fn example(self) -> &'static str {
        match self {
            Unit::Microseconds => "200ms",
            Unit::Thousandths => "20%",
            Unit::BitsPerSecond => "500kbit",
        }
    }
}

/// What happens to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// They are late.
    Delay,
    /// They are late by very different times.
    Jitter,
    /// Some are lost.
    Loss,
    /// Some arrive twice.
    Duplicate,
    /// Some overtake others.
    Reorder,
    /// Of some a bit is flipped: their checksum tells, and they are lost on arrival.
    Corrupt,
    /// Only so many bits a second pass.
    Rate,
    /// One link between two nodes, drawn, loses many, in both directions.
    Flaky,
}

impl Harm {
    pub(crate) fn row(self) -> &'static Row {
        // Every harm has a row: a test holds it to that.
        HARMS.iter().find(|row| row.0 == self).unwrap_or(&HARMS[0])
    }

    /// The shape of so much of it.
    pub(crate) fn shape(self, amount: u64) -> Shape {
        let share = amount.min(1000) as Thousandths;
        let bursts = Shape { correlation: CORRELATION, ..Shape::default() };
        match self {
            Harm::Delay => Shape { delay_us: amount, jitter_us: VARIES_US.min(amount / 5), ..Shape::default() },
            Harm::Jitter => Shape { delay_us: amount, jitter_us: amount, ..Shape::default() },
            Harm::Loss | Harm::Flaky => Shape { loss: share, ..bursts },
            Harm::Duplicate => Shape { duplicate: share, ..bursts },
            Harm::Reorder => Shape { reorder: share, delay_us: OVERTAKEN_US, ..bursts },
            Harm::Corrupt => Shape { corrupt: share, ..bursts },
            Harm::Rate => Shape { rate_bits: amount, ..Shape::default() },
        }
    }

    /// In words: `late by 50 ms`.
    pub(crate) fn words(self, amount: u64) -> String {
        let number = Unit::write(self.row().2, amount);
        match self {
            Harm::Delay => format!("late by {number}"),
            Harm::Jitter => format!("late by up to {}", Unit::write(Unit::Microseconds, 2 * amount)),
            Harm::Loss | Harm::Flaky => format!("{number} lost"),
            Harm::Duplicate => format!("{number} doubled"),
            Harm::Reorder => format!("{number} overtaking others"),
            Harm::Corrupt => format!("{number} corrupted"),
            Harm::Rate => format!("at most {number}"),
        }
    }
}
