//! The middle of each sequence as codes of a block transform; sink and window held whole.
//!
//! A prompt's layer is coded with tables that the host makes of a sample of it, on a thread of its own while the device
//! computes the next layers. From then on 256 tokens, a superblock, leave the window together and are coded with the same
//! tables.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::ModelShape;
use super::compressed::{Beginning, CompressedPasts, Joining, Middles, Place};
use super::prompt_rows::PromptRows;
use super::whole::Whole;
use super::window::Division;
use crate::attention::code::LayerCode;
use crate::attention::encode::{EncoderTables, EncoderWork, SpectralEncoder};
use crate::attention::seal::Leaving;
use crate::attention::spectral::{
    Back, CodedView, Codes, Coefficients, SUPERBLOCK, SpectralAttention, SpectralPast, SpectralSizes, SpectralTables,
    SpectralWork,
};
use crate::attention::{Heads, TokensView};
use crate::buffer::Loader;
use crate::{Buffer, CudaError, Device};

/// Layers of a prompt whose tables are made at the same time, at most: making them takes longer than computing a layer of a
/// short prompt.
pub const LAYERS_AT_ONCE: usize = 3;
/// Tokens of all of them, as their rows are held until they are coded: 400 MB of eight heads of 128 dims.
const TOKENS_AT_ONCE: usize = 98_304;

/// Makes the tables of a layer's codes.
pub trait FitSpectral: Send + Sync {
    /// Tokens of a sample, at most; it comes in runs of 16.
    fn most_tokens(&self) -> usize;

    /// The tables that fit a sample of a prompt's layer; asked for [`LAYERS_AT_ONCE`] layers by as many threads.
    fn fit(&self, rows: &PromptRows) -> LayerCode;
}

/// What a spectral past is like.
#[derive(Clone)]
pub struct SpectralSettings {
    /// Sizes of every layer.
    pub sizes: SpectralSizes,
    /// The first tokens, held whole.
    pub sink: usize,
    /// The last tokens, held whole; rounded up to a multiple of 256.
    pub window: usize,
    /// Coding begins with no fewer tokens.
    pub least: usize,
    /// Makes tables.
    pub fit: Arc<dyn FitSpectral>,
    /// Whether all sequences of the batch have the tables of the first one that is coded.
    pub shared: bool,
}

impl std::fmt::Debug for SpectralSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpectralSettings").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

/// Spectral pasts of a batch.
pub type SpectralPasts = CompressedPasts<SpectralMiddles>;

/// Codes of a batch.
#[derive(Debug)]
pub struct SpectralMiddles {
    settings: SpectralSettings,
    encoder: SpectralEncoder,
    attention: SpectralAttention,
    work: SpectralWork,
    /// Tokens that the working memory is for.
    expected: usize,
    epoch: u64,
    /// `[layer][sequence]`
    middles: Vec<Vec<Option<Middle>>>,
    views: Vec<Buffer<CodedView>>,
    /// For sequences without codes.
    empty: SpectralTables,
    none: Codes,
    /// In the order of layers.
    pending: VecDeque<Pending>,
    /// Of the layers that are being coded.
    coding: EncoderWork,
}

/// One layer of one sequence.
#[derive(Debug)]
struct Middle {
    tables: Arc<Tables>,
    codes: Codes,
    /// Superblocks that there is room for.
    room: usize,
}

/// What a layer is coded and attended to with.
#[derive(Debug)]
struct Tables {
    attend: SpectralTables,
    encode: EncoderTables,
    bytes: usize,
}

/// A layer whose tables are being made.
#[derive(Debug)]
struct Pending {
    place: Place,
    rows: Arc<Whole>,
    first: usize,
    count: usize,
    tables: JoinHandle<Result<Tables, CudaError>>,
}

