//! Rates that budgets of bytes choose, against caches that were really filled.

mod common;

use std::sync::Arc;

use common::{Tape, workspace};
use fourier_kv_cache::plan::{Plan, PlanModel, PlanOrigin};
use fourier_kv_cache::spectral::{Rate, Shares};
use fourier_kv_cache::{ByteBudget, CacheContext, CacheError, CacheKind, CacheShape, KvCache, PromptSize, Workspace};
use proptest::prelude::*;

/// One past and how it comes.
#[derive(Clone, Debug)]
struct Case {
    shape: CacheShape,
    settings: String,
    planned: bool,
    prompt: PromptSize,
    /// Tokens after the prompt, and how many of them come in one turn.
    more: usize,
    turn: usize,
    /// Where between the least that does and four times as much the budget lies.
    part: f64,
}

impl Case {
    fn kind(&self, rate: &str) -> CacheKind {
        format!("spectral:{rate}{}", self.settings).parse().unwrap()
    }

    fn budget(&self, bytes: usize) -> ByteBudget {
        ByteBudget { bytes, prompt: self.prompt, more: self.more }
    }

    /// A plan that gives keys more than values, and the last layer most.
    fn plan(&self) -> Option<Arc<Plan>> {
        let CacheShape { layers, kv_heads, head_dim, .. } = self.shape;
        let parts = |l: usize| (1 + l) as f64 * 2.0 / (1 + layers) as f64;
        let bits = |rate: f64| (0..layers).map(|l| [1.3, 0.7].map(|side| side * rate * parts(l))).collect();
        let rates = vec![0.5, 2.0, 8.0];
        let shares = Shares { bits: rates.iter().map(|&rate| bits(rate)).collect(), rates };
        let text = String::new;
        self.planned.then(|| {
            Arc::new(Plan {
                model: PlanModel { name: text(), fingerprint: text(), layers, kv_heads, head_dim },
                band: fourier_kv_cache::fourier::Band::Base,
                origin: PlanOrigin { tokens: 1, sequences: 1, text_sha256: text(), harmonics: 1, rank: text() },
                heads: vec![],
                shares: Some(shares),
                codes: Some(fourier_kv_cache::spectral::CODES),
            })
        })
    }

    /// The least budget that does.
    fn least(&self) -> usize {
        match self.kind("auto").within(&self.budget(0), &self.shape, self.plan().as_ref()) {
            Err(CacheError::Budget { least, tokens, budget: 0 }) => {
                assert_eq!(tokens, self.prompt.tokens + self.more);
                least
            }
            other => panic!("a budget of no bytes: {other:?}"),
        }
    }

    /// The most bytes that a cache holds from the end of the prompt on, and those at the end.
    fn held(&self, kind: &CacheKind) -> (usize, usize) {
        let (tape, ws) = (Tape::new(self.shape.clone(), "budget"), workspace());
        let mut cache = kind.build(&CacheContext::uniform(self.shape.clone()), self.plan()).unwrap();
        tape.prompt(cache.as_mut(), &ws, self.prompt.tokens, self.prompt.tile);
        let mut most = cache.bytes().total();
        cache.reserve(self.more, &ws);
        let end = self.prompt.tokens + self.more;
        for from in (self.prompt.tokens..end).step_by(self.turn) {
            self.turn(&tape, &ws, cache.as_mut(), (from, end.min(from + self.turn)));
            most = most.max(cache.bytes().total());
        }
        (most, cache.bytes().total())
    }

    /// What is foretold of a cache of which `tokens` have come, in one pass or not.
    fn at_most(&self, kind: &CacheKind, tokens: usize) -> usize {
        let (prompt, all) = (PromptSize { tokens, ..self.prompt }, self.prompt.tokens + self.more);
        kind.at_most(&self.shape, self.plan().as_ref(), prompt, all - tokens).unwrap().expect("spectral")
    }

    /// A turn of one token is one that the model said.
    fn turn(&self, tape: &Tape, ws: &Workspace, cache: &mut dyn KvCache, (from, to): (usize, usize)) {
        if to == from + 1 {
            tape.decode(cache, ws, from);
            return;
        }
        for layer in 0..self.shape.layers {
            tape.step(cache, ws, layer, from, to);
            cache.seal(layer, ws).unwrap();
        }
    }
}

prop_compose! {
    fn any_shape()(layers in 1usize..3, kv_heads in 1usize..4, group in 1usize..3, half in 1usize..9) -> CacheShape {
        let rope_frequencies = (0..half).map(|i| 0.5f64.powi(i as i32)).collect();
        CacheShape { layers, heads: group * kv_heads, kv_heads, head_dim: 2 * half, rope_frequencies }
    }
}

prop_compose! {
    fn any_settings()(
        sink in 0usize..5, window in 1usize..70, least in 1usize..90, block in 1u32..7, keys in 1usize..9,
        values in prop::sample::select(vec!["head", "heads", "4"]),
    ) -> String {
        let (block, keys) = (1 << block, 2 * keys);
        format!(",sink={sink},window={window},least-middle={least},block={block},keys={keys},values={values}")
    }
}

