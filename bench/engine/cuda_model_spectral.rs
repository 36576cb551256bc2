//! The `spectral` part of `cuda_model`: pasts whose codes are random words, so that every coefficient takes values of its
//! levels. They hold a context from the beginning; tokens of steps are held whole.

use fourier_kv_cuda::attention::TokensView;
use fourier_kv_cuda::attention::spectral::{
    CodedView, Codes, SUPERBLOCK, SpectralAttention, SpectralPast, SpectralSizes, SpectralTables, SpectralWork,
};
use fourier_kv_cuda::model::{ModelShape, Pasts, Whole};
use fourier_kv_cuda::{Buffer, CudaError, Device, Random};
use fourier_kv_spectral::trellis::LANES;

use super::HEADS;
use super::support::Numbers;
use super::support::coded::Coded;

const SIZES: SpectralSizes = SpectralSizes { heads: HEADS, value_heads: 2 };
/// Steps that there is room for.
const ROOM: usize = 256;

/// Bits of a coefficient, 2 on average: fewer for higher harmonics, as rates by variance come out.
fn bits(_: &mut Numbers, place: usize) -> u8 {
    [6, 5, 4, 4, 3, 3, 2, 2, 1, 1, 1, 0, 0, 0, 0, 0][place / 32 % 16]
}

/// Random spectral pasts of a batch.
pub(super) struct RandomPasts {
    attention: SpectralAttention,
    work: SpectralWork,
    layers: Vec<Layer>,
    lengths: Vec<usize>,
    bytes: usize,
}

/// One layer; what it holds is only looked at through its views.
struct Layer {
    coded: Buffer<CodedView>,
    whole: Buffer<TokensView>,
    _tables: SpectralTables,
    _codes: Vec<Codes>,
    _rows: Vec<Whole>,
}

impl RandomPasts {
    /// `batch` sequences of `context` tokens, of which `window` are held whole.
    pub(super) fn new(
        device: &Device,
        shape: &ModelShape,
        (context, window): (usize, usize),
        batch: usize,
    ) -> Result<Self, CudaError> {
        let tokens = context - window;
        let coded = Coded::random(&mut Numbers(11), SIZES, bits);
        let attention = SpectralAttention::new(device, SIZES, &shape.frequencies)?;
        let mut random = Random::new(device, 5)?;
        let mut bytes = 0;
        let mut layer = || -> Result<Layer, CudaError> {
            let [keys, values] = &coded.sides;
            let tables = SpectralTables::new(device, &SIZES, keys.view(), values.view(), coded.back())?;
            let (room, superblocks) = (tables.words().iter().sum(), tokens.div_ceil(SUPERBLOCK));
            let mut codes = || {
                // Any pattern of bits is a code.
                let mut words: Buffer<u32> = device.uninitialised(superblocks * room * LANES)?;
                random.words(device, &mut words)?;
                let words = attention.arrange(device, &tables, (&words, room), superblocks)?;
                Ok(Codes { words, count: tokens, first: 0 })
            };
            let codes = (0..batch).map(|_| codes()).collect::<Result<Vec<_>, CudaError>>()?;
            let rows = (0..batch).map(|_| Whole::random(device, HEADS, window + ROOM, &mut random));
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            let views = codes.iter().map(|codes| tables.view(codes)).collect::<Result<Vec<_>, _>>()?;
            let whole = rows.iter().map(|rows| rows.view(window)).collect::<Result<Vec<_>, _>>()?;
            bytes += codes.iter().map(|codes| codes.words.len() * size_of::<u32>()).sum::<usize>()
                + rows.iter().map(Whole::bytes).sum::<usize>();
            let (coded, whole) = (device.upload(&views)?, device.upload(&whole)?);
            Ok(Layer { coded, whole, _tables: tables, _codes: codes, _rows: rows })
        };
        let layers = (0..shape.layers).map(|_| layer()).collect::<Result<Vec<_>, _>>()?;
        let work = attention.work(device, batch, tokens, window + ROOM)?;
        Ok(RandomPasts { work, attention, layers, lengths: vec![context; batch], bytes })
    }
}

impl Pasts for RandomPasts {
    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn prompt(&mut self, _: &Device, _: usize, _: usize, tokens: usize) -> Result<TokensView, CudaError> {
        Err(CudaError::Shape { what: "a prompt", expected: "none: codes are random", got: tokens })
    }

    fn seal(&mut self, _: &Device, _: usize, _: usize, _: usize) -> Result<(), CudaError> {
        Ok(())
    }

    fn read(&mut self, _: &Device, _: usize, _: usize) -> Result<(), CudaError> {
        Ok(())
    }

    fn make_room(&mut self, _: &Device) -> Result<(), CudaError> {
        Ok(())
    }

    fn stepped(&mut self) {
        self.lengths.iter_mut().for_each(|held| *held += 1);
    }

    fn views(&self, layer: usize) -> &Buffer<TokensView> {
        &self.layers[layer].whole
    }

    fn attend(
        &mut self,
        device: &Device,
        layer: usize,
        queries: &Buffer<f32>,
        out: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let Layer { coded, whole, .. } = &self.layers[layer];
        let past = SpectralPast { queries, coded, whole };
        self.attention.attend(device, past, &mut self.work, out)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