impl SpectralPasts {
    /// Empty pasts of `batch` sequences.
    ///
    /// # Errors
    /// [`CudaError::Shape`], [`CudaError::Length`], [`CudaError::Memory`]; those of the compiler.
    pub fn new(
        device: &Device,
        shape: &ModelShape,
        settings: SpectralSettings,
        batch: usize,
    ) -> Result<Self, CudaError> {
        let (sink, window) = (settings.sink, settings.window);
        if window == 0 {
            return Err(CudaError::Shape { what: "the window", expected: "at least 1", got: 0 });
        }
        let division = Division { sink, window, step: SUPERBLOCK, least: settings.least.max(SUPERBLOCK) };
        CompressedPasts::with_method(
            device,
            shape,
            division,
            SpectralMiddles::new(device, shape, settings, batch)?,
            batch,
        )
    }
}

impl SpectralMiddles {
    fn new(device: &Device, shape: &ModelShape, settings: SpectralSettings, batch: usize) -> Result<Self, CudaError> {
        let sizes = settings.sizes;
        if sizes.heads != shape.heads {
            let expected = "those of the model";
            return Err(CudaError::Shape { what: "the heads", expected, got: sizes.heads.heads });
        }
        let attention = SpectralAttention::new(device, sizes, &shape.frequencies)?;
        let empty = empty_tables(device, &sizes)?;
        let none = Codes { words: device.upload(&[])?, count: 0, first: 0 };
        let view = empty.view(&none)?;
        let views = (0..shape.layers).map(|_| device.upload(&vec![view; batch])).collect::<Result<_, _>>()?;
        Ok(SpectralMiddles {
            encoder: SpectralEncoder::new(device, sizes, &shape.frequencies)?,
            work: attention.work(device, batch, 0, settings.window + SUPERBLOCK)?,
            attention,
            expected: 0,
            epoch: 0,
            middles: (0..shape.layers).map(|_| (0..batch).map(|_| None).collect()).collect(),
            views,
            empty,
            none,
            pending: VecDeque::new(),
            coding: EncoderWork::default(),
            settings,
        })
    }

    /// Begins to make tables of a sample of rows, beside what the device goes on with.
    fn fit(
        &self,
        device: &Device,
        beginning: &Beginning<'_>,
    ) -> Result<JoinHandle<Result<Tables, CudaError>>, CudaError> {
        let &Beginning { place, rows, first, count, energy } = beginning;
        let leaving = Leaving { tokens: rows.view(first + count)?, first, count };
        let (sample, starts) = self.encoder.sample(device, leaving, self.settings.fit.most_tokens())?;
        let sample = sample.read_beside(device)?;
        let energy = energy.later(device, self.settings.sizes.heads)?;
        let (fit, sizes, loader) = (Arc::clone(&self.settings.fit), self.settings.sizes, Loader::beside(device));
        let work = move || {
            let mut keys = sample.read()?;
            let (values, energy) = (keys.split_off(keys.len() / 2), energy()?);
            let code = fit.fit(&PromptRows {
                layer: place.layer,
                tokens: count,
                starts: starts.into_iter().map(|start| first + start).collect(),
                run: crate::attention::spectral::BLOCK,
                keys,
                values,
                query_energy: energy.sums,
                queries: energy.tokens,
            });
            Tables::new(&loader, &sizes, &code)
        };
        let named = std::thread::Builder::new().name("fourier-kv-fit".to_owned());
        named.spawn(work).map_err(|error| failed(error.to_string()))
    }

    /// Codes the oldest layer that waits, once its tables are there.
    fn settle_one(&mut self, device: &Device) -> Result<(), CudaError> {
        let Some(Pending { place, rows, first, count, tables }) = self.pending.pop_front() else { return Ok(()) };
        let tables = tables.join().map_err(|_| failed("the thread ended early".to_owned()))??;
        self.code(device, place, Arc::new(tables), Leaving { tokens: rows.view(first + count)?, first, count })
    }

