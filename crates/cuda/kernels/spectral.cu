// Decode attention over a spectral cache: one query token a sequence.
//
// Tokens are coded in blocks of 16, and 16 blocks are a superblock. Three launches a layer, the blocks of the first two
// going through several superblocks each, and in each through these steps:
//   spectral_scores  a key/value head: codes become coefficients in shared memory; scores of 32 dims a warp
//                    (key_tile.cuh); of the scores of 128 tokens, relative to their largest, the weights, and of those
//                    the cosine transform of each block. Tokens that are held whole are further pieces of the same work
//   spectral_sums    directions of a tile of values: codes become fragments of products with transformed weights
//                    (values.cuh, sums.cuh). Values are never rebuilt
//   spectral_finish  from sums of directions to dims, and all states merged
// spectral_arrange puts codes into the order in which they are decoded (codes.cuh), when they are made.
// Figures and what binds: docs/kernels.md.
#include "codes.cuh"
#include "key_tile.cuh"
#include "tokens.cuh"

// Defined for each program: HEAD_DIM, a multiple of 32; GROUP; VALUE_HEADS, heads whose values are transformed together.
#define SUPERBLOCK (BLOCK * LANES)
#include "values.cuh"
// Tokens whose weights are relative to the same score.
#define HALF (SUPERBLOCK / 2)
#define CHANNELS (VALUE_HEADS * HEAD_DIM)
#define TILE_HEADS (VALUE_HEADS * GROUP)
#define MOST(a, b) ((a) > (b) ? (a) : (b))

// The coded tokens of one sequence, of all key/value heads.
struct Coded {
    // [superblocks][stride].
    const u32 *codes;
    u32 stride;
    // Tokens, and the position of the first.
    u32 count;
    u32 first;
    u32 padding;
    // Parts: heads, with places [KEY_TILES][16 harmonics][32 directions].
    Coding keys;
    // Parts: VALUE_HEADS a tile of values.
    ValueCoding values;
    // [G][KEY_TILES][32 directions][32 dims] in halves and [G][KEY_TILES][32 dims]: the way back, and means.
    const f16 *key_back;
    const float *key_means;
    // [G][CHANNELS directions][D] and [G][D]: the same of values.
    const float *value_back;
    const float *value_means;
};

// The same for all sequences.
struct Constants {
    // [LEVEL_WORDS], of keys.
    const u32 *levels;
    // [TABLE_ROWS], of values, and all levels of 1 bit and more as halves.
    const u32 *rows;
    const u16 *all_levels;
    // The orthonormal DCT-II as fragments, [32 lanes]: A of [16 tokens][16 harmonics], B of the same.
    const uint4 *inverse;
    const uint4 *forward;
    // [D / 2]: turns a token of each rotary pair.
    const double *turns;
    // Cosines and sines of turns, of two pairs a register: [KEY_TILES][2 halves of the pairs][2][8 tokens][4] inside a
    // block, cosines and sines; [16 blocks][KEY_TILES][4] inside a superblock, cosines and sines of both halves of the pairs.
    const uint2 *inside;
    const uint4 *between;
    // [D / 2]: of a superblock, one pair after the other.
    const float2 *steps;
};

// What is handed from launch to launch.
struct Work {
    // [B][H][superblocks][16 harmonics][8] in halves, two a word: weights, transformed. Word 2 p + h of a harmonic is of
    // blocks 2 p and 2 p + 1 of half h.
    u32 *weights;
    // [B][H][superblocks][2]: of each half the largest score, in powers of two, and the sum of weights relative to it.
    float2 *halves;
    u32 superblocks;
    // [B][G][pieces][8 heads][D directions], relative to [B][G][pieces][8].
    float *sums;
    float *largest;
    // [B][H][whole pieces].
    States whole;
};

