//! Rates by water-filling, against all ways to share out bits.

use fourier_kv_spectral::trellis::DISTORTION;
use fourier_kv_spectral::water::{Group, NotConvex, Savings, allocate};
use proptest::prelude::*;

fn savings() -> Savings {
    Savings::new(&DISTORTION).expect("a convex table")
}

/// The least error of all ways to share out at most `budget` bits, by dynamic programming over single coefficients.
fn least_error(weighted: &[f64], budget: usize) -> f64 {
    let mut least = vec![0.0; budget + 1];
    for u in weighted {
        let with = |total: usize, k: usize| least[total - k] + u * DISTORTION[k];
        let best = |total: usize| (0..=total.min(8)).map(|k| with(total, k)).fold(f64::INFINITY, f64::min);
        least = (0..=budget).map(best).collect();
    }
    least[budget]
}

fn error(groups: &[Group<'_>], bits: &[Vec<u8>]) -> f64 {
    let of = |(group, bits): (&Group<'_>, &Vec<u8>)| -> f64 {
        let each = group.variances.iter().zip(bits);
        each.map(|(&v, &k)| f64::from(v) * f64::from(group.weight) * DISTORTION[usize::from(k)]).sum()
    };
    groups.iter().zip(bits).map(of).sum()
}

fn total(bits: &[Vec<u8>]) -> u64 {
    bits.iter().flatten().map(|&k| u64::from(k)).sum()
}

proptest! {
    #[test]
    fn no_other_way_is_better(
        a in prop::collection::vec(0.001f32..100.0, 1..9),
        b in prop::collection::vec(0.001f32..100.0, 1..9),
        weight in 0.01f32..10.0,
        budget in 0usize..150,
    ) {
        let groups = [Group { variances: &a, weight: 1.0 }, Group { variances: &b, weight }];
        let bits = allocate(&savings(), &groups, budget as u64);
        prop_assert_eq!(total(&bits), budget.min(8 * (a.len() + b.len())) as u64);
        let of = |v: &[f32], w: f32| v.iter().map(|&v| f64::from(v) * f64::from(w)).collect::<Vec<_>>();
        let least = least_error(&[of(&a, 1.0), of(&b, weight)].concat(), budget);
        let found = error(&groups, &bits);
        prop_assert!((found - least).abs() <= 1e-6 * least, "{} for {}", found, least);
    }

    #[test]
    fn larger_variances_and_budgets_get_no_fewer_bits(
        mut variances in prop::collection::vec(0.0f32..50.0, 2..40),
        budget in 0u64..200,
    ) {
        variances.sort_by(|a, b| b.total_cmp(a));
        let groups = [Group { variances: &variances, weight: 2.0 }];
        let (fewer, more) = (allocate(&savings(), &groups, budget), allocate(&savings(), &groups, budget + 7));
        prop_assert!(fewer[0].is_sorted_by(|a, b| a >= b));
        prop_assert!(fewer[0].iter().zip(&more[0]).all(|(a, b)| a <= b));
    }
}

#[test]
fn equal_coefficients_are_served_in_order_and_the_budget_is_used() {
    let groups = [Group { variances: &[1.0; 6], weight: 1.0 }, Group { variances: &[1.0; 4], weight: 1.0 }];
    assert_eq!(allocate(&savings(), &groups, 13), [vec![2, 2, 2, 1, 1, 1], vec![1; 4]]);
    assert_eq!(allocate(&savings(), &groups, 1_000), [vec![8; 6], vec![8; 4]]);
    assert_eq!(allocate(&savings(), &groups, 0), [vec![0; 6], vec![0; 4]]);
}

#[test]
fn odd_numbers_are_taken_as_nothing_or_as_very_much() {
    let variances = [f32::NAN, -1.0, 0.0, f32::INFINITY, 1.0, f32::MIN_POSITIVE];
    let group = |weight| [Group { variances: &variances, weight }];
    assert_eq!(allocate(&savings(), &group(1.0), 10), [vec![0, 0, 0, 8, 2, 0]]);
    assert_eq!(allocate(&savings(), &group(f32::NAN), 10), [vec![0; 6]]);
    assert_eq!(allocate(&savings(), &group(f32::MAX), 100), [vec![0, 0, 0, 8, 8, 8]]);
    assert_eq!(allocate(&savings(), &[], 100), Vec::<Vec<u8>>::new());
}

#[test]
fn errors_that_are_not_convex_are_refused() {
    let mut table = DISTORTION;
    table[3] = table[2];
    assert_eq!(Savings::new(&table).expect_err("no fall"), NotConvex { bits: 3 });
    table[3] = 1e-9;
    assert_eq!(Savings::new(&table).expect_err("a larger fall after a smaller"), NotConvex { bits: 4 });
    assert_eq!(Savings::new(&[f64::NAN; 9]).expect_err("not numbers"), NotConvex { bits: 1 });
}

#[test]
fn millions_of_coefficients_use_the_budget_to_the_bit() {
    let n = 2_000_000u32;
    let variances: Vec<f32> =
        (0..n).map(|i| ((i.wrapping_mul(2_654_435_761) >> 8) as f32 * 1e-6 - 8.0).exp()).collect();
    let groups: Vec<Group<'_>> = variances
        .chunks(99_991)
        .enumerate()
        .map(|(i, variances)| Group { variances, weight: 1.0 + i as f32 })
        .collect();
    let bits = allocate(&savings(), &groups, 3_333_333);
    assert_eq!(total(&bits), 3_333_333);
}
