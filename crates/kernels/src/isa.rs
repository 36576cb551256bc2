//! Instruction sets: chosen once by the caller, at run time, and handed to every kernel.
//!
//! A kernel is an [`Operation`] whose [`run`](Operation::run) is written once, plainly, and marked
//! `#[inline(always)]`. [`Isa::run`] inlines it into a function compiled for the chosen
//! instruction set, so that the compiler vectorises the same body for each. This is the only place
//! that calls code compiled for features the build does not assume, and an [`Isa`] exists only
//! for features that this machine has.

use std::fmt;

/// An instruction set that this machine is known to have.
///
/// Made only by [`Isa::detect`], [`Isa::available`] and [`Isa::portable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Isa(Level);

/// What an [`Isa`] stands for, to match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// What every machine of the build's target has.
    Portable,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 (F, BW, DQ, VL) with everything of [`Level::Avx2`].
    Avx512,
}

impl Isa {
    /// The instruction set that every machine of the build's target has.
    pub const fn portable() -> Isa {
        Isa(Level::Portable)
    }

    /// The fastest instruction set of this machine.
    pub fn detect() -> Isa {
        Isa::available().last().copied().unwrap_or(Isa::portable())
    }

    /// All instruction sets of this machine, slowest first; never empty.
    pub fn available() -> Vec<Isa> {
        let mut found = vec![Isa::portable()];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx2 {
                found.push(Isa(Level::Avx2));
            }
            if avx2 && avx512 {
                found.push(Isa(Level::Avx512));
            }
        }
        found
    }

    /// What this instruction set is.
    pub const fn level(self) -> Level {
        self.0
    }

    /// Runs `operation` in code compiled for this instruction set.
    #[inline]
    pub fn run<O: Operation>(self, operation: O) -> O::Output {
        match self.0 {
            Level::Portable => operation.run::<Separate>(),
            // SAFETY: an `Isa` of this level is only made where AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { run_avx2(operation) },
            // SAFETY: an `Isa` of this level is only made where these AVX-512 parts, AVX2 and FMA
            // were detected.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { run_avx512(operation) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => operation.run::<Separate>(),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Level::Portable => "portable",
            Level::Avx2 => "AVX2",
            Level::Avx512 => "AVX-512",
        })
    }
}

/// A kernel with its arguments, ready to run on any instruction set.
pub trait Operation {
    /// What the kernel returns.
    type Output;

    /// The kernel's one body. Implementations must be `#[inline(always)]`, as must what they call
    /// in their loops: only then is the body compiled for the instruction set it runs on.
    fn run<F: Fma>(self) -> Self::Output;
}

/// How `a * b + c` is computed.
pub trait Fma {
    /// `a * b + c`, rounded once or twice.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// Multiplies, rounds, adds, rounds: for machines where a fused product would be a library call.
#[derive(Debug, Clone, Copy)]
pub struct Separate;

/// Multiplies and adds in one instruction with one rounding.
#[derive(Debug, Clone, Copy)]
pub struct Fused;

impl Fma for Separate {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

impl Fma for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<O: Operation>(operation: O) -> O::Output {
    operation.run::<Fused>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn run_avx512<O: Operation>(operation: O) -> O::Output {
    operation.run::<Fused>()
}
