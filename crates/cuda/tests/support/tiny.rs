//! A small random model, and its forward pass in `f64`, written down plainly.

use fourier_kv_cuda::attention::Heads;
use fourier_kv_cuda::model::{ModelShape, Part, Weights};
use fourier_kv_cuda::{CudaError, Device};
use half::bf16;

use super::Numbers;

/// A model's numbers, as the device is given them.
pub(crate) struct Tiny {
    pub(crate) shape: ModelShape,
    matrices: Vec<(Part, Vec<bf16>)>,
    vectors: Vec<(Part, Vec<f32>)>,
}

/// What models differ in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) heads: Heads,
    pub(crate) interleaved: bool,
    pub(crate) biased: bool,
    pub(crate) tied: bool,
}

impl Tiny {
    pub(crate) fn random(kind: Kind, seed: u64) -> Self {
        let Kind { heads, interleaved, biased, tied } = kind;
        let mut numbers = Numbers(seed);
        let (width, hidden, vocabulary, layers) = (72, 104, 50, 3);
        let frequencies = (0..heads.head_dim / 2).map(|i| 10_000f64.powf(-2.0 * i as f64 / heads.head_dim as f64));
        let shape = ModelShape {
            layers,
            heads,
            width,
            hidden,
            vocabulary,
            norm_eps: 1e-5,
            interleaved,
            frequencies: frequencies.collect(),
            biased,
            tied_output: tied,
        };
        let (query, key) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
        let mut sizes = vec![(Part::Embedding, vocabulary, width)];
        if !tied {
            sizes.push((Part::Output, vocabulary, width));
        }
        let mut vectors = vec![(Part::OutputNorm, width)];
        for l in 0..layers {
            sizes.extend([(Part::Query(l), query, width), (Part::Key(l), key, width), (Part::Value(l), key, width)]);
            sizes.extend([(Part::AttentionOutput(l), width, query), (Part::Gate(l), hidden, width)]);
            sizes.extend([(Part::Up(l), hidden, width), (Part::Down(l), width, hidden)]);
            vectors.extend([(Part::AttentionNorm(l), width), (Part::FeedForwardNorm(l), width)]);
            if biased {
                vectors.extend([(Part::QueryBias(l), query), (Part::KeyBias(l), key), (Part::ValueBias(l), key)]);
            }
        }
        let matrix = |(part, rows, cols): (Part, usize, usize)| (part, rows * cols, 1.0 / (cols as f64).sqrt());
        let matrices = sizes.into_iter().map(matrix).map(|(part, n, d)| (part, numbers.bf16(n, d))).collect();
        let vectors = vectors.into_iter().map(|(part, n)| (part, numbers.f32(n, 1.0))).collect();
        Tiny { shape, matrices, vectors }
    }

    /// On the device.
    pub(crate) fn upload(&self, device: &Device) -> Result<Weights, CudaError> {
        let mut weights = Weights::new(device, &self.shape)?;
        for (part, numbers) in &self.matrices {
            // In two pieces, as large matrices are.
            let (first, second) = numbers.split_at(numbers.len() / 3);
            weights.write_matrix(*part, first.len(), second)?;
            weights.write_matrix(*part, 0, first)?;
        }
        for (part, numbers) in &self.vectors {
            weights.write_vector(*part, numbers)?;
        }
        Ok(weights)
    }

    fn vector(&self, part: Part) -> Option<Vec<f64>> {
        let found = self.vectors.iter().find(|(p, _)| *p == part)?;
        Some(found.1.iter().map(|&x| f64::from(x)).collect())
    }

    fn matrix(&self, part: Part) -> &[bf16] {
        let tied = if self.shape.tied_output && part == Part::Output { Part::Embedding } else { part };
        &self.matrices.iter().find(|(p, _)| *p == tied).expect("a part").1
    }

    /// `W x`, and a bias where there is one.
    fn product(&self, part: Part, bias: Option<Part>, x: &[f64]) -> Vec<f64> {
        let dot = |row: &[bf16]| row.iter().zip(x).map(|(w, x)| w.to_f64() * x).sum::<f64>();
        let mut y: Vec<f64> = self.matrix(part).chunks(x.len()).map(dot).collect();
        if let Some(bias) = bias.and_then(|bias| self.vector(bias)) {
            y.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
        }
        y
    }

    fn norm(&self, part: Part, x: &[f64]) -> Vec<f64> {
        let square = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let scale = 1.0 / (square + f64::from(self.shape.norm_eps)).sqrt();
        x.iter().zip(self.vector(part).expect("a norm")).map(|(x, w)| x * scale * w).collect()
    }

    /// One head's row turned, pairs in halves.
    fn turned(&self, x: &[f64], position: usize) -> Vec<f64> {
        let pairs = x.len() / 2;
        let mut y = vec![0.0; x.len()];
        for i in 0..pairs {
            let (a, b) = if self.shape.interleaved { (x[2 * i], x[2 * i + 1]) } else { (x[i], x[i + pairs]) };
            let (sin, cos) = (self.shape.frequencies[i] * position as f64).sin_cos();
            (y[i], y[i + pairs]) = (a * cos - b * sin, b * cos + a * sin);
        }
        y
    }

    /// The logits of the last of these tokens.
    pub(crate) fn logits(&self, tokens: &[u32]) -> Vec<f64> {
        let width = self.shape.width;
        let row = |&token: &u32| self.matrix(Part::Embedding)[token as usize * width..][..width].iter();
        let mut stream: Vec<Vec<f64>> = tokens.iter().map(|t| row(t).map(|x| x.to_f64()).collect()).collect();
        for l in 0..self.shape.layers {
            self.layer(l, &mut stream);
        }
        let last = stream.last().expect("a token");
        self.product(Part::Output, None, &self.norm(Part::OutputNorm, last))
    }

    fn layer(&self, l: usize, stream: &mut [Vec<f64>]) {
        let Heads { heads, kv_heads, head_dim } = self.shape.heads;
        let group = heads / kv_heads;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (t, x) in stream.iter_mut().enumerate() {
            let normed = self.norm(Part::AttentionNorm(l), x);
            let q = self.product(Part::Query(l), Some(Part::QueryBias(l)), &normed);
            let k = self.product(Part::Key(l), Some(Part::KeyBias(l)), &normed);
            keys.push(k.chunks(head_dim).flat_map(|k| self.turned(k, t)).collect::<Vec<f64>>());
            values.push(self.product(Part::Value(l), Some(Part::ValueBias(l)), &normed));
            let mut attended = Vec::new();
            for (h, q) in q.chunks(head_dim).enumerate() {
                let (q, own) = (self.turned(q, t), h / group * head_dim..(h / group + 1) * head_dim);
                let dot = |k: &Vec<f64>| q.iter().zip(&k[own.clone()]).map(|(a, b)| a * b).sum::<f64>();
                let scores: Vec<f64> = keys.iter().map(|k| dot(k) / (head_dim as f64).sqrt()).collect();
                attended.extend(super::softmax_sum(&scores, head_dim, |t, d| values[t][own.start + d]));
            }
            let added = self.product(Part::AttentionOutput(l), None, &attended);
            x.iter_mut().zip(added).for_each(|(x, y)| *x += y);
            let normed = self.norm(Part::FeedForwardNorm(l), x);
            let (gate, up) = (self.product(Part::Gate(l), None, &normed), self.product(Part::Up(l), None, &normed));
            let gated: Vec<f64> = gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
            let added = self.product(Part::Down(l), None, &gated);
            x.iter_mut().zip(added).for_each(|(x, y)| *x += y);
        }
    }
}
