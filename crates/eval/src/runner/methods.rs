//! The methods that are compared, as they are named on a command line.

use std::sync::Arc;

use fourier_kv_engine::cache::plan::Plan;
use fourier_kv_engine::cache::{ByteBudget, CacheContext, CacheError, CacheKind, KvCache, PromptSize, SettingsError};
use fourier_kv_engine::model::decoder::TILE;

/// A cache with its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// As it was asked for, with the ratio if one was.
    pub name: String,
    /// What that means.
    pub kind: CacheKind,
    /// The ratio that was asked for.
    pub budget: Option<f64>,
    /// A plan that it is built with.
    pub plan: Option<Arc<Plan>>,
    /// Bytes that a compressed context may hold, if they choose its rate ([`CacheKind::is_free`]).
    pub memory: Option<usize>,
}

impl Method {
    /// An empty cache for a context of `tokens`.
    ///
    /// # Errors
    /// If the plan does not fit, or the context does not fit into the memory.
    pub(super) fn build(&self, context: &CacheContext, tokens: usize) -> Result<Box<dyn KvCache>, CacheError> {
        let prompt = PromptSize { tokens, tile: TILE };
        let budget = self.memory.map(|bytes| ByteBudget { bytes, prompt, more: 0 });
        let sized = budget.map(|budget| self.kind.within(&budget, &context.shape, self.plan.as_ref())).transpose()?;
        sized.as_ref().unwrap_or(&self.kind).build(context, self.plan.clone())
    }
}

/// Reads `exact,fourier:band=base,harmonics=64,int4`: a piece that holds a setting and no kind belongs to the one before
/// it. Methods whose size can be chosen, and is not yet, come once for each of `ratios`.
///
/// # Errors
/// If a kind or a setting is not known.
pub fn parse(text: &str, ratios: &[f64]) -> Result<Vec<Method>, SettingsError> {
    let mut methods: Vec<Method> = Vec::new();
    for name in pieces(text) {
        let kind: CacheKind = name.parse()?;
        let sized: Vec<Method> = ratios.iter().filter_map(|&ratio| sized(&name, &kind, ratio)).collect();
        match sized.is_empty() {
            true => methods.push(Method { name, kind, budget: None, plan: None, memory: None }),
            false => methods.extend(sized),
        }
    }
    let mut seen = Vec::new();
    methods.retain(|m| {
        !seen.contains(&m.name) && {
            seen.push(m.name.clone());
            true
        }
    });
    Ok(methods)
}

fn sized(name: &str, kind: &CacheKind, ratio: f64) -> Option<Method> {
    let kind = kind.with_ratio(ratio).filter(|_| !name.contains("ratio=") && !name.contains("tokens="))?;
    let separator = if name.contains(':') { ',' } else { ':' };
    Some(Method {
        name: format!("{name}{separator}ratio={ratio}"),
        kind,
        budget: Some(ratio),
        plan: None,
        memory: None,
    })
}

fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for piece in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let is_setting = piece.contains('=') && !piece.split('=').next().unwrap_or_default().contains(':');
        match pieces.last_mut() {
            Some(last) if is_setting => {
                *last += if last.contains(':') { "," } else { ":" };
                *last += piece;
            }
            _ => pieces.push(piece.to_owned()),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, ratios: &[f64]) -> Vec<String> {
        parse(text, ratios).unwrap().into_iter().map(|m| m.name).collect()
    }

    #[test]
    fn settings_stay_with_their_kind() {
        assert_eq!(
            names("exact, fourier:band=base,harmonics=64,snapkv:ratio=4,window=16,exact:f32", &[]),
            ["exact", "fourier:band=base,harmonics=64", "snapkv:ratio=4,window=16", "exact:f32"]
        );
        assert!(parse("exact,magic", &[]).unwrap_err().to_string().contains("magic"));
        assert!(names("", &[]).is_empty());
    }

    #[test]
    fn ratios_multiply_what_can_be_sized() {
        assert_eq!(
            names("exact,snapkv,snapkv:tokens=64,streaming:sink=2,exact", &[2.0, 4.5]),
            [
                "exact",
                "snapkv:ratio=2",
                "snapkv:ratio=4.5",
                "snapkv:tokens=64",
                "streaming:sink=2,ratio=2",
                "streaming:sink=2,ratio=4.5"
            ]
        );
        let method = &parse("snapkv", &[4.0]).unwrap()[0];
        assert_eq!((method.budget, method.kind.clone()), (Some(4.0), "snapkv:ratio=4".parse().unwrap()));
    }
}
