//! Instruction sets: chosen once by the caller, at run time, and handed to every kernel.
//!
//! A kernel is an [`Operation`] whose [`run`](Operation::run) is written once, plainly, and marked
//! `#[inline(always)]`. [`Isa::run`] inlines it into a function compiled for the chosen
//! instruction set, so that the compiler vectorises the same body for each. This is the only place
//! that calls code compiled for features the build does not assume, and an [`Isa`] exists only
//! for features that this machine has.

use std::fmt;

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512, Avx512Vnni};
use crate::simd::{Portable, Simd};

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
    /// AVX2 with fused multiply-add and half floats (F16C).
    Avx2,
    /// AVX-512 (F, BW, DQ, VL) with everything of [`Level::Avx2`].
    Avx512,
    /// [`Level::Avx512`] with products of 16-bit integers summed in one instruction (VNNI).
    Avx512Vnni,
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
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
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
            if avx2 && avx512 && is_x86_feature_detected!("avx512vnni") {
                found.push(Isa(Level::Avx512Vnni));
            }
        }
        found
    }

    /// What this instruction set is.
    pub const fn level(self) -> Level {
        self.0
    }

    /// Runs `operation` in code compiled for this instruction set. For all but products of integers that is AVX-512
    /// without VNNI, where there is VNNI: a copy less to compile of every kernel.
    #[inline]
    pub fn run<O: Operation>(self, operation: O) -> O::Output {
        match self.0 {
            Level::Portable => operation.run::<Portable>(),
            // SAFETY: an `Isa` of this level is only made where AVX2, FMA and F16C were detected.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { run_avx2(operation) },
            // SAFETY: an `Isa` of these levels is only made where these AVX-512 parts and all of AVX2's level
            // were detected.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Vnni => unsafe { run_avx512(operation) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => operation.run::<Portable>(),
        }
    }

    /// The same for products of integers ([`Simd::dot_pairs`]).
    #[inline]
    pub fn run_integers<O: Operation>(self, operation: O) -> O::Output {
        match self.0 {
            // SAFETY: an `Isa` of this level is only made where all of [`Level::Avx512`] and VNNI were detected.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => unsafe { run_avx512_vnni(operation) },
            _ => self.run(operation),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Level::Portable => "portable",
            Level::Avx2 => "AVX2",
            Level::Avx512 => "AVX-512",
            Level::Avx512Vnni => "AVX-512 VNNI",
        })
    }
}

/// A kernel with its arguments, ready to run on any instruction set.
pub trait Operation {
    /// What the kernel returns.
    type Output;

    /// The kernel's one body. Implementations must be `#[inline(always)]`, as must what they call
    /// in their loops: only then is the body compiled for the instruction set it runs on.
    fn run<V: Simd>(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn run_avx2<O: Operation>(operation: O) -> O::Output {
    operation.run::<Avx2>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn run_avx512<O: Operation>(operation: O) -> O::Output {
    operation.run::<Avx512>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn run_avx512_vnni<O: Operation>(operation: O) -> O::Output {
    operation.run::<Avx512Vnni>()
}
