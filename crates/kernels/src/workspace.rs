//! What kernels need besides their arguments: the instruction set, threads, transforms, and working memory to reuse.
//!
//! One workspace serves all threads, layers and caches of an engine. Nothing in it belongs to a cache: its bytes
//! are working memory, not memory of the past.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fourier_kv_spectral::fft::Fft;
use fourier_kv_spectral::streaming::{PhasorBlock, PhasorTable};

use crate::attention::exact::ExactScratch;
use crate::attention::fourier::FourierScratch;
use crate::attention::state::AttnRows;
use crate::coded::CodedScratch;
use crate::isa::Isa;
use crate::matmul::MatmulScratch;
use crate::quant::activations::Activations;
#[cfg(target_arch = "x86_64")]
use crate::quant::byte_dot::BlockActivations;
use crate::quant::product::ProductScratch;
use crate::team::Team;
use crate::transform::{LaneTransform, TimeTransform};
use crate::trellis::TrellisTables;

/// Shared working memory; see the module's head.
#[derive(Debug)]
pub struct Workspace {
    isa: Isa,
    team: Team,
    transforms: Mutex<HashMap<usize, Arc<Transforms>>>,
    fourier: Mutex<Vec<FourierScratch<f32>>>,
    pool: Mutex<Vec<Scratch>>,
    trellis: OnceLock<TrellisTables>,
}

/// Everything that is computed once a period.
#[derive(Debug)]
pub struct Transforms {
    isa: Isa,
    lanes: Mutex<HashMap<usize, Arc<LaneTransform<f32>>>>,
    times: Mutex<HashMap<usize, Arc<TimeTransform<f32>>>>,
    /// Whole-signal transforms.
    pub fft: Fft<f32>,
    /// Phasors for streaming.
    pub phasors: PhasorTable<f32>,
    last_block: Mutex<Option<Arc<PhasorBlock<f32>>>>,
}

/// Working memory of one task.
#[derive(Debug, Default)]
pub struct Scratch {
    /// For states that are merged into others.
    pub states: AttnRows<f32>,
    /// For [`crate::attention::exact`].
    pub exact: ExactScratch<f32>,
    /// For [`crate::matmul`].
    pub matmul: MatmulScratch,
    /// For [`crate::coded`].
    pub coded: CodedScratch,
    /// For [`crate::quant::product`].
    pub product: ProductScratch,
    /// Activations as integers.
    pub activations: Activations,
    /// The same in bytes, of few tokens.
    #[cfg(target_arch = "x86_64")]
    pub bytes: Vec<BlockActivations>,
    /// For whatever a task needs; its content is left over from the last use.
    pub floats: Vec<f32>,
    /// The same, a second one.
    pub more_floats: Vec<f32>,
}

impl Workspace {
    /// A workspace whose kernels run on `isa`, on the calling thread alone.
    pub fn new(isa: Isa) -> Self {
        Workspace::with_team(isa, Team::alone())
    }

    /// A workspace whose kernels run on `isa` and share out their tasks over `team`.
    pub fn with_team(isa: Isa, team: Team) -> Self {
        Workspace {
            isa,
            team,
            transforms: Mutex::default(),
            fourier: Mutex::default(),
            pool: Mutex::default(),
            trellis: OnceLock::new(),
        }
    }

    /// The threads that tasks are shared out over.
    pub fn team(&self) -> &Team {
        &self.team
    }

    /// The instruction set that kernels run on.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The tables of trellis codes, made at their first use.
    pub fn trellis(&self) -> &TrellisTables {
        self.trellis.get_or_init(TrellisTables::new)
    }

    /// Runs `task` with working memory that no other task uses meanwhile.
    pub fn with_scratch<R>(&self, task: impl FnOnce(&mut Scratch) -> R) -> R {
        let mut scratch = locked(&self.pool).pop().unwrap_or_default();
        let result = task(&mut scratch);
        locked(&self.pool).push(scratch);
        result
    }

