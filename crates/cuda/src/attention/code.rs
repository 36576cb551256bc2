//! How a layer of a spectral cache is coded, as the host says it: what is made from a prompt.

use super::spectral::{Back, Coefficients};

/// One side, keys or values, of a layer.
#[derive(Clone, Debug, Default)]
pub struct SideCode {
    /// Bits of each coefficient, 1 to 8, in the order of its stream.
    pub bits: Vec<u8>,
    /// Its size, which it is divided by before it is coded; the square of that is what its errors weigh.
    pub sizes: Vec<f32>,
    /// Its place, as [`Coefficients`] counts them.
    pub places: Vec<u16>,
    /// The first coefficient of each head's keys, or each tile's values, and the end of the last.
    pub starts: Vec<u32>,
    /// From channels to directions: of keys `[G][D / 32][32 directions][32 dims]`, before RoPE; of values
    /// `[tiles][channels directions][channels]`. Directions that are not kept are zero.
    pub forward: Vec<f32>,
    /// What is taken off directions then, so that their mean is zero: `[..][directions]`.
    pub shift: Vec<f32>,
    /// The way back, as [`Back`] has it.
    pub back: Vec<f32>,
    /// Means of channels, as [`Back`] has them.
    pub means: Vec<f32>,
}

impl SideCode {
    /// What its codes mean.
    pub fn coefficients(&self) -> Coefficients<'_> {
        Coefficients { bits: &self.bits, sizes: &self.sizes, places: &self.places, starts: &self.starts }
    }
}

/// How keys and values of a layer are coded.
#[derive(Clone, Debug, Default)]
pub struct LayerCode {
    /// Keys.
    pub keys: SideCode,
    /// Values.
    pub values: SideCode,
}

impl LayerCode {
    /// From coefficients back to keys and values.
    pub fn back(&self) -> Back<'_> {
        Back {
            keys: &self.keys.back,
            key_means: &self.keys.means,
            values: &self.values.back,
            value_means: &self.values.means,
        }
    }
}
