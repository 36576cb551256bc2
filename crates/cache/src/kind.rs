//! The list of methods: how each is named, described and built. Nothing else lists them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use fourier_kv_kernels::element::Element;
use half::{bf16, f16};
use serde::Serialize;

use crate::fourier::FourierSettings;
use crate::lowrank::{LowRankSettings, Rank};
use crate::park::{ParkError, SectionReader};
use crate::plan::{Plan, PlanError};
use crate::quantised::QuantisedSettings;
use crate::settings::{SettingsError, pairs, word};
use crate::spectral::SpectralSettings;
use crate::{
    Budget, CacheContext, CacheError, Choice, EvictingCache, EvictingSettings, ExactCache, FourierCache, KvCache,
    LowRankCache, QuantisedCache, SpectralCache,
};

/// A method of keeping the past, with its settings: `exact`, `exact:f32`, `fourier:band=base,harmonics=256`, ...
#[derive(Clone, Debug, PartialEq)]
pub enum CacheKind {
    /// Every token as it is, in a number type.
    Exact(Storage),
    /// The middle as a spectrum along time.
    Fourier(FourierSettings),
    /// Some tokens as they are, the others not at all.
    Evicting(EvictingSettings),
    /// Old tokens in a few bits a number.
    Quantised(QuantisedSettings),
    /// Old tokens as coefficients in a basis of few dims.
    LowRank(LowRankSettings),
    /// Old tokens as codes of a block transform.
    Spectral(SpectralSettings),
}

/// Number types of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// 16 bits, the exponent of `f32`: never overflows.
    Bf16,
    /// 16 bits, 3 more of them mantissa.
    F16,
    /// 32 bits.
    F32,
}