// In shared memory: levels, and coefficients, a block's padded by 16 bytes so that lanes lie in different banks.
#define LEVEL_BYTES (LEVEL_WORDS * 4)
#define BLOCK_BYTES (BLOCK * HEAD_DIM * 2 + 16)
#define COEFFICIENT_BYTES (LANES * BLOCK_BYTES)
// Warps of a block of each launch, and how many blocks a multiprocessor has at a time.
#define SCORE_WARPS 8
#define SCORE_RESIDENT 2
#define FINISH_WARPS 8
// Warps with one tile of keys, which share out a superblock's blocks.
#define SCORE_SHARES (SCORE_WARPS / 4)
extern "C" __device__ u32 spectral_scores_threads = SCORE_WARPS * 32;
#define BETWEEN (LANES * KEY_TILES * 4)
#define TURN_BYTES (BETWEEN * 16 + QUERY_BYTES)
// A row of partial scores: the banks of eight tokens of eight heads differ.
#define SCORE_ROW (SUPERBLOCK + 4)
#define COMMON_BYTES (LEVEL_BYTES + PART_BYTES + COEFFICIENT_BYTES)
#define SCORE_BYTES (COMMON_BYTES + TURN_BYTES + KEY_TILES * GROUP * SCORE_ROW * 4)
extern "C" __device__ u32 spectral_scores_shared = MOST(SCORE_BYTES, TOKENS_SHARED_BYTES);

// Part `number` of `parts` of `count` pieces of work.
__device__ __forceinline__ Piece share_of(u32 count, u32 parts, u32 number) {
    return {u32(u64(count) * number / parts), u32(u64(count) * (number + 1) / parts)};
}

// Levels, and zeros for coefficients that have no bits. With a barrier.
template <int COUNT> __device__ __forceinline__ u32 prepare(u8 *shared, const u32 *levels) {
    u32 *to = reinterpret_cast<u32 *>(shared);
    for (u32 at = threadIdx.x; at < LEVEL_WORDS; at += COUNT * 32) to[at] = levels[at];
#pragma unroll 4
    for (u32 at = threadIdx.x; at < COEFFICIENT_BYTES / 16; at += COUNT * 32)
        reinterpret_cast<uint4 *>(shared + LEVEL_BYTES + PART_BYTES)[at] = make_uint4(0, 0, 0, 0);
    __syncthreads();
    return levels_at(to);
}

// Waits for the first superblock's codes.
__device__ __forceinline__ void wait_first(Part &part) {
    wait_stage(part);
#if __CUDA_ARCH__ < 900
    __syncthreads();
#endif
}

// From the partial scores of 128 tokens of a head to weights, transformed, and what they are relative to. `left`: tokens
// that are there. A warp.
__device__ __forceinline__ void write_weights(const float *scores, const uint4 *forward, float scale, int left, u32 *weights,
                                              float2 *to) {
    const int lane = threadIdx.x % 32, first = lane / 4 * BLOCK + lane % 4 * 2;
    float p[4], top = MINUS_INFINITY;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float2 s = make_float2(0.0f, 0.0f);
#pragma unroll
        for (int tile = 0; tile < KEY_TILES; tile++) {
            const float2 part = *reinterpret_cast<const float2 *>(scores + tile * GROUP * SCORE_ROW + first + i * 8);
            s.x += part.x;
            s.y += part.y;
        }
        p[2 * i] = first + i * 8 < left ? s.x * scale : MINUS_INFINITY;
        p[2 * i + 1] = first + i * 8 + 1 < left ? s.y * scale : MINUS_INFINITY;
        top = fmaxf(top, fmaxf(p[2 * i], p[2 * i + 1]));
    }
    top = warp_max(top);
    const float least = top == MINUS_INFINITY ? 0.0f : top;
#pragma unroll
    for (int i = 0; i < 4; i++) p[i] = power_of_two(p[i] - least);
    const uint4 rows = __ldg(forward + lane);
    // Rows are harmonics, columns the eight blocks.
    const u32 a[4] = {rows.x, rows.z, rows.y, rows.w};
    float out[4] = {};
    product_f16(out, a, pack_f16(p[0], p[1]), pack_f16(p[2], p[3]));
    weights[lane / 4 * 8 + lane % 4 * 2] = pack_f16(out[0], out[1]);
    weights[(lane / 4 + 8) * 8 + lane % 4 * 2] = pack_f16(out[2], out[3]);
    // The first harmonic of a block is a quarter of its sum.
    float sum = out[0] + out[1];
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    if (lane == 0) *to = make_float2(top, 4.0f * sum);
}

