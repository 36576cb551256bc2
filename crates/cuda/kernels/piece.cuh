// What fourier_attend takes a tile of 256 tokens through, and the state of a piece that comes of it.
#pragma once
#include "middle.cuh"
#include "tokens.cuh"

// In shared memory and in products: multiples of 16.
#define KEY_STEPS ((KEY_EXACT + 15) / 16)
#define VALUE_STEPS ((VALUE_EXACT + 15) / 16)
#define KEY_ROW (KEY_STEPS * 32 + 16)
#define VALUE_ROW (VALUE_STEPS * 32 + 16)
#define AT_LEAST_1(n) ((n) > 0 ? (n) : 1)
#define AT_LEAST_8(n) ((n) > 8 ? (n) : 8)

// A team of warps takes a tile through everything: each warp has one query head of the group and some of the runs.
#define TEAM_WARPS (GROUP > 4 ? 8 : 4)
#define TEAM (TEAM_WARPS * 32)
#define RUNS (RADIX / TEAM_WARPS)
#define TILE (16 * RADIX)
#define KEY_BYTES (KEY_STEPS > 0 ? TILE * KEY_ROW : 0)
#define VALUE_BYTES (VALUE_STEPS > 0 ? TILE * VALUE_ROW : 0)
#define TILE_BYTES (KEY_BYTES + VALUE_BYTES + TABLE_BYTES)
// Scores of exact dims [head][d][c] in f32 and weights in bf16, padded against bank conflicts.
#define SCORE_RUN 20
#define SCORE_HEAD (RADIX * SCORE_RUN + 8)
#define WEIGHT_HEAD (TILE + 8)
#define EXCHANGE_BYTES (GROUP * (SCORE_HEAD * 4 + WEIGHT_HEAD * 2) + 64)
// As many teams as there is room for, with two tiles each: one that is computed with, one that is on its way. Where not
// even one has room for two, it waits for each.
#define TEAM_BYTES_OF(tiles) ((tiles) * TILE_BYTES + (EXCHANGE_BYTES + 15) / 16 * 16)
#define TEAMS (TEAM_WARPS == 4 && 2 * TEAM_BYTES_OF(2) <= MOST_SHARED ? 2 : 1)
#define TILES_HELD (TEAMS * TEAM_BYTES_OF(2) <= MOST_SHARED ? 2 : 1)
#define TEAM_BYTES TEAM_BYTES_OF(TILES_HELD)
#define FOURIER_SHARED_BYTES (TEAMS * TEAM_BYTES)

// What is handed from launch to launch.
struct Work {
    // [B][H][2][N].
    float *contracted;
    // [B][H][pieces]: of the middle. `harmonics` [..][2][N], `exact` [..][VALUE_WIDTH].
    float *max;
    float *sum;
    float *harmonics;
    float *exact;
    // [B][H][N / 32][VALUE_TRACKS].
    float *projected;
    // [B][H][whole pieces].
    States whole;
};

// Copies rows of WIDTH numbers: 16 runs of 16 tokens from c = `first`, a sixteenth of the period apart.
template <int WIDTH, int ROW>
__device__ __forceinline__ void copy_rows(u32 to, const bf16 *from, const Middle &middle, u32 first, int thread) {
    constexpr int PIECES = WIDTH / 8;
    const u32 sixteenth = middle.period / RADIX;
#pragma unroll 4
    for (int at = thread; at < TILE * PIECES; at += TEAM) {
        const int row = at / PIECES, piece = at % PIECES;
        const u32 token = first + row % 16 + sixteenth * (row / 16);
        const bool there = token < middle.count;
        copy_16(to + row * ROW + piece * 16, from + u64(there ? token : 0) * WIDTH + piece * 8, there);
    }
}

__device__ __forceinline__ void copy_tile(u32 to, const Middle &middle, u32 head, u32 first, int thread) {
    if (KEY_STEPS > 0) {
        const bf16 *keys = middle.exact_keys + u64(head) * middle.capacity * KEY_WIDTH;
        copy_rows<AT_LEAST_8(KEY_WIDTH), KEY_ROW>(to, keys, middle, first, thread);
    }
    copy_tables(to + KEY_BYTES + VALUE_BYTES, middle.tables, first, thread, TEAM);
    if (VALUE_STEPS > 0) {
        const bf16 *values = middle.exact_values + u64(head) * middle.capacity * VALUE_WIDTH;
        copy_rows<AT_LEAST_8(VALUE_WIDTH), VALUE_ROW>(to + KEY_BYTES, values, middle, first, thread);
    }
    end_copies();
}

// The B fragments of the exact dims of the group's queries; heads beyond the group are zero.
__device__ __forceinline__ void load_exact_query(u32 (&q)[AT_LEAST_1(KEY_STEPS)][2], const float *from,
                                                 const u16 *dims) {
    const int lane = threadIdx.x % 32, head = lane / 4;
#pragma unroll
    for (int k = 0; k < KEY_STEPS; k++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int at = k * 16 + half * 8 + (lane % 4) * 2;
            const bool first = head < GROUP && at < KEY_EXACT, second = head < GROUP && at + 1 < KEY_EXACT;
            q[k][half] = pack_bf16(first ? from[head * HEAD_DIM + dims[KEY_TRACKS + at]] : 0.0f,
                                   second ? from[head * HEAD_DIM + dims[KEY_TRACKS + at + 1]] : 0.0f);
        }
}

