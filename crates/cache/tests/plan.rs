//! Plan files: there and back, and refused when they are not what they should be.

mod common;

use std::sync::Arc;

use common::{context, shape};
use fourier_kv_cache::fourier::Band;
use fourier_kv_cache::plan::{HeadPlan, Plan, PlanError, PlanModel, PlanOrigin};
use fourier_kv_cache::spectral::{CODES, Shares};
use fourier_kv_cache::{CacheError, CacheKind};
use proptest::prelude::*;

fn plan() -> Plan {
    let head = |l: u16| HeadPlan { keys: vec![0, 1 + l], values: vec![2, 5, 7] };
    Plan {
        model: PlanModel { name: "tiny".into(), fingerprint: "abc".into(), layers: 2, kv_heads: 2, head_dim: 8 },
        band: Band::Carrier,
        origin: PlanOrigin {
            tokens: 4096,
            sequences: 2,
            text_sha256: "00".into(),
            harmonics: 512,
            rank: "weighted".into(),
        },
        heads: vec![vec![head(0), head(1)], vec![head(2), head(0)]],
        shares: None,
        codes: None,
    }
}

#[test]
fn written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.plan");
    plan().write(&path).unwrap();
    plan().write(&path).unwrap();
    assert_eq!(Plan::read(&path).unwrap(), plan());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taken");
    std::fs::create_dir_all(path.join("by a folder")).unwrap();
    assert!(matches!(plan().write(&path), Err(PlanError::Io { action: "write", .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(matches!(Plan::read(&folder.path().join("none")), Err(PlanError::Io { action: "read", .. })));
}

#[test]
fn what_is_no_plan_is_refused() {
    let good = plan().to_json();
    let broken = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        Plan::from_json(good.replacen(from, to, 1).as_bytes()).unwrap_err()
    };
    assert!(matches!(broken("fourier-kv plan", "recipe"), PlanError::Format(_)));
    assert!(matches!(broken("\"version\":1", "\"version\":2"), PlanError::Version { got: 2 }));
    assert!(matches!(broken("\"layers\":2", "\"layers\":3"), PlanError::Shape { .. }));
    assert!(matches!(broken("\"kv_heads\":2", "\"kv_heads\":1"), PlanError::Shape { .. }));
    assert!(matches!(broken("\"head_dim\":8", "\"head_dim\":7"), PlanError::Shape { .. }));
    assert!(matches!(broken("\"head_dim\":8", "\"head_dim\":6"), PlanError::Shape { .. }));
    assert!(matches!(broken("[0,1]", "[1,0]"), PlanError::Shape { .. }));
    assert!(matches!(broken("[0,1]", "[1,1]"), PlanError::Shape { .. }));
    assert!(matches!(broken("[0,1]", "[0,4]"), PlanError::Shape { .. }));
    assert!(matches!(broken("[0,1]", "[0,-1]"), PlanError::Format(_)));
    assert!(matches!(broken("[0,1]", "[0,70000]"), PlanError::Format(_)));
    assert!(matches!(broken("\"band\":\"carrier\"", "\"band\":\"wide\""), PlanError::Format(_)));
    assert!(matches!(broken("\"band\"", "\"ring\""), PlanError::Format(_)));
    for length in 0..good.trim_end().len() {
        assert!(Plan::from_json(&good.as_bytes()[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn a_plan_for_something_else_is_refused() {
    assert!(plan().check_model("abc", "tiny").is_ok());
    let other = plan().check_model("def", "large").unwrap_err();
    assert!(matches!(&other, PlanError::OtherModel { .. }));
    assert!(other.to_string().contains("tiny") && other.to_string().contains("large"));

    assert!(matches!(plan().check(&shape(), Band::Base), Err(PlanError::Band { .. })));
    let mut larger = shape();
    larger.layers = 3;
    assert!(matches!(plan().check(&larger, Band::Carrier), Err(PlanError::Shape { .. })));

    let build = |kind: &str| kind.parse::<CacheKind>().unwrap().build(&context(), Some(Arc::new(plan())));
    assert!(build("fourier:band=carrier").is_ok());
    assert!(matches!(build("fourier:band=base"), Err(CacheError::Plan(PlanError::Band { .. }))));
    assert!(matches!(build("exact"), Err(CacheError::Plan(PlanError::NoUse { .. }))));
}

/// A plan whose shares were measured with other codes would double errors without a word.
#[test]
fn a_plan_of_other_codes_is_refused() {
    let shares = Shares { rates: vec![0.5, 8.0], bits: vec![vec![[0.5; 2]; 2], vec![[8.0; 2]; 2]] };
    let of = |codes| Plan { heads: Vec::new(), shares: Some(shares.clone()), codes, ..plan() };
    let build = |codes| "spectral".parse::<CacheKind>().unwrap().build(&context(), Some(Arc::new(of(codes))));
    assert!(build(Some(CODES)).is_ok());
    for codes in [None, Some(CODES - 1), Some(CODES + 1)] {
        let read = Plan::from_json(of(codes).to_json().as_bytes()).unwrap();
        assert_eq!(read.codes, codes);
        let refused = build(read.codes).err().unwrap();
        assert!(matches!(refused, CacheError::Plan(PlanError::Codes { got }) if got == codes), "{refused}");
        assert!(refused.to_string().contains("fourier-kv calibrate"), "{refused}");
    }
}

proptest! {
    /// Whatever bytes come, an answer comes back.
    #[test]
    fn mutated_plans_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut text = plan().to_json().into_bytes();
        for (at, byte) in edits {
            let at = at.index(text.len());
            text[at] = byte;
        }
        if let Ok(read) = Plan::from_json(&text) {
            let _ = read.check(&shape(), Band::Carrier);
        }
    }
}