// Writes scores of two heads from `column` on of 16 tokens of one of the blocks.
__device__ __forceinline__ void write_scores(float *to, const float (&s)[BLOCKS_AT_ONCE][4], int column, int written) {
    float own[4];
#pragma unroll
    for (int i = 0; i < 4; i++) own[i] = written > 0 ? s[BLOCKS_AT_ONCE - 1][i] : s[0][i];
    if (column < GROUP) {
        to[0] = own[0];
        to[8] = own[2];
    }
    if (column + 1 < GROUP) {
        to[SCORE_ROW] = own[1];
        to[SCORE_ROW + 8] = own[3];
    }
}

// The superblocks from `own.first` to `own.end` of a head.
__device__ __forceinline__ void score_superblocks(u8 *shared, const float *q, const Coded &coded,
                                                  const Constants &constants, const Work &work, float scale,
                                                  Piece own) {
    const u32 head = blockIdx.y, query_head = (blockIdx.z * gridDim.y + head) * GROUP;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 coefficients = shared_address(shared + LEVEL_BYTES + PART_BYTES);
    uint4 *between = reinterpret_cast<uint4 *>(shared + COMMON_BYTES);
    u32 *queries = reinterpret_cast<u32 *>(between + BETWEEN);
    float *partial = reinterpret_cast<float *>(shared + COMMON_BYTES + TURN_BYTES);
    Part part = load_part<SCORE_WARPS>(coded.keys, head, shared + LEVEL_BYTES);
    const u32 *words = coded.codes + u64(own.first) * coded.stride;
    stage<SCORE_WARPS>(part, words);
    for (u32 at = threadIdx.x; at < BETWEEN; at += SCORE_WARPS * 32) between[at] = __ldg(constants.between + at);
    const u32 pair = threadIdx.x % PAIRS_OF_HEAD;
    Turning<SCORE_WARPS * 32> turning(constants.turns[pair] * (coded.first + own.first * SUPERBLOCK));
    const u32 levels = prepare<SCORE_WARPS>(shared, constants.levels);
    const int number = min(warp % 4, KEY_TILES - 1), first_block = warp / 4 * BLOCKS_AT_ONCE;
    const u32 there = head * KEY_TILES + number;
    KeyTile tile;
    load_way_back(tile, coded.key_back + u64(there) * 32 * 32);
    load_turns(tile, constants.inside, coded.key_means + there * 32, number);
    const uint4 cosines = __ldg(constants.inverse + lane);
    const u32 inverse[4] = {cosines.x, cosines.y, cosines.z, cosines.w};
    // Of those blocks that are scored together, a lane turns queries for one, and writes the scores of one.
    const uint4 *turn = between + ((first_block + lane / 4 / QUERY_COLUMNS) * KEY_TILES + number) * 4 + lane % 4;
    const u32 at = coefficients + first_block * BLOCK_BYTES + number * BLOCK * KEY_ROW * 2;
    const int column = lane % 4 * 2 % QUERY_COLUMNS, written = lane % 4 * 2 / QUERY_COLUMNS;
    float *to = partial + (number * GROUP + column) * SCORE_ROW + (first_block + written) * BLOCK + lane / 4;
    wait_first(part);
    for (u32 superblock = own.first; superblock < own.end; superblock++) {
        if (superblock + 1 < own.end) prefetch(part, words + coded.stride);
        decode<SCORE_WARPS, BLOCK_BYTES>(part, words, levels, coefficients);
        words += coded.stride;
        if (superblock == own.first) {
            begin();
            turning.load(q + u64(query_head) * HEAD_DIM);
            turning.store(reinterpret_cast<f16 *>(queries));
        }
        __syncthreads();
        if (superblock + 1 < own.end) stage<SCORE_WARPS>(part, words);
        if (warp % 4 < KEY_TILES) {
            const Turned turned = load_queries(queries, number);
#pragma unroll
            for (int i = 0; i < LANES; i += SCORE_SHARES * BLOCKS_AT_ONCE) {
                float s[BLOCKS_AT_ONCE][4] = {};
                u32 own_queries[2][2], b[BLOCKS_AT_ONCE][2][4];
#pragma unroll
                for (int n = 0; n < BLOCKS_AT_ONCE; n++) load_block(b[n], at + (i + n) * BLOCK_BYTES);
                turn_to_block(own_queries, turned, turn[i * KEY_TILES * 4]);
                score_blocks(s, tile, inverse, own_queries, b);
                write_scores(to + i * BLOCK, s, column, written);
            }
        }
        if (superblock + 1 < own.end) wait_stage(part);
        __syncthreads();
        turning.advance(__ldg(constants.steps + pair));
        turning.store(reinterpret_cast<f16 *>(queries));
#pragma unroll
        for (int i = 0; i < (2 * GROUP + SCORE_WARPS - 1) / SCORE_WARPS; i++) {
            const int task = warp + i * SCORE_WARPS;
            if (2 * GROUP % SCORE_WARPS != 0 && task >= 2 * GROUP) break;
            const u32 half = task / GROUP, from = superblock * SUPERBLOCK + half * HALF;
            const u64 place = (u64(query_head + task % GROUP) * work.superblocks + superblock) * 2 + half;
            write_weights(partial + task % GROUP * SCORE_ROW + half * HALF, constants.forward, scale, int(coded.count - from),
                          work.weights + place / 2 * WEIGHT_WORDS + half, work.halves + place);
        }
    }
}