// Scores of the exact dims, of this warp's runs and all heads: to scores[head][d][c].
__device__ __forceinline__ void score_exact(float *scores, const u32 (&q)[AT_LEAST_1(KEY_STEPS)][2], u32 keys) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % TEAM_WARPS;
#pragma unroll
    for (int i = 0; i < RUNS; i++) {
        const int d = warp * RUNS + i;
        const u32 rows = keys + (d * 16 + lane % 16) * KEY_ROW + (lane / 16) * 16;
        float s[4] = {};
#pragma unroll
        for (int k = 0; k < KEY_STEPS; k++) {
            u32 a[4];
            load_matrices(a, rows + k * 32);
            product_bf16(s, a, q[k][0], q[k][1]);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int head = (lane % 4) * 2 + i % 2, c = lane / 4 + (i / 2) * 8;
            if (head < GROUP) scores[head * SCORE_HEAD + d * SCORE_RUN + c] = s[i];
        }
    }
}

// Adds the weighted exact value dims of this warp's runs, for all heads: C fragments [dim][head].
__device__ __forceinline__ void add_values(float (&out)[AT_LEAST_1(VALUE_STEPS)][4], const bf16 *weights, u32 values) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % TEAM_WARPS, head = lane / 4;
#pragma unroll
    for (int i = 0; i < RUNS; i++) {
        const int d = warp * RUNS + i;
        const bf16 *at = weights + head * WEIGHT_HEAD + d * 16 + (lane % 4) * 2;
        const u32 b0 = head < GROUP ? *reinterpret_cast<const u32 *>(at) : 0;
        const u32 b1 = head < GROUP ? *reinterpret_cast<const u32 *>(at + 8) : 0;
        const u32 columns = values + (d * 16 + lane % 8 + (lane / 16) * 8) * VALUE_ROW + (lane / 8 % 2) * 16;
#pragma unroll
        for (int m = 0; m < VALUE_STEPS; m++) {
            u32 a[4];
            load_matrices_transposed(a, columns + m * 32);
            product_bf16(out[m], a, b0, b1);
        }
    }
}

// What a warp holds of its head, and of its runs.
struct HeadState {
    float max;
    // Of this lane.
    float sum;
    Harmonics harmonics;
    // Of all heads, relative to their own maxima.
    float values[AT_LEAST_1(VALUE_STEPS)][4];
};

// Where a team's warps exchange numbers.
struct Exchange {
    float *scores;
    bf16 *weights;
    // [8]: what the last tile's maxima make of what was there before.
    float *factors;
};

// Weights of a tile's scores; those of tokens that are not there are minus infinity already.
__device__ __forceinline__ float weigh(HeadState &state, float (&s)[2][4]) {
    float top = state.max;
#pragma unroll
    for (int i = 0; i < 8; i++) top = fmaxf(top, s[i / 4][i % 4]);
    top = warp_max(top);
    const float factor = rescale(state.max, top);
    const float shift = top == MINUS_INFINITY ? 0.0f : top;
    state.max = top;
    state.sum *= factor;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        s[i / 4][i % 4] = power_of_two(s[i / 4][i % 4] - shift);
        state.sum += s[i / 4][i % 4];
    }
    if (factor != 1.0f) {
#pragma unroll
        for (int t = 0; t < TURNS / 8; t++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                state.harmonics.real[t][i] *= factor;
                state.harmonics.imaginary[t][i] *= factor;
            }
    }
    return factor;
}

// Takes this warp's head through a tile up to its weights.
__device__ __forceinline__ void score_tile(HeadState &state, float (&s)[2][4], const Exchange &with, int head,
                                           float scale, u32 first, const Middle &middle) {
    const int lane = threadIdx.x % 32;
    const u32 sixteenth = middle.period / RADIX;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int n = i / 4, c = lane / 4 + (i % 4 / 2) * 8, d = n * 8 + (lane % 4) * 2 + i % 2;
        if (KEY_STEPS > 0) s[n][i % 4] += with.scores[head * SCORE_HEAD + d * SCORE_RUN + c] * scale;
        if (first + c + sixteenth * d >= middle.count) s[n][i % 4] = MINUS_INFINITY;
    }
    const float factor = weigh(state, s);
    if (lane == 0) with.factors[head] = factor;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int n = i / 4, c = lane / 4 + (i % 4 / 2) * 8, d = n * 8 + (lane % 4) * 2 + i % 2;
        with.weights[head * WEIGHT_HEAD + d * 16 + c] = to_bf16(s[n][i % 4]);
    }
}

