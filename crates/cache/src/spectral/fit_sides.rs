//! Finding directions, sizes and rates of the keys and the values of one layer.

use std::sync::Arc;

use super::coded::{KEYS, ORDERS, VALUES};
use super::fit::{Sample, fit};
use super::layer::Shared;
use super::rates::{Share, share_out};
use super::side::Side;
use super::size::Room;
use super::stream::{LAST_BITS, for_pair_codes, pair_code};
use super::tiles::Tiles;
use crate::Workspace;

/// What fits a layer; `rows(side, tiles)` gives weighted rows, `[M][C]` in the order of tiles.
pub(super) fn fit_sides(
    shared: &Shared,
    room: &Room<'_>,
    layer: usize,
    workspace: &Workspace,
    rows: impl Fn(usize, &Tiles) -> Vec<f32>,
) -> [Side; 2] {
    let (settings, directions) = (&shared.settings, room.directions(layer));
    let tiles = [KEYS, VALUES].map(|side| Arc::new(Tiles::new(room.spans[side], shared.shape())));
    let rows = [KEYS, VALUES].map(|side| rows(side, &tiles[side]));
    let sample = |side: usize| Sample {
        rows: &rows[side],
        block: settings.block,
        directions: directions[side],
        is_mixed: !settings.without.klt,
        coding: &shared.coding,
    };
    let mut sides = fit([KEYS, VALUES].map(|side| (&tiles[side], sample(side))), workspace);
    let [keys, values] = share(&sides);
    // Errors of values are in units of the residual stream: they count against the energy of the values there.
    let values = Share { weight: settings.balance / mean_energy(&sides[VALUES]).max(f64::MIN_POSITIVE), ..values };
    let thresholds = match room.sides(layer) {
        // Each side's last words may be partly empty.
        None => share_out(&[&keys, &values], (32 * room.words).saturating_sub(2 * LAST_BITS)),
        Some(sides) => {
            let [k, v] = sides.map(|words| (32 * words).saturating_sub(LAST_BITS));
            [share_out(&[&keys], k), share_out(&[&values], v)].concat()
        }
    };
    sides.iter_mut().zip(thresholds).for_each(|(side, thresholds)| side.set_thresholds(thresholds));
    sides
}

/// The coefficients of both sides, all of a weight.
pub(super) fn share(sides: &[Side; 2]) -> [Share; 2] {
    [KEYS, VALUES].map(|s| {
        let mut codes = Vec::new();
        for_pair_codes(&sides[s], ORDERS[s], |both| codes.extend([pair_code(both); 2]));
        Share::new(sides[s].sizes().0, &codes, 1.0)
    })
}

/// The mean square of weighted channels, by the sizes of coefficients.
fn mean_energy(side: &Side) -> f64 {
    let (sizes, codes) = side.sizes();
    let sum: f64 = codes.iter().map(|&code| f64::from(sizes.size(code)).powi(2)).sum();
    sum / (side.mean.len() * side.block()) as f64
}
