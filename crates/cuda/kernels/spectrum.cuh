// The transforms between a spectrum of N harmonics and P tokens, as small products on tensor cores.
//
// With P = 16 C, a time t = c + C d (c < C, d < 16) and a harmonic n = a + 16 b (a < 16, b < N / 16):
//   n t / P = b c / C + a c / P + a d / 16   up to whole turns,
// so an inverse transform is three steps, for 16 neighbouring c at a time:
//   Y[c][a]  = sum_b U[a + 16 b] e(b c / C)       a product with the `basis`,    [16 x 2N/16] [2N/16 x 16]
//   Y'[c][a] = Y[c][a] e(a c / P)                 the `twiddles`
//   s[c][d]  = Re sum_a Y'[c][a] e(a d / 16)      a product with constants,      [16 x 32] [32 x 16]
// (e(x) = exp(2 pi i x)), and the forward transform is the same backwards, with e(-x). That is 4 N / 16 + 32
// multiplications a token for N = 512 instead of 2 N = 1024 with one large basis, and every result of a product lies in
// registers just as the next one reads it: nothing passes through memory.
//
// 256 tokens, 16 runs of 16 neighbours, are a *tile*. Numbers go into products as halves (11 bits): U scaled to at
// most 1, weights at most 1 as they are; sums are kept in f32.
#pragma once
#include "device.cuh"

// Defined for each program: HARMONICS, a multiple of 256.
#define RADIX 16
#define TURNS (HARMONICS / RADIX)
// Rows of the basis and the twiddles in shared memory: padded, so that rows lie in different banks.
#define BASIS_ROW (2 * TURNS * 2 + 16)
#define TWIDDLE_ROW (RADIX * 8 + 16)
#define TABLE_BYTES (16 * (BASIS_ROW + TWIDDLE_ROW))

// What is the same for all spectra of a period.
struct Tables {
    // [C][2][TURNS]: cos, then sin, of 2 pi b c / C.
    const f16 *basis;
    // [C][16][2]: cos and sin of 2 pi a c / P.
    const float *twiddles;
};

// The matrix of e(a d / 16): cos and -sin, symmetric, as fragments. `cos[n][i]` is B's register i of columns 8 n..; the
// A fragment of the same matrix is the same registers in another order.
struct Turns {
    u32 cos[2][2];
    u32 minus_sin[2][2];
};

__device__ __forceinline__ Turns make_turns() {
    const int lane = threadIdx.x % 32;
    Turns turns;
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int row = (lane % 4) * 2 + 8 * i, column = lane / 4 + 8 * n;
            const float first = float(row * column % 16) / 8.0f, second = float((row + 1) * column % 16) / 8.0f;
            turns.cos[n][i] = pack_f16(cospif(first), cospif(second));
            turns.minus_sin[n][i] = pack_f16(-sinpif(first), -sinpif(second));
        }
    return turns;
}

// A spectrum's harmonics a + 16 b as B fragments [b][a].
struct Spectrum {
    u32 real[TURNS / 16][2][2];
    u32 imaginary[TURNS / 16][2][2];
};

// From `[2][N]` numbers, each times `factor`.
__device__ __forceinline__ void load_spectrum(Spectrum &to, const float *from, float factor) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < TURNS / 16; k++)
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const int b = k * 16 + i * 8 + (lane % 4) * 2, a = n * 8 + lane / 4;
                const float *at = from + a + RADIX * b;
                to.real[k][n][i] = pack_f16(at[0] * factor, at[RADIX] * factor);
                to.imaginary[k][n][i] = pack_f16(at[HARMONICS] * factor, at[HARMONICS + RADIX] * factor);
            }
}

// Copies the 16 rows of basis and twiddles from c = `first` on; `thread` of `threads`.
__device__ __forceinline__ void copy_tables(u32 to, const Tables &tables, u32 first, int thread, int threads) {
    constexpr int BASIS_PIECES = 2 * TURNS / 8, TWIDDLE_PIECES = RADIX * 2 / 4;
    for (int at = thread; at < 16 * BASIS_PIECES; at += threads) {
        const int row = at / BASIS_PIECES, piece = at % BASIS_PIECES;
        copy_16(to + row * BASIS_ROW + piece * 16, tables.basis + u64(first + row) * 2 * TURNS + piece * 8, true);
    }
    for (int at = thread; at < 16 * TWIDDLE_PIECES; at += threads) {
        const int row = at / TWIDDLE_PIECES, piece = at % TWIDDLE_PIECES;
        copy_16(to + 16 * BASIS_ROW + row * TWIDDLE_ROW + piece * 16,
                tables.twiddles + u64(first + row) * 2 * RADIX + piece * 4, true);
    }
}

__device__ __forceinline__ float shared_float(u32 address) {
    float x;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(address) : "memory");
    return x;
}
__device__ __forceinline__ float2 shared_complex(u32 address) {
    float2 x;
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(x.x), "=f"(x.y) : "r"(address) : "memory");
    return x;
}
__device__ __forceinline__ float4 shared_complex_pair(u32 address) {
    float4 x;
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(x.x), "=f"(x.y), "=f"(x.z), "=f"(x.w)
                 : "r"(address)
                 : "memory");
    return x;
}