__device__ __forceinline__ void rescale_values(HeadState &state, const Exchange &with) {
    const int head = threadIdx.x % 4 * 2;
    const float first = head < GROUP ? with.factors[head] : 1.0f;
    const float second = head + 1 < GROUP ? with.factors[head + 1] : 1.0f;
    if (__any_sync(0xffffffffu, first != 1.0f || second != 1.0f)) {
#pragma unroll
        for (int m = 0; m < VALUE_STEPS; m++)
#pragma unroll
            for (int i = 0; i < 4; i++) state.values[m][i] *= i % 2 ? second : first;
    }
}

// Merges what the teams hold and writes a piece's state.
__device__ __forceinline__ void write_piece(u8 *shared, HeadState &state, const Work &work, u32 query_head) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % TEAM_WARPS, team = threadIdx.x / TEAM;
    float *maxima = reinterpret_cast<float *>(shared), *sums = maxima + TEAMS * TEAM_WARPS;
    float *values = sums + TEAMS * TEAM_WARPS;
    float *harmonics = values + TEAMS * TEAM_WARPS * GROUP * VALUE_STEPS * 16;
    const float sum = warp_sum(state.sum);
    if (lane == 0) {
        maxima[team * TEAM_WARPS + warp] = state.max;
        sums[team * TEAM_WARPS + warp] = sum;
    }
#pragma unroll
    for (int m = 0; m < VALUE_STEPS; m++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int dim = m * 16 + lane / 4 + (i / 2) * 8, head = (lane % 4) * 2 + i % 2;
            if (head < GROUP)
                values[((team * TEAM_WARPS + warp) * GROUP + head) * VALUE_STEPS * 16 + dim] = state.values[m][i];
        }
    __syncthreads();
    float top = MINUS_INFINITY;
    for (int t = 0; t < TEAMS; t++) top = fmaxf(top, maxima[t * TEAM_WARPS + warp]);
    const float own = rescale(state.max, top);
    const u64 where = u64(query_head + warp) * gridDim.x + blockIdx.x;
    // The other teams' transforms by way of shared memory; the first adds and writes.
    constexpr int FRAGMENTS = TURNS / 8 * 4;
    for (int t = 1; t < TEAMS; t++) {
        float *slot = harmonics + warp * 2 * FRAGMENTS * 32 + lane;
        if (team == t) {
#pragma unroll
            for (int i = 0; i < FRAGMENTS; i++) {
                slot[2 * i * 32] = state.harmonics.real[i / 4][i % 4] * own;
                slot[(2 * i + 1) * 32] = state.harmonics.imaginary[i / 4][i % 4] * own;
            }
        }
        __syncthreads();
        if (team == 0 && warp < GROUP) {
#pragma unroll
            for (int i = 0; i < FRAGMENTS; i++) {
                float *to = work.harmonics + where * 2 * HARMONICS + harmonic_of(i / 4, i % 4);
                to[0] = state.harmonics.real[i / 4][i % 4] * own + slot[2 * i * 32];
                to[HARMONICS] = state.harmonics.imaginary[i / 4][i % 4] * own + slot[(2 * i + 1) * 32];
            }
        }
        __syncthreads();
    }
    if (TEAMS == 1 && warp < GROUP) {
#pragma unroll
        for (int i = 0; i < FRAGMENTS; i++) {
            float *to = work.harmonics + where * 2 * HARMONICS + harmonic_of(i / 4, i % 4);
            to[0] = state.harmonics.real[i / 4][i % 4];
            to[HARMONICS] = state.harmonics.imaginary[i / 4][i % 4];
        }
    }
    for (int at = threadIdx.x; at < GROUP * VALUE_WIDTH; at += TEAMS * TEAM) {
        const int head = at / AT_LEAST_1(VALUE_WIDTH), dim = at % AT_LEAST_1(VALUE_WIDTH);
        float top = MINUS_INFINITY, value = 0.0f;
        for (int t = 0; t < TEAMS; t++) top = fmaxf(top, maxima[t * TEAM_WARPS + head]);
        for (int w = 0; w < TEAMS * TEAM_WARPS; w++)
            value += rescale(maxima[w / TEAM_WARPS * TEAM_WARPS + head], top) *
                     values[(w * GROUP + head) * VALUE_STEPS * 16 + dim];
        work.exact[(u64(query_head + head) * gridDim.x + blockIdx.x) * VALUE_WIDTH + dim] = value;
    }
    if (team == 0 && lane == 0 && warp < GROUP) {
        float total = 0.0f;
        for (int t = 0; t < TEAMS; t++)
            total += rescale(maxima[t * TEAM_WARPS + warp], top) * sums[t * TEAM_WARPS + warp];
        work.max[where] = top;
        work.sum[where] = total;
    }
}

// The largest magnitude of a head's U, and U as B fragments of at most 1.
__device__ __forceinline__ float load_contracted(Spectrum &to, const float *from) {
    const int lane = threadIdx.x % 32;
    float largest = 0.0f;
#pragma unroll 8
    for (int i = lane; i < 2 * HARMONICS; i += 32) largest = fmaxf(largest, fabsf(from[i]));
    largest = warp_max(largest);
    const float factor = largest > 0.0f ? 1.0f / largest : 0.0f;
    load_spectrum(to, from, factor);
    return largest;
}
