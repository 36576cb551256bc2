// The middle of a fourier cache as it is held.
#pragma once
#include "spectrum.cuh"

// Defined for each program: HEAD_DIM; KEY_TRACKS and VALUE_TRACKS, spectral dims of a head's keys and values; the others are
// exact, held in rows of a multiple of 8 numbers, those beyond the exact dims zero.
#define KEY_EXACT (HEAD_DIM - KEY_TRACKS)
#define VALUE_EXACT (HEAD_DIM - VALUE_TRACKS)
#define KEY_WIDTH ((KEY_EXACT + 7) / 8 * 8)
#define VALUE_WIDTH ((VALUE_EXACT + 7) / 8 * 8)

// The middle of one sequence, of all key/value heads.
struct Middle {
    // [G][capacity][KEY_WIDTH], [G][capacity][VALUE_WIDTH].
    const bf16 *exact_keys;
    const bf16 *exact_values;
    // [G][tracks][2][N].
    const bf16 *key_spectra;
    const bf16 *value_spectra;
    // [G][tracks], of the spectral dims.
    const float *key_means;
    const float *value_means;
    // [G][D]: the spectral dims, then the exact ones.
    const u16 *key_dims;
    const u16 *value_dims;
    Tables tables;
    // Tokens, at most the period; the period, a multiple of 256; rows of the exact dims there is room for.
    u32 count;
    u32 period;
    u64 capacity;
};
