//! What is known of each measured value: what it is called, which way is better, how it is written and drawn.

use super::format::{decimals, significant};

/// Whether more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Nobody said.
    Unknown,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    /// A hundred times the value, with two decimals, as the official scorers print it.
    Percent,
    Decimals(usize),
    Significant(usize),
}

/// One kind of value, by its name in [`Prediction::values`](crate::prediction::Prediction::values).
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Its name in tables and on axes.
    pub heading: String,
    /// Which way is better.
    pub better: Better,
    /// Whether figures have it on a logarithmic axis.
    pub log: bool,
    digits: Digits,
}

/// Values that say how something was measured and are no result: they have no column.
pub const BOOKKEEPING: [&str; 1] = ["continuation"];

/// Values that compare with `exact`, which `exact` itself need not have.
pub const AGAINST_EXACT: [&str; 3] = ["kl", "top1", "ppl_ratio"];

impl Measure {
    /// What is known of the value of this name; of a name nobody knows, little.
    pub fn named(name: &str) -> Measure {
        use Better::{Higher, Lower, Unknown};
        use Digits::{Decimals, Percent, Significant};
        let (heading, better, log, digits) = match name {
            "score" => ("score", Higher, false, Percent),
            "kl" => ("KL(exact || method)", Lower, true, Significant(3)),
            "ppl" => ("perplexity", Lower, true, Decimals(3)),
            "ppl_ratio" => ("perplexity ratio to exact", Lower, true, Decimals(4)),
            "nll" => ("negative log-likelihood", Lower, false, Decimals(4)),
            "top1" => ("top-1 agreement", Higher, false, Percent),
            "log_probability" => ("log-probability of the answer", Higher, false, Decimals(2)),
            other => (other, Unknown, false, Significant(4)),
        };
        Measure { heading: heading.to_owned(), better, log, digits }
    }

    /// The value as a table has it.
    pub fn text(&self, value: f64) -> String {
        match self.digits {
            Digits::Percent => decimals(value * 100.0, 2),
            Digits::Decimals(digits) => decimals(value, digits),
            Digits::Significant(digits) => significant(value, digits),
        }
    }

    /// The value as an axis has it: shares in percent.
    pub fn drawn(&self, value: f64) -> f64 {
        if self.digits == Digits::Percent { value * 100.0 } else { value }
    }

    /// Heading, unit and direction, for an axis or a caption.
    pub fn title(&self) -> String {
        let unit = if self.digits == Digits::Percent { ", %" } else { "" };
        let better = match self.better {
            Better::Higher => " (higher is better)",
            Better::Lower => " (lower is better)",
            Better::Unknown => "",
        };
        format!("{}{unit}{better}", self.heading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_in_percent_and_others_as_they_are() {
        assert_eq!(Measure::named("score").text(0.386_04), "38.60");
        assert_eq!(Measure::named("kl").text(0.009_876), "0.00988");
        assert_eq!(Measure::named("ppl_ratio").text(f64::INFINITY), "inf");
        assert_eq!(Measure::named("top1").drawn(0.5), 50.0);
        assert_eq!(Measure::named("kl").drawn(0.5), 0.5);
    }

    #[test]
    fn an_unknown_value_keeps_its_name() {
        let measure = Measure::named("novelty");
        assert_eq!(measure.title(), "novelty");
        assert_eq!(measure.text(1.234_56), "1.235");
    }
}