impl Storage {
    pub(crate) const NAMES: [(&'static str, Storage); 3] =
        [("bf16", Storage::Bf16), ("f16", Storage::F16), ("f32", Storage::F32)];

    /// Bytes a number.
    pub fn width(self) -> usize {
        match self {
            Storage::Bf16 | Storage::F16 => 2,
            Storage::F32 => 4,
        }
    }

    /// The storage that `S` is; whatever is not a 16-bit type counts as `f32`.
    pub(crate) fn of<S: Element>() -> Self {
        Storage::NAMES.iter().find(|(name, _)| *name == S::NAME).map_or(Storage::F32, |(_, s)| *s)
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = Storage::NAMES.iter().find(|(_, s)| s == self).expect("all are listed");
        f.write_str(name)
    }
}

impl CacheKind {
    /// The kinds' names, with one line each.
    pub const DESCRIPTIONS: [(&'static str, &'static str); 13] = [
        ("exact", "every token as it is (settings: bf16, f16 or f32)"),
        ("spectral", "old tokens as codes of a block transform, in as many bits a number as asked for"),
        ("fourier", "old tokens as a short spectrum along time, of the head dims that allow it"),
        ("int8", "old tokens in 8 bits a number, keys by channel and values by token (KIVI)"),
        ("int4", "the same in 4 bits"),
        ("int3", "the same in 3 bits"),
        ("int2", "the same in 2 bits"),
        ("q8_0", "old tokens in llama.cpp's blocks of 8 bits a number"),
        ("q4_0", "the same in 4 bits"),
        ("streaming", "the first tokens and the last (StreamingLLM)"),
        ("snapkv", "the tokens that the end of the prompt attends to (SnapKV)"),
        ("pyramidkv", "the same, more of them in the first layers (PyramidKV)"),
        ("lowrank", "old tokens as coefficients in the few directions that they vary most in (Palu)"),
    ];

    /// The kind's name, without settings.
    pub fn name(&self) -> &'static str {
        match self {
            CacheKind::Exact(_) => "exact",
            CacheKind::Fourier(_) => "fourier",
            CacheKind::Quantised(settings) => settings.name(),
            CacheKind::Evicting(settings) => settings.choice.name(),
            CacheKind::LowRank(_) => "lowrank",
            CacheKind::Spectral(_) => "spectral",
        }
    }

    /// The same kind in the size that makes a prompt `ratio` times smaller, if its size can be chosen.
    pub fn with_ratio(&self, ratio: f64) -> Option<Self> {
        match self {
            CacheKind::Fourier(s) => Some(CacheKind::Fourier(FourierSettings { ratio: Some(ratio), ..s.clone() })),
            CacheKind::Evicting(s) => {
                Some(CacheKind::Evicting(EvictingSettings { budget: Budget::Ratio(ratio), ..s.clone() }))
            }
            CacheKind::LowRank(s) => {
                Some(CacheKind::LowRank(LowRankSettings { rank: Rank::Ratio(ratio), ..s.clone() }))
            }
            CacheKind::Exact(_) | CacheKind::Quantised(_) | CacheKind::Spectral(_) => None,
        }
    }

    /// Whether a plan can say what this kind keeps.
    pub fn takes_plan(&self) -> bool {
        matches!(self, CacheKind::Fourier(_) | CacheKind::Spectral(_))
    }

    /// Builds an empty cache.
    ///
    /// # Errors
    /// If a plan is given to a kind that has no use for one, or that does not fit the settings or the model's shape.
    pub fn build(&self, context: &CacheContext, plan: Option<Arc<Plan>>) -> Result<Box<dyn KvCache>, CacheError> {
        match self {
            _ if plan.is_some() && !self.takes_plan() => Err(PlanError::NoUse { kind: self.name() }.into()),
            CacheKind::Evicting(settings) => Ok(Box::new(EvictingCache::new(settings.clone(), context.shape.clone()))),
            CacheKind::Exact(storage) => {
                let shape = context.shape.clone();
                Ok(match storage {
                    Storage::Bf16 => Box::new(ExactCache::<bf16>::new(shape)),
                    Storage::F16 => Box::new(ExactCache::<f16>::new(shape)),
                    Storage::F32 => Box::new(ExactCache::<f32>::new(shape)),
                })
            }
            CacheKind::Fourier(settings) => build_fourier(settings, context, plan),
            CacheKind::Quantised(settings) => {
                Ok(Box::new(QuantisedCache::new(settings.clone(), context.shape.clone())?))
            }
            CacheKind::LowRank(settings) => Ok(Box::new(LowRankCache::new(settings.clone(), context.shape.clone())?)),
            CacheKind::Spectral(settings) => {
                let shares = plan.as_deref().map(|plan| plan.check_shares(&context.shape)).transpose()?;
                let shares = shares.cloned().map(Arc::new);
                Ok(Box::new(SpectralCache::new(settings.clone(), context.clone(), shares)))
            }
        }
    }

    /// Reads a cache of this kind that was parked; its plan comes with it.
    ///
    /// # Errors
    /// If what is read is damaged, or nothing that a cache of this kind and shape holds.
    pub fn unpark(
        &self,
        context: &CacheContext,
        sections: &mut SectionReader<'_>,
    ) -> Result<Box<dyn KvCache>, ParkError> {
        let shape = context.shape.clone();
        Ok(match self {
            CacheKind::Evicting(settings) => Box::new(EvictingCache::unpark(settings.clone(), shape, sections)?),
            CacheKind::Exact(Storage::Bf16) => Box::new(ExactCache::<bf16>::unpark(shape, sections)?),
            CacheKind::Exact(Storage::F16) => Box::new(ExactCache::<f16>::unpark(shape, sections)?),
            CacheKind::Exact(Storage::F32) => Box::new(ExactCache::<f32>::unpark(shape, sections)?),
            CacheKind::Fourier(settings) => unpark_fourier(settings, context, sections)?,
            CacheKind::Quantised(settings) => Box::new(QuantisedCache::unpark(settings.clone(), shape, sections)?),
            CacheKind::LowRank(settings) => Box::new(LowRankCache::unpark(settings.clone(), shape, sections)?),
            CacheKind::Spectral(settings) => {
                Box::new(SpectralCache::unpark(settings.clone(), context.clone(), sections)?)
            }
        })
    }
}

fn build_fourier(
    settings: &FourierSettings,
    context: &CacheContext,
    plan: Option<Arc<Plan>>,
) -> Result<Box<dyn KvCache>, CacheError> {
    fn boxed<S: Element, C: Element>(
        settings: &FourierSettings,
        context: &CacheContext,
        plan: Option<Arc<Plan>>,
    ) -> Result<Box<dyn KvCache>, CacheError> {
        Ok(Box::new(FourierCache::<S, C>::new(settings.clone(), context.clone(), plan)?))
    }
    match (settings.exact, settings.coefficients) {
        (Storage::Bf16, Storage::Bf16) => boxed::<bf16, bf16>(settings, context, plan),
        (Storage::F16, Storage::Bf16) => boxed::<f16, bf16>(settings, context, plan),
        (Storage::F32, Storage::Bf16) => boxed::<f32, bf16>(settings, context, plan),
        (Storage::Bf16, _) => boxed::<bf16, f32>(settings, context, plan),
        (Storage::F16, _) => boxed::<f16, f32>(settings, context, plan),
        (Storage::F32, _) => boxed::<f32, f32>(settings, context, plan),
    }
}

fn unpark_fourier(
    settings: &FourierSettings,
    context: &CacheContext,
    sections: &mut SectionReader<'_>,
) -> Result<Box<dyn KvCache>, ParkError> {
    fn boxed<S: Element, C: Element>(
        settings: &FourierSettings,
        context: &CacheContext,
        sections: &mut SectionReader<'_>,
    ) -> Result<Box<dyn KvCache>, ParkError> {
        Ok(Box::new(FourierCache::<S, C>::unpark(settings.clone(), context.clone(), sections)?))
    }
    match (settings.exact, settings.coefficients) {
        (Storage::Bf16, Storage::Bf16) => boxed::<bf16, bf16>(settings, context, sections),
        (Storage::F16, Storage::Bf16) => boxed::<f16, bf16>(settings, context, sections),
        (Storage::F32, Storage::Bf16) => boxed::<f32, bf16>(settings, context, sections),
        (Storage::Bf16, _) => boxed::<bf16, f32>(settings, context, sections),
        (Storage::F16, _) => boxed::<f16, f32>(settings, context, sections),
        (Storage::F32, _) => boxed::<f32, f32>(settings, context, sections),
    }
}

impl fmt::Display for CacheKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CacheKind::Exact(storage) => write!(f, "exact:{storage}"),
            CacheKind::Fourier(settings) => write!(f, "fourier:{settings}"),
            CacheKind::Evicting(settings) => write!(f, "{}:{settings}", settings.choice.name()),
            CacheKind::Quantised(settings) => settings.fmt(f),
            CacheKind::LowRank(settings) => write!(f, "lowrank:{settings}"),
            CacheKind::Spectral(settings) => write!(f, "spectral:{settings}"),
        }
    }
}

