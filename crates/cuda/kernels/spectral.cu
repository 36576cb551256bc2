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
#include "device.cuh"

// Warps that make scores, and the others, which decode; superblocks that are under way at a time. Tokens that are held whole
// are the work of the first four of them.
#define SCORE_WARPS 8
#define FIRST_DECODER SCORE_WARPS
#define DECODERS 12
#define BUFFERS (MOST_SHARED > 200000 ? 2 : 1)
#define STAGES 2
#define TOKENS_BARRIER() barrier(6, WARPS * 32)

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

#define FINISH_WARPS 8

// Part `number` of `parts` of `count` pieces of work.
__device__ __forceinline__ Piece share_of(u32 count, u32 parts, u32 number) {
    return {u32(u64(count) * number / parts), u32(u64(count) * (number + 1) / parts)};
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

#include "scores.cuh"
#include "sums.cuh"
#include "finish.cuh"