    /// Whether the oldest layer that waits is to be coded now: its tables are there, or too many others would be held.
    fn is_next(&self) -> bool {
        let Some(Pending { count, tables, .. }) = self.pending.front() else { return false };
        tables.is_finished() || self.pending.len() >= (TOKENS_AT_ONCE / count).clamp(1, LAYERS_AT_ONCE)
    }

    /// Codes what a middle is begun with.
    fn code(
        &mut self,
        device: &Device,
        Place { layer, sequence }: Place,
        tables: Arc<Tables>,
        leaving: Leaving,
    ) -> Result<(), CudaError> {
        let superblocks = leaving.count / SUPERBLOCK;
        let words = self.arranged(device, &tables, leaving, leaving.first)?;
        let codes = Codes { words, count: leaving.count, first: leaving.first };
        self.middles[layer][sequence] = Some(Middle { tables, codes, room: superblocks });
        Ok(())
    }

    /// Codes of rows, the first of which has position `position`, as they are attended to.
    fn arranged(
        &mut self,
        device: &Device,
        tables: &Tables,
        leaving: Leaving,
        position: usize,
    ) -> Result<Buffer<u32>, CudaError> {
        let words = self.encoder.encode(device, &tables.encode, leaving, position, &mut self.coding)?;
        let room = tables.attend.words().iter().sum();
        self.attention.arrange(device, &tables.attend, (&words, room), leaving.count / SUPERBLOCK)
    }

    /// Tables of a layer that another sequence has, if they are shared.
    fn shared(&self, layer: usize) -> Option<Arc<Tables>> {
        let has = self.middles[layer].iter().flatten().next().filter(|_| self.settings.shared);
        has.map(|middle| Arc::clone(&middle.tables))
    }
}

impl Tables {
    /// Of a layer, on the device.
    fn new(loader: &Loader, sizes: &SpectralSizes, code: &LayerCode) -> Result<Self, CudaError> {
        let (keys, values) = (code.keys.coefficients(), code.values.coefficients());
        let attend = SpectralTables::load(loader, sizes, keys, values, code.back())?;
        let encode = EncoderTables::new(loader, sizes, code)?;
        let bytes = encode.bytes() + attend_bytes(code, attend.stride());
        Ok(Tables { attend, encode, bytes })
    }
}

/// Tables without a coefficient.
fn empty_tables(device: &Device, sizes: &SpectralSizes) -> Result<SpectralTables, CudaError> {
    let Heads { kv_heads, head_dim, .. } = sizes.heads;
    let (key_starts, value_starts) = (vec![0; kv_heads + 1], vec![0; sizes.value_tiles() + 1]);
    let side = |starts| Coefficients { bits: &[], sizes: &[], places: &[], starts };
    let zeros = vec![0.0; kv_heads * head_dim * sizes.channels().max(32)];
    let back = Back {
        keys: &zeros[..kv_heads * head_dim * 32],
        key_means: &zeros[..kv_heads * head_dim],
        values: &zeros[..kv_heads * sizes.channels() * head_dim],
        value_means: &zeros[..kv_heads * head_dim],
    };
    SpectralTables::new(device, sizes, side(&key_starts), side(&value_starts), back)
}

/// Bytes that what is attended with takes: ways back, means, and of each coefficient half a pair, and of each word its
/// sources.
fn attend_bytes(code: &LayerCode, stride: usize) -> usize {
    let coefficients = code.keys.bits.len() + code.values.bits.len();
    let means = code.keys.means.len() + code.values.means.len();
    2 * code.keys.back.len() + 4 * (code.values.back.len() + means) + 6 * coefficients + 8 * stride
}

impl Middles for SpectralMiddles {
    fn asks_for_energy(&self) -> bool {
        true
    }

    fn begins_with(&self, waiting: usize) -> usize {
        waiting / SUPERBLOCK * SUPERBLOCK
    }

