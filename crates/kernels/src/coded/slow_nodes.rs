//! The positions of a superblock at which slow keys' queries are computed, and the polynomials through them.

use std::f64::consts::PI;

use super::LANES;
use crate::simd::WIDTH;

/// How much the pairs of a tile turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turning {
    /// So little that coded parts turn as their block's middle does.
    Hardly,
    /// So little that what turns within a block is linear.
    Slowly,
}

impl Turning {
    /// Positions of a superblock at which queries are brought to directions.
    pub fn nodes(self) -> usize {
        match self {
            Turning::Hardly => 3,
            Turning::Slowly => 5,
        }
    }
}

/// How a polynomial through positions of a superblock becomes its values at the middles of blocks.
#[derive(Clone, Debug)]
pub struct SlowNodes {
    pub(super) three: Nodes<3>,
    pub(super) five: Nodes<5>,
}

impl SlowNodes {
    /// For blocks of so many tokens.
    pub fn new(block: usize) -> Self {
        SlowNodes { three: Nodes::new(block), five: Nodes::new(block) }
    }

    /// Tokens from the superblock's first one: Chebyshev's nodes between the middles of the first block and of the last.
    pub fn positions(&self, turning: Turning) -> &[f64] {
        match turning {
            Turning::Hardly => &self.three.positions,
            Turning::Slowly => &self.five.positions,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Nodes<const J: usize> {
    positions: [f64; J],
    /// What each node counts in the middle of each block.
    pub(super) lanes: [[f32; WIDTH]; J],
    /// What each node counts in the derivative by position at each, `[at][node]`.
    pub(super) derivatives: [[f32; J]; J],
}

impl<const J: usize> Nodes<J> {
    fn new(block: usize) -> Self {
        let (block, half) = (block as f64, (LANES - 1) as f64 / 2.0);
        let nodes: [f64; J] = std::array::from_fn(|j| (PI * (2 * j + 1) as f64 / (2 * J) as f64).cos());
        // Lagrange's polynomial of node `j`, which is 1 there and 0 at the others.
        let others = |j: usize| (0..J).filter(move |&i| i != j);
        let counts = |j: usize, x: f64| others(j).map(|i| (x - nodes[i]) / (nodes[j] - nodes[i])).product::<f64>();
        let derivative = |at: usize, j: usize| -> f64 {
            let without = |k: usize| -> f64 {
                let rest = others(j).filter(|&i| i != k).map(|i| (nodes[at] - nodes[i]) / (nodes[j] - nodes[i]));
                rest.product::<f64>() / (nodes[j] - nodes[k])
            };
            others(j).map(without).sum::<f64>() / (half * block)
        };
        Nodes {
            positions: nodes.map(|x| (half + half * x) * block + (block - 1.0) / 2.0),
            lanes: std::array::from_fn(|j| std::array::from_fn(|lane| counts(j, lane as f64 / half - 1.0) as f32)),
            derivatives: std::array::from_fn(|at| std::array::from_fn(|j| derivative(at, j) as f32)),
        }
    }
}
