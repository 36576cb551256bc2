// Scores of coded keys: a tile of 32 dims of a head, 16 rotary pairs, all first halves before all second ones.
//
// Of each block of 16 tokens: an inverse cosine transform, the way back from directions to dims, RoPE inside the block,
// and products with the queries, turned back to the block's first position. Four products of matrices whose results are
// halves in the very registers that the next one reads, so nothing is converted or exchanged between them.
#pragma once
#include "device.cuh"

// Defined for each program: HEAD_DIM, a multiple of 32; GROUP.
#define BLOCK 16
#define KEY_ROW 32
#define KEY_TILES (HEAD_DIM / KEY_ROW)

// d = a * b + c in halves; `low`, `high`: rows 0 to 7 and 8 to 15.
__device__ __forceinline__ void halves_product(u32 (&d)[2], const u32 (&a)[4], u32 b0, u32 b1, u32 low, u32 high) {
    asm("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%8, %9};"
        : "=r"(d[0]), "=r"(d[1])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "r"(low), "r"(high));
}

// Cosine and sine of a number of turns.
__device__ __forceinline__ float2 circle(double turns) {
    float2 point;
    sincospif(float(2.0 * (turns - floor(turns))), &point.y, &point.x);
    return point;
}

// A warp's tile: what is the same for all blocks, and the queries.
struct KeyTile {
    // B fragments [32 directions][32 dims].
    u32 back[2][4][2];
    // Cosines and sines of the turns inside a block of this lane's tokens and pairs, [half of the pairs][row].
    u32 cos[2][2];
    u32 sin[2][2];
    // Means, turned likewise: of the first halves of pairs, and of the second ones.
    u32 first_mean[2][2];
    u32 second_mean[2][2];
};

// The way back of tile `number`, [32 directions][32 dims].
__device__ __forceinline__ void load_way_back(KeyTile &tile, const f16 *back) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < 4; n++) {
#pragma unroll
        for (int k = 0; k < 2; k++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const f16 *at = back + (k * 16 + i * 8 + lane % 4 * 2) * 32 + n * 8 + lane / 4;
                tile.back[k][n][i] = u32(at[0]) | u32(at[32]) << 16;
            }
    }
}

// The turns of tile `number` inside a block, as `Constants` in spectral.cu has them, and its means [32 dims] turned.
__device__ __forceinline__ void load_turns(KeyTile &tile, const uint2 *inside, const float *means, u32 number) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const float2 first = *reinterpret_cast<const float2 *>(means + half * 8 + lane % 4 * 2);
        const float2 second = *reinterpret_cast<const float2 *>(means + 16 + half * 8 + lane % 4 * 2);
        const u32 x = pack_f16(first.x, first.y), z = pack_f16(second.x, second.y);
#pragma unroll
        for (int row = 0; row < 2; row++) {
            const uint2 both = __ldg(inside + ((number * 2 + half) * 2 + row) * 32 + lane);
            tile.cos[half][row] = both.x;
            tile.sin[half][row] = both.y;
            tile.first_mean[half][row] = fused_f16(x, both.x, minus_f16(times_f16(z, both.y)));
            tile.second_mean[half][row] = fused_f16(x, both.y, times_f16(z, both.x));
        }
    }
}

// Columns that queries take in a product. Where four are enough, the other four are the same queries for another block.
#define QUERY_COLUMNS (GROUP > 4 ? 8 : 4)
#define BLOCKS_AT_ONCE (8 / QUERY_COLUMNS)

// Queries turned back to where a superblock begins, in shared memory: [2 halves of pairs][GROUP][QUERY_ROW words].
#define PAIRS_OF_HEAD (HEAD_DIM / 2)
#define QUERY_ROW (HEAD_DIM / 4 + 4)
#define QUERY_BYTES (2 * GROUP * QUERY_ROW * 4)

// What a thread turns: a pair of some of the queries, `QUERIES_AT_ONCE` apart.
template <int THREADS_HERE> struct Turning {
    static constexpr int AT_ONCE = THREADS_HERE / PAIRS_OF_HEAD, COUNT = (GROUP + AT_ONCE - 1) / AT_ONCE;
    float2 queries[COUNT];
    float2 point;

    // From queries [GROUP][HEAD_DIM], at a position where the pair has turned by `turns`.
    __device__ __forceinline__ Turning(double turns) : queries(), point(circle(turns)) {}

    __device__ __forceinline__ void load(const float *q) {
        const int pair = threadIdx.x % PAIRS_OF_HEAD, first = threadIdx.x / PAIRS_OF_HEAD;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            const float *at = q + (first + i * AT_ONCE) * HEAD_DIM + pair;
            if (first < AT_ONCE && first + i * AT_ONCE < GROUP) queries[i] = make_float2(at[0], at[HEAD_DIM / 2]);
        }
    }

    __device__ __forceinline__ void store(f16 *to) const {
        const int pair = threadIdx.x % PAIRS_OF_HEAD, first = threadIdx.x / PAIRS_OF_HEAD;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            f16 *at = to + (first + i * AT_ONCE) * QUERY_ROW * 2 + pair;
            if (first < AT_ONCE && first + i * AT_ONCE < GROUP) {
                at[0] = to_f16(queries[i].x * point.x + queries[i].y * point.y);
                at[GROUP * QUERY_ROW * 2] = to_f16(queries[i].y * point.x - queries[i].x * point.y);
            }
        }
    }

    __device__ __forceinline__ void advance(float2 step) {
        point = make_float2(point.x * step.x - point.y * step.y, point.y * step.x + point.x * step.y);
    }
};