// Blocks: (pieces, G, B). The pieces share out superblocks, and then the pieces of whole tokens.
extern "C" __global__ void __launch_bounds__(SCORE_WARPS * 32, SCORE_RESIDENT)
    spectral_scores(const float *q, const Coded *sequences, const Tokens *whole, Constants constants, Work work,
                    u32 whole_pieces, float scale) {
    extern __shared__ __align__(128) u8 shared[];
    const Coded &coded = sequences[blockIdx.z];
    const u32 superblocks = (coded.count + SUPERBLOCK - 1) / SUPERBLOCK;
    const Piece own = share_of(superblocks + whole_pieces, gridDim.x, blockIdx.x);
    const Piece mine = {min(own.first, superblocks), min(own.end, superblocks)};
    if (mine.first < mine.end)
        score_superblocks(shared, q, coded, constants, work, scale, mine);
    else
        begin();
    // Whole tokens are the work of four warps.
    __syncthreads();
    if (threadIdx.x >= WARPS * 32) return;
    for (u32 piece = max(own.first, superblocks); piece < own.end; piece++) {
        __syncthreads();
        attend_tokens(shared, q, scale, whole[blockIdx.z], work.whole, whole_pieces, piece - superblocks, blockIdx.y,
                      gridDim.y, blockIdx.z);
    }
}

// Codes in the order of codes.cuh: to [superblocks][stride] from [superblocks][room][16], of which `sources` says for both
// halves of each word the bit of a block's stream, or NO_BIT. Blocks: (superblocks); 256 threads.
#define NO_BIT 0xffffffffu
extern "C" __global__ void __launch_bounds__(256, 4)
    spectral_arrange(const u32 *from, u32 room, const uint2 *sources, u32 stride, u32 *to) {
    from += u64(blockIdx.x) * room * LANES;
    to += u64(blockIdx.x) * stride;
    for (u32 at = threadIdx.x; at < stride; at += 256) {
        const uint2 source = sources[at];
        u32 word = 0;
        for (int b = 0; b < LANES; b++) {
            if (source.x != NO_BIT) word |= (from[source.x / 32 * LANES + b] >> source.x % 32 & 1) << b;
            if (source.y != NO_BIT) word |= (from[source.y / 32 * LANES + b] >> source.y % 32 & 1) << (16 + b);
        }
        to[at] = word;
    }
}

#include "sums.cuh"
#include "finish.cuh"
