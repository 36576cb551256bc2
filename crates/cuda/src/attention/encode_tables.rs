//! What a layer of a spectral cache is coded with, on the device.

use cudarc::driver::DeviceRepr;
use fourier_kv_spectral::trellis::MAX_BITS;
use half::f16;

use super::Heads;
use super::code::{LayerCode, SideCode};
use super::spectral::{BLOCK, KEY_TILE, SpectralSizes};
use crate::buffer::Loader;
use crate::{Buffer, CudaError};

/// Coefficients of a part of a stream, `PART` in the source.
pub(super) const PART: usize = 256;
/// No coefficient, `NO_COEFFICIENT` in the source.
const NONE: u16 = u16::MAX;

/// What is the same for all blocks of a layer that are coded, on the device.
#[derive(Debug)]
pub struct EncoderTables {
    pub(super) sides: [SideTables; 2],
}

/// Of one side.
#[derive(Debug)]
pub(super) struct SideTables {
    numbers: Buffer<u16>,
    sizes: Buffer<f32>,
    bits: Buffer<u8>,
    pub(super) starts: Buffer<u32>,
    /// Of keys in `f32`, of values in halves.
    matrix: Matrix,
    shift: Buffer<f32>,
    unit: f32,
    pub(super) count: usize,
    pub(super) words: usize,
}

#[derive(Debug)]
pub(super) enum Matrix {
    Wide(Buffer<f32>),
    Narrow(Buffer<u16>),
}

/// `Side` in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct SideView {
    numbers: u64,
    sizes: u64,
    bits: u64,
    count: u32,
}

// SAFETY: plain numbers in the order and with the sizes of `Side` in kernels/encode.cu.
unsafe impl DeviceRepr for SideView {}

/// `Forward` in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct ForwardView {
    matrix: u64,
    shift: u64,
    unit: f32,
}

// SAFETY: likewise.
unsafe impl DeviceRepr for ForwardView {}

impl EncoderTables {
    /// Of a layer.
    pub(crate) fn new(loader: &Loader, sizes: &SpectralSizes, code: &LayerCode) -> Result<Self, CudaError> {
        let Heads { kv_heads, head_dim, .. } = sizes.heads;
        let tiles = kv_heads * head_dim / KEY_TILE;
        let keys = SideTables::new(loader, &code.keys, tiles * BLOCK * KEY_TILE, BLOCK * head_dim)?;
        check("the way of keys", code.keys.forward.len(), tiles * KEY_TILE * KEY_TILE)?;
        check("what is taken off keys", code.keys.shift.len(), tiles * KEY_TILE)?;
        let (tiles, channels) = (sizes.value_tiles(), sizes.channels());
        let values = SideTables::new(loader, &code.values, tiles * channels * BLOCK, channels * BLOCK)?;
        check("the way of values", code.values.forward.len(), tiles * channels * channels)?;
        check("what is taken off values", code.values.shift.len(), tiles * channels)?;
        let keys = SideTables { matrix: Matrix::Wide(loader.upload(&code.keys.forward)?), ..keys };
        let largest = code.values.forward.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let unit = if largest > 0.0 && largest.is_finite() { largest } else { 1.0 };
        let halves: Vec<u16> = code.values.forward.iter().map(|x| f16::from_f32(x / unit).to_bits()).collect();
        let values = SideTables { matrix: Matrix::Narrow(loader.upload(&halves)?), unit, ..values };
        Ok(EncoderTables { sides: [keys, values] })
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        let side = |side: &SideTables| {
            let matrix = match &side.matrix {
                Matrix::Wide(numbers) => numbers.len() * 4,
                Matrix::Narrow(numbers) => numbers.len() * 2,
            };
            matrix
                + 2 * side.numbers.len()
                + 4 * (side.sizes.len() + side.starts.len() + side.shift.len())
                + side.bits.len()
        };
        self.sides.iter().map(side).sum()
    }
}

impl SideTables {
    /// All but the matrix; `places` places in all, `dense` of each part that starts are of.
    fn new(loader: &Loader, code: &SideCode, places: usize, dense: usize) -> Result<Self, CudaError> {
        let count = code.bits.len();
        for (what, got) in [("sizes", code.sizes.len()), ("places", code.places.len())] {
            check(what, got, count)?;
        }
        check("starts", code.starts.len(), places / dense + 1)?;
        let mut numbers = vec![NONE; places];
        for (part, ends) in code.starts.windows(2).enumerate() {
            for number in ends[0] as usize..ends[1] as usize {
                let place = code.places.get(number).map(|&place| usize::from(place)).filter(|&place| place < dense);
                let place = place.map(|place| part * dense + place);
                match place.and_then(|place| numbers.get_mut(place)) {
                    Some(to) if number < usize::from(NONE) => *to = number as u16,
                    _ => return Err(CudaError::Shape { what: "a place", expected: "one of its part", got: number }),
                }
            }
        }
        if let Some(&wrong) = code.bits.iter().find(|&&bits| !(1..=MAX_BITS).contains(&usize::from(bits))) {
            return Err(CudaError::Shape { what: "the bits of a coefficient", expected: "1 to 8", got: wrong.into() });
        }
        let mut starts = vec![0];
        for part in code.bits.chunks(PART) {
            starts.push(starts[starts.len() - 1] + part.iter().map(|&bits| u32::from(bits)).sum::<u32>());
        }
        Ok(SideTables {
            numbers: loader.upload(&numbers)?,
            sizes: loader.upload(&code.sizes)?,
            bits: loader.upload(&code.bits)?,
            starts: loader.upload(&starts)?,
            matrix: Matrix::Wide(loader.upload(&[])?),
            shift: loader.upload(&code.shift)?,
            unit: 1.0,
            count,
            words: fourier_kv_spectral::trellis::words(&code.bits),
        })
    }

    pub(super) fn view(&self) -> SideView {
        let (numbers, sizes, bits) = (self.numbers.address(), self.sizes.address(), self.bits.address());
        SideView { numbers, sizes, bits, count: self.count as u32 }
    }

    pub(super) fn forward(&self) -> ForwardView {
        let matrix = match &self.matrix {
            Matrix::Wide(numbers) => numbers.address(),
            Matrix::Narrow(numbers) => numbers.address(),
        };
        ForwardView { matrix, shift: self.shift.address(), unit: self.unit }
    }
}

fn check(what: &'static str, got: usize, expected: usize) -> Result<(), CudaError> {
    if got == expected { Ok(()) } else { Err(CudaError::Length { what, expected, got }) }
}
