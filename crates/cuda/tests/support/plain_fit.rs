//! Tables without directions: every channel as it is, its harmonics in 8 bits.

use fourier_kv_cuda::attention::code::{LayerCode, SideCode};
use fourier_kv_cuda::attention::spectral::{BLOCK, KEY_TILE, SpectralSizes};
use fourier_kv_cuda::model::{FitSpectral, PromptRows};
use fourier_kv_spectral::dct::Dct;

pub(crate) struct PlainFit {
    pub(crate) sizes: SpectralSizes,
    pub(crate) frequencies: Vec<f64>,
}

impl FitSpectral for PlainFit {
    fn most_tokens(&self) -> usize {
        4096
    }

    fn fit(&self, rows: &PromptRows) -> LayerCode {
        let sides = [&rows.keys, &rows.values].map(|all| {
            let heads = all.chunks_exact(rows.starts.len() * rows.run * self.dim());
            heads.map(|head| head.iter().map(|x| x.to_f64()).collect::<Vec<f64>>()).collect::<Vec<_>>()
        });
        let [mut keys, values] = sides;
        keys.iter_mut().for_each(|head| self.turn_back(head, rows));
        LayerCode { keys: self.keys(&keys), values: self.values(&values) }
    }
}

impl PlainFit {
    fn dim(&self) -> usize {
        self.sizes.heads.head_dim
    }

    fn turn_back(&self, head: &mut [f64], rows: &PromptRows) {
        for (i, row) in head.chunks_exact_mut(self.dim()).enumerate() {
            let at = rows.starts[i / rows.run] + i % rows.run;
            let (low, high) = row.split_at_mut(self.frequencies.len());
            for ((x, y), f) in low.iter_mut().zip(high).zip(&self.frequencies) {
                let (sin, cos) = (f * at as f64).sin_cos();
                (*x, *y) = (*x * cos + *y * sin, *y * cos - *x * sin);
            }
        }
    }

    /// The mean of a channel, and the root mean square of its harmonics without it.
    fn channel(&self, head: &[f64], d: usize) -> (f64, Vec<f64>) {
        let column: Vec<f64> = head.iter().copied().skip(d).step_by(self.dim()).collect();
        let mean = column.iter().sum::<f64>() / column.len() as f64;
        let (dct, mut squares) = (Dct::new(BLOCK).unwrap(), vec![0.0; BLOCK]);
        for block in column.chunks_exact(BLOCK) {
            let centred: Vec<f64> = block.iter().map(|x| x - mean).collect();
            squares.iter_mut().zip(dct.forward(&centred)).for_each(|(sum, x)| *sum += x * x);
        }
        let blocks = (column.len() / BLOCK) as f64;
        (mean, squares.iter().map(|x| (x / blocks).sqrt()).collect())
    }

    fn keys(&self, heads: &[Vec<f64>]) -> SideCode {
        let (dim, half) = (self.dim(), self.dim() / 2);
        let mut side = SideCode { starts: vec![0], ..SideCode::default() };
        for head in heads {
            for tile in 0..dim / KEY_TILE {
                let dim_of = |i: usize| tile * KEY_TILE / 2 + i % (KEY_TILE / 2) + i / (KEY_TILE / 2) * half;
                let channels: Vec<_> = (0..KEY_TILE).map(|i| self.channel(head, dim_of(i))).collect();
                for f in 0..BLOCK {
                    for (r, (_, sizes)) in channels.iter().enumerate() {
                        side.push(sizes[f], (tile * BLOCK + f) * KEY_TILE + r);
                    }
                }
                let unit = (0..KEY_TILE * KEY_TILE).map(|at| f32::from(u8::from(at / KEY_TILE == at % KEY_TILE)));
                side.forward.extend(unit.clone());
                side.back.extend(unit);
                side.shift.extend(channels.iter().map(|(mean, _)| *mean as f32));
                side.means.extend(channels.iter().map(|(mean, _)| *mean as f32));
            }
            side.starts.push(side.bits.len() as u32);
        }
        side
    }

    fn values(&self, heads: &[Vec<f64>]) -> SideCode {
        let (dim, channels) = (self.dim(), self.sizes.channels());
        let mut side = SideCode { starts: vec![0], ..SideCode::default() };
        for own in heads.chunks_exact(self.sizes.value_heads) {
            for (r, (mean, sizes)) in own.iter().flat_map(|head| (0..dim).map(|d| self.channel(head, d))).enumerate() {
                (0..BLOCK).for_each(|f| side.push(sizes[f], r * BLOCK + f));
                side.shift.push(mean as f32);
                side.means.push(mean as f32);
            }
            side.forward.extend((0..channels * channels).map(|at| f32::from(u8::from(at / channels == at % channels))));
            for head in 0..self.sizes.value_heads {
                let unit = |at: usize| at / dim == head * dim + at % dim;
                side.back.extend((0..channels * dim).map(|at| f32::from(u8::from(unit(at)))));
            }
            side.starts.push(side.bits.len() as u32);
        }
        side
    }
}

/// What a fit adds up.
trait Push {
    fn push(&mut self, size: f64, place: usize);
}

impl Push for SideCode {
    fn push(&mut self, size: f64, place: usize) {
        self.bits.push(8);
        self.sizes.push(size as f32);
        self.places.push(place as u16);
    }
}