impl FromStr for CacheKind {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        match name {
            "exact" | "full" => parse_exact(settings),
            "fourier" => Ok(CacheKind::Fourier(settings.parse()?)),
            "streaming" => Ok(CacheKind::Evicting(EvictingSettings::parse(Choice::Streaming, settings)?)),
            "snapkv" => Ok(CacheKind::Evicting(EvictingSettings::parse(Choice::Snap, settings)?)),
            "pyramidkv" => Ok(CacheKind::Evicting(EvictingSettings::parse(Choice::Pyramid, settings)?)),
            "lowrank" => Ok(CacheKind::LowRank(settings.parse()?)),
            "spectral" => Ok(CacheKind::Spectral(settings.parse()?)),
            _ => match QuantisedSettings::usual(name) {
                Some(usual) => Ok(CacheKind::Quantised(usual.changed_by(settings)?)),
                None => Err(unknown(name)),
            },
        }
    }
}

fn unknown(name: &str) -> SettingsError {
    let known = CacheKind::DESCRIPTIONS.map(|(name, _)| name).join(", ");
    SettingsError::Kind { known, got: name.to_owned() }
}

fn parse_exact(settings: &str) -> Result<CacheKind, SettingsError> {
    let mut storage = Storage::Bf16;
    for (key, value) in pairs(settings) {
        match key {
            "" | "storage" => storage = word("storage", value, &Storage::NAMES)?,
            _ => {
                let known = "`storage`".to_owned();
                return Err(SettingsError::Key { kind: "exact", known, got: key.to_owned() });
            }
        }
    }
    Ok(CacheKind::Exact(storage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_read_back() {
        let more = [
            "full:f32",
            "fourier:band=base,harmonics=64,window=100,capacity=9000,rank=error",
            "fourier:harmonics=8738085",
            "int3:keys=unrotated,group=7,residual=0",
            "q4_0:hadamard=on,residual=64",
            "streaming:ratio=7.5,sink=0",
            "snapkv:tokens=300,window=16,kernel=5,pool=mean",
            "pyramidkv:ratio=4",
            "lowrank:rank=20,keys=rotated,residual=7",
            "lowrank:ratio=3.5",
        ];
        for text in CacheKind::DESCRIPTIONS.map(|(name, _)| name).into_iter().chain(more) {
            let kind: CacheKind = text.parse().unwrap();
            assert!(text.starts_with(kind.name()) || text.starts_with("full"), "{text}");
            assert_eq!(kind.to_string().parse::<CacheKind>().unwrap(), kind, "{text} -> {kind}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("magic", "magic"),
            ("exact:f8", "f8"),
            ("exact:size=3", "size"),
            ("fourier:harmonics=-1", "-1"),
            ("fourier:harmonics=0", "0"),
            ("fourier:colour=red", "colour"),
            ("fourier:band=high", "high"),
            ("fourier:coefficients=f16", "f16"),
            ("fourier:window=99999999999999999999", "99999999999999999999"),
            ("streaming:window=3", "window"),
            ("snapkv:ratio=0.5", "0.5"),
            ("snapkv:ratio=nan", "nan"),
            ("pyramidkv:kernel=4", "4"),
            ("pyramidkv:pool=min", "min"),
            ("int5", "int5"),
            ("int4:hadamard=on", "hadamard"),
            ("int4:group=257", "257"),
            ("int4:group=0", "0"),
            ("int4:keys=turned", "turned"),
            ("q4_0:group=16", "group"),
            ("q4_0:hadamard=1", "1"),
            ("q8_0:residual=x", "x"),
            ("lowrank:rank=0", "0"),
            ("lowrank:ratio=0.9", "0.9"),
            ("lowrank:residual=0", "0"),
            ("lowrank:heads=2", "heads"),
        ] {
            let error = text.parse::<CacheKind>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{named}`")), "{text}: {error}");
        }
    }
}