    fn begin(&mut self, device: &Device, beginning: Beginning<'_>) -> Result<(), CudaError> {
        let Beginning { place, rows, first, count, .. } = beginning;
        if let Some(tables) = self.shared(place.layer) {
            let leaving = Leaving { tokens: rows.view(first + count)?, first, count };
            return self.code(device, place, tables, leaving);
        }
        let tables = self.fit(device, &beginning)?;
        self.pending.push_back(Pending { place, rows: Arc::clone(rows), first, count, tables });
        Ok(())
    }

    fn catch_up(&mut self, device: &Device) -> Result<(), CudaError> {
        while self.is_next() {
            self.settle_one(device)?;
        }
        Ok(())
    }

    fn settle(&mut self, device: &Device) -> Result<(), CudaError> {
        while !self.pending.is_empty() {
            self.settle_one(device)?;
        }
        Ok(())
    }

    fn clear(&mut self, Place { layer, sequence }: Place) {
        self.pending.retain(|pending| pending.place != Place { layer, sequence });
        self.middles[layer][sequence] = None;
    }

    fn room(&self, _: usize, _: usize) -> usize {
        usize::MAX
    }

    fn join(&mut self, device: &Device, Joining { place, tokens, first, held }: Joining) -> Result<(), CudaError> {
        let Some(mut middle) = self.middles[place.layer][place.sequence].take() else { return Ok(()) };
        let (superblocks, stride) = (held / SUPERBLOCK, middle.tables.attend.stride());
        let leaving = Leaving { tokens, first, count: SUPERBLOCK };
        let words = self.arranged(device, &middle.tables, leaving, self.settings.sink + held)?;
        if middle.room == superblocks {
            let room = superblocks + 1 + superblocks / 16;
            let mut larger = device.uninitialised(room * stride)?;
            larger.copy_from(0, &middle.codes.words, 0..superblocks * stride)?;
            (middle.codes.words, middle.room) = (larger, room);
        }
        middle.codes.words.copy_from(superblocks * stride, &words, 0..stride)?;
        middle.codes.count = held + SUPERBLOCK;
        self.middles[place.layer][place.sequence] = Some(middle);
        Ok(())
    }

    fn tell(&mut self, layer: usize, held: &[usize]) -> Result<(), CudaError> {
        let own = self.middles[layer].iter().zip(held);
        let view = |(middle, &held): (&Option<Middle>, &usize)| match middle.as_ref().filter(|_| held > 0) {
            Some(middle) => middle.tables.attend.view(&middle.codes),
            None => self.empty.view(&self.none),
        };
        self.views[layer].write(&own.map(view).collect::<Result<Vec<_>, _>>()?)
    }

    fn expect(&mut self, device: &Device, held: &[usize]) -> Result<(), CudaError> {
        // Nothing is coded for some time now.
        self.coding = EncoderWork::default();
        let most = held.iter().copied().max().unwrap_or(0);
        if most > self.expected {
            let expected = if self.expected == 0 { most } else { most + most / 32 };
            let whole = self.settings.window + SUPERBLOCK;
            self.work = self.attention.work(device, held.len(), expected, whole)?;
            self.expected = expected;
            self.epoch += 1;
        }
        Ok(())
    }

    fn attend(
        &mut self,
        device: &Device,
        layer: usize,
        (queries, whole): (&Buffer<f32>, &Buffer<TokensView>),
        out: &mut Buffer<f32>,
    ) -> Result<(), CudaError> {
        let past = SpectralPast { queries, coded: &self.views[layer], whole };
        self.attention.attend(device, past, &mut self.work, out)
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn bytes(&self) -> usize {
        let mut bytes = 0;
        for layer in &self.middles {
            let mut seen: Vec<*const Tables> = Vec::new();
            for middle in layer.iter().flatten() {
                bytes += middle.codes.words.len() * size_of::<u32>();
                let tables = Arc::as_ptr(&middle.tables);
                if !seen.contains(&tables) {
                    bytes += middle.tables.bytes;
                    seen.push(tables);
                }
            }
        }
        bytes
    }
}

fn failed(reason: String) -> CudaError {
    CudaError::Driver { what: "making tables of codes", reason }
}