// Queries as B fragments: first halves, second halves, and the first ones negated.
struct Turned {
    u32 first[2];
    u32 second[2];
    u32 minus[2];
};

// The dims of tile `number` of turned queries.
__device__ __forceinline__ Turned load_queries(const u32 *queries, u32 number) {
    const int lane = threadIdx.x % 32, query = min(lane / 4 % QUERY_COLUMNS, GROUP - 1);
    const u32 *from = queries + query * QUERY_ROW + number * 8 + lane % 4;
    Turned out;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        out.first[half] = from[half * 4];
        out.second[half] = from[GROUP * QUERY_ROW + half * 4];
        out.minus[half] = minus_f16(out.first[half]);
    }
    return out;
}

// A block's coefficients [16 harmonics][32 directions] as B fragments, from shared memory.
__device__ __forceinline__ void load_block(u32 (&b)[2][4], u32 coefficients) {
    const int lane = threadIdx.x % 32;
    const u32 row = coefficients + (lane % 16) * KEY_ROW * 2;
    // Pieces of a row stand where `placed_key` in attention/spectral_tables.rs puts them.
#pragma unroll
    for (int n = 0; n < 2; n++) load_matrices_transposed(b[n], row + ((2 * n + lane / 16) ^ (lane % 16 / 2 % 4)) * 16);
}

// Queries turned to blocks, first halves and second ones as B fragments; `turn`: up to the block of this lane's column.
__device__ __forceinline__ void turn_to_block(u32 (&to)[2][2], const Turned &queries, uint4 turn) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const u32 cos = half ? turn.z : turn.x, sin = half ? turn.w : turn.y;
        to[0][half] = fused_f16(queries.first[half], cos, times_f16(queries.second[half], sin));
        to[1][half] = fused_f16(queries.second[half], cos, times_f16(queries.minus[half], sin));
    }
}

// The products of 16 tokens of each of some blocks and eight columns of queries; one step of all before the next, since
// each waits for the one before.
__device__ __forceinline__ void score_blocks(float (&s)[BLOCKS_AT_ONCE][4], const KeyTile &tile, const u32 (&cosines)[4],
                                             const u32 (&queries)[2][2], const u32 (&b)[BLOCKS_AT_ONCE][2][4]) {
    u32 y[BLOCKS_AT_ONCE][2][4], k[BLOCKS_AT_ONCE][4][2], turned[BLOCKS_AT_ONCE][2][4];
#pragma unroll
    for (int i = 0; i < BLOCKS_AT_ONCE; i++)
#pragma unroll
        for (int n = 0; n < 4; n++) {
            u32 to[2];
            halves_product(to, cosines, b[i][n / 2][n % 2 * 2], b[i][n / 2][n % 2 * 2 + 1], 0, 0);
            y[i][n / 2][n % 2 * 2] = to[0];
            y[i][n / 2][n % 2 * 2 + 1] = to[1];
        }
#pragma unroll
    for (int i = 0; i < BLOCKS_AT_ONCE; i++)
#pragma unroll
        for (int n = 0; n < 4; n++) halves_product(k[i][n], y[i][0], tile.back[0][n][0], tile.back[0][n][1], 0, 0);
#pragma unroll
    for (int i = 0; i < BLOCKS_AT_ONCE; i++)
#pragma unroll
        for (int n = 0; n < 4; n++)
            halves_product(k[i][n], y[i][1], tile.back[1][n][0], tile.back[1][n][1], k[i][n][0], k[i][n][1]);
#pragma unroll
    for (int i = 0; i < BLOCKS_AT_ONCE; i++)
#pragma unroll
        for (int at = 0; at < 4; at++) {
            const int half = at / 2, row = at % 2;
            const u32 x = k[i][half][row], z = k[i][half + 2][row], c = tile.cos[half][row], sin = tile.sin[half][row];
            turned[i][0][at] = fused_f16(x, c, fused_f16(minus_f16(z), sin, tile.first_mean[half][row]));
            turned[i][1][at] = fused_f16(x, sin, fused_f16(z, c, tile.second_mean[half][row]));
        }
#pragma unroll
    for (int side = 0; side < 2; side++)
#pragma unroll
        for (int i = 0; i < BLOCKS_AT_ONCE; i++) product_f16(s[i], turned[i][side], queries[side][0], queries[side][1]);
}