    /// Makes the working memory of all threads as large as the largest is.
    ///
    /// Which thread does which task is left to chance, so each must be ready for any: after a step of decoding and
    /// this, a step like it allocates nothing, whoever does what. `depth` is 1, or 2 where tasks run tasks: then each
    /// keeps memory while its own run. Costs next to nothing when all is level.
    pub fn level(&self, depth: usize) {
        // One for each thread and depth, and one for what the caller keeps while its tasks run.
        let (mut pool, count) = (locked(&self.pool), self.team.threads() * depth + 1);
        level(&mut pool, count, Scratch::default, Scratch::buffers);
        level(&mut pool, count, Scratch::default, |scratch| scratch.coded.vectors.each_mut());
        #[cfg(target_arch = "x86_64")]
        level(&mut pool, count, Scratch::default, |scratch| [&mut scratch.bytes]);
    }

    /// The transforms of an even period, planned at its first use.
    pub fn transforms(&self, period: usize) -> Arc<Transforms> {
        let mut known = locked(&self.transforms);
        known.entry(period).or_insert_with(|| Arc::new(Transforms::new(period, self.isa))).clone()
    }

    /// Runs `task` with memory for spectral attention that nobody else uses meanwhile.
    pub fn with_fourier_scratch<R>(&self, task: impl FnOnce(&mut FourierScratch<f32>) -> R) -> R {
        let mut scratch = locked(&self.fourier).pop().unwrap_or_default();
        let result = task(&mut scratch);
        locked(&self.fourier).push(scratch);
        result
    }
}

impl Scratch {
    /// All memory that grows with use while single tokens are computed.
    fn buffers(&mut self) -> [&mut Vec<f32>; 11] {
        let ([max, sum, out], [block, scores]) = (self.states.buffers(), self.exact.buffers());
        let [a, b, c, d] = self.coded.singles.each_mut();
        [max, sum, out, block, scores, &mut self.floats, &mut self.more_floats, a, b, c, d]
    }
}

impl Transforms {
    fn new(period: usize, isa: Isa) -> Self {
        Transforms {
            isa,
            lanes: Mutex::default(),
            times: Mutex::default(),
            fft: Fft::new(period),
            phasors: PhasorTable::new(period),
            last_block: Mutex::default(),
        }
    }

    /// The instruction set that transforms run on.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Transforms for the bins `0 .. harmonics` alone, planned at their first use.
    pub fn lanes(&self, harmonics: usize) -> Arc<LaneTransform<f32>> {
        let mut known = locked(&self.lanes);
        let plan = || Arc::new(LaneTransform::new(self.fft.period(), harmonics));
        known.entry(harmonics).or_insert_with(plan).clone()
    }

    /// The same to single precision, the quickest way.
    pub fn times(&self, harmonics: usize) -> Arc<TimeTransform<f32>> {
        let mut known = locked(&self.times);
        let plan = || Arc::new(TimeTransform::new(self.fft.period(), harmonics));
        known.entry(harmonics).or_insert_with(plan).clone()
    }

    /// The phasors of a block of times. Layers ask for the same block one after another: the last one is kept.
    pub fn block(&self, first_time: usize, samples: usize, harmonics: usize) -> Arc<PhasorBlock<f32>> {
        let mut last = locked(&self.last_block);
        if let Some(block) = last.as_ref()
            && (block.first_time(), block.samples(), block.harmonics()) == (first_time, samples, harmonics)
        {
            return block.clone();
        }
        // Nobody uses the one before any longer, unless a prompt is being read: its memory serves again.
        match last.as_mut().and_then(Arc::get_mut) {
            Some(block) => self.phasors.refill(block, first_time, samples, harmonics),
            None => *last = Some(Arc::new(self.phasors.block(first_time, samples, harmonics))),
        }
        last.clone().expect("it was set above")
    }
}

/// Brings `pool` to `count` members, unless it is not in use, and the buffers of all to the capacity of the largest.
fn level<S, T, const N: usize>(
    pool: &mut Vec<S>,
    count: usize,
    make: impl Fn() -> S,
    buffers: impl Fn(&mut S) -> [&mut Vec<T>; N],
) {
    if pool.is_empty() {
        return;
    }
    let mut most = [0; N];
    for scratch in &mut *pool {
        for (most, buffer) in most.iter_mut().zip(buffers(scratch)) {
            *most = buffer.capacity().max(*most);
        }
    }
    while pool.len() < count {
        pool.push(make());
    }
    for scratch in pool {
        for (most, buffer) in most.iter().zip(buffers(scratch)) {
            buffer.reserve_exact(most.saturating_sub(buffer.len()));
        }
    }
}

/// Locks; a panic elsewhere cannot have left these pools and tables in a broken state.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