prop_compose! {
    fn any_case()(
        shape in any_shape(), settings in any_settings(), planned in any::<bool>(), tokens in 0usize..700,
        tile in 1usize..300, more in 0usize..500, turn in prop::sample::select(vec![1usize, 1, 1, 7, 150]),
        part in 0.0..1.0f64,
    ) -> Case {
        Case { shape, settings, planned, prompt: PromptSize { tokens, tile }, more, turn, part }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// What a budget chooses stays within it, from the end of the prompt to the last token, and an eighth of a bit more
    /// is not said to.
    #[test]
    fn budgets_are_kept(case in any_case()) {
        let (plan, least) = (case.plan(), case.least());
        let bytes = least + (case.part * 3.0 * least as f64) as usize;
        let chosen = case.kind("auto").within(&case.budget(bytes), &case.shape, plan.as_ref()).unwrap();
        let (held, last) = case.held(&chosen);
        prop_assert!(held <= bytes, "{chosen}: {held} of {bytes} bytes");
        let most = case.at_most(&chosen, case.prompt.tokens);
        prop_assert!(held <= most, "{chosen}: {held}, {most} at most");
        for tokens in [case.prompt.tokens + case.more / 2, case.prompt.tokens + case.more] {
            let most = case.at_most(&chosen, tokens);
            prop_assert!(last <= most, "{chosen}: {last}, {most} at most after {tokens}");
        }
        let CacheKind::Spectral(settings) = &chosen else { panic!("{chosen}") };
        let Rate::Bits(bits) = settings.rate else { panic!("{chosen}") };
        prop_assert!((0.5..=8.0).contains(&bits) && (bits * 8.0).fract() == 0.0);
        // At the least budget something fits, below it nothing.
        prop_assert!(case.kind("auto").within(&case.budget(least), &case.shape, plan.as_ref()).is_ok());
        prop_assert!(case.kind("auto").within(&case.budget(least - 1), &case.shape, plan.as_ref()).is_err());
    }
}

fn long(tokens: usize, more: usize) -> Case {
    let rope_frequencies = (0..16).map(|i| 0.8f64.powi(i)).collect();
    let shape = CacheShape { layers: 1, heads: 1, kv_heads: 1, head_dim: 32, rope_frequencies };
    let (settings, prompt) = (",window=60,least-middle=200".to_owned(), PromptSize { tokens, tile: 512 });
    Case { shape, settings, planned: false, prompt, more, turn: 1, part: 0.0 }
}

/// The budget is used: the next rate but one would not fit into it, or hardly. Codes of tokens to come have room made for
/// them by sixteenths.
#[test]
fn budgets_are_used() {
    for case in [long(6000, 0), long(6000, 300), Case { planned: true, ..long(6000, 0) }, long(100, 6000)] {
        let turn = if case.more > 1000 { 100 } else { 1 };
        let case = Case { turn, ..case };
        let exact = case.shape.exact_bytes(6000, 2);
        let mut before = 0.0;
        for part in [6, 3] {
            let (budget, plan) = (case.budget(exact / part), case.plan());
            let chosen = case.kind("auto").within(&budget, &case.shape, plan.as_ref()).unwrap();
            let CacheKind::Spectral(settings) = &chosen else { panic!("{chosen}") };
            assert!(settings.rate.bits() > before, "{chosen} after {before}");
            before = settings.rate.bits();
            let next = case.kind(&(before + 0.25).to_string());
            let (held, _) = case.held(&next);
            let room = if case.more > 0 { 1.0 / 16.0 } else { 0.0 };
            assert!(held as f64 > (0.98 - room) * budget.bytes as f64, "{next}: {held} of {}", budget.bytes);
        }
    }
}

/// What needs no codes gets the best of them: they are for what comes later.
#[test]
fn what_fits_exactly_gets_the_highest_rate() {
    let case = long(150, 20);
    let chosen = case.kind("auto").within(&case.budget(1 << 30), &case.shape, None).unwrap();
    assert_eq!(chosen, case.kind("8"));
}

#[test]
fn only_free_rates_are_chosen() {
    let case = long(150, 20);
    for kind in ["exact", "fourier", "int4", "spectral:2", "spectral:bits=3,window=9", "snapkv"] {
        let kind: CacheKind = kind.parse().unwrap();
        let result = kind.within(&case.budget(1 << 30), &case.shape, None);
        assert!(!kind.is_free() && matches!(result, Err(CacheError::NotFree { .. })), "{kind}");
    }
    for kind in ["spectral", "spectral:auto", "spectral:window=9", "spectral:bits=auto"] {
        assert!(kind.parse::<CacheKind>().unwrap().is_free(), "{kind}");
    }
}

/// Without a budget a free rate is two bits.
#[test]
fn a_free_rate_is_two_bits_by_itself() {
    let case = long(3000, 0);
    let [free, two] = ["auto", "2"].map(|rate| {
        let kind = case.kind(rate);
        let foretold = kind.expected_bytes(&case.shape, None, case.prompt).unwrap();
        let cache = kind.build(&CacheContext::uniform(case.shape.clone()), None).unwrap();
        (cache.describe(), foretold)
    });
    assert_eq!(free, two);
}