// s[n] += the tile's times, C fragments [c][8 n + d]. `tables`: 16 rows in shared memory.
__device__ __forceinline__ void inverse_tile(float (&s)[2][4], const Spectrum &u, const Turns &turns, u32 tables) {
    const int lane = threadIdx.x % 32;
    const u32 rows = tables + (lane % 16) * BASIS_ROW + (lane / 16) * 16;
    float re[2][4] = {}, im[2][4] = {};
#pragma unroll
    for (int k = 0; k < TURNS / 16; k++) {
        u32 cos[4], sin[4];
        load_matrices(cos, rows + k * 32);
        load_matrices(sin, rows + TURNS * 2 + k * 32);
#pragma unroll
        for (int n = 0; n < 2; n++) {
            product_f16(re[n], cos, u.real[k][n][0], u.real[k][n][1]);
            product_f16(im[n], cos, u.imaginary[k][n][0], u.imaginary[k][n][1]);
            product_f16(re[n], sin, negated(u.imaginary[k][n][0]), negated(u.imaginary[k][n][1]));
            product_f16(im[n], sin, u.real[k][n][0], u.real[k][n][1]);
        }
    }
    const u32 twiddles = tables + 16 * BASIS_ROW + (lane / 4) * TWIDDLE_ROW + (lane % 4) * 16;
    u32 a_re[4], a_im[4];
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float4 w = shared_complex_pair(twiddles + half * 8 * TWIDDLE_ROW + n * 64);
            const float x = re[n][2 * half], y = im[n][2 * half], z = re[n][2 * half + 1], t = im[n][2 * half + 1];
            a_re[2 * n + half] = pack_f16(x * w.x - y * w.y, z * w.z - t * w.w);
            a_im[2 * n + half] = pack_f16(x * w.y + y * w.x, z * w.w + t * w.z);
        }
#pragma unroll
    for (int n = 0; n < 2; n++) {
        product_f16(s[n], a_re, turns.cos[n][0], turns.cos[n][1]);
        product_f16(s[n], a_im, turns.minus_sin[n][0], turns.minus_sin[n][1]);
    }
}

// Sums of a forward transform: C fragments [a][8 t + b], for all tiles of a warp.
struct Harmonics {
    float real[TURNS / 8][4];
    float imaginary[TURNS / 8][4];
};

// f += the tile's numbers p (C fragments [c][8 n + d]) times e(-n t / P).
__device__ __forceinline__ void forward_tile(Harmonics &f, const float (&p)[2][4], const Turns &turns, u32 tables) {
    const int lane = threadIdx.x % 32;
    const u32 cos_a[4] = {turns.cos[0][0], turns.cos[1][0], turns.cos[0][1], turns.cos[1][1]};
    const u32 sin_a[4] = {turns.minus_sin[0][0], turns.minus_sin[1][0], turns.minus_sin[0][1], turns.minus_sin[1][1]};
    const u32 twiddles = tables + 16 * BASIS_ROW + (lane % 4) * 2 * TWIDDLE_ROW + (lane / 4) * 8;
    u32 a_re[4], a_im[4];
#pragma unroll
    for (int x = 0; x < 2; x++) {
        const u32 b0 = pack_f16(p[0][2 * x], p[0][2 * x + 1]), b1 = pack_f16(p[1][2 * x], p[1][2 * x + 1]);
        float re[4] = {}, im[4] = {};
        product_f16(re, cos_a, b0, b1);
        product_f16(im, sin_a, b0, b1);
        float turned_re[4], turned_im[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float2 w = shared_complex(twiddles + (8 * x + i % 2) * TWIDDLE_ROW + (i / 2) * 64);
            turned_re[i] = re[i] * w.x + im[i] * w.y;
            turned_im[i] = im[i] * w.x - re[i] * w.y;
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            a_re[2 * x + half] = pack_f16(turned_re[2 * half], turned_re[2 * half + 1]);
            a_im[2 * x + half] = pack_f16(turned_im[2 * half], turned_im[2 * half + 1]);
        }
    }
    const u32 columns = tables + (lane % 16) * BASIS_ROW + (lane / 16) * 16;
#pragma unroll
    for (int t = 0; t < TURNS / 8; t += 2) {
        u32 cos[4], sin[4];
        load_matrices_transposed(cos, columns + t * 16);
        load_matrices_transposed(sin, columns + TURNS * 2 + t * 16);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            product_f16(f.real[t + i], a_re, cos[2 * i], cos[2 * i + 1]);
            product_f16(f.imaginary[t + i], a_im, cos[2 * i], cos[2 * i + 1]);
            product_f16(f.real[t + i], a_im, sin[2 * i], sin[2 * i + 1]);
            product_f16(f.imaginary[t + i], a_re, negated(sin[2 * i]), negated(sin[2 * i + 1]));
        }
    }
}

// The harmonic of number `i` of fragment `t` of this lane.
__device__ __forceinline__ int harmonic_of(int t, int i) {
    const int lane = threadIdx.x % 32;
    return lane / 4 + 8 * (i / 2) + RADIX * (8 * t + (lane % 4) * 2 + i % 2);
}
