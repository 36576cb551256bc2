// Decode attention over a spectral cache: one query token of one layer, of a batch of sequences.
//
// Tokens are coded in blocks of 16, 16 blocks a superblock, word after word with one block a lane (docs/method.md). The
// trellis' state is the last three trellis bits, so a stream can be entered anywhere. Three launches a layer:
//   spectral_scores  a superblock and key/value head a block: codes to coefficients in shared memory, one inverse cosine
//                    transform, one turn back from directions to dims, RoPE, and the scores; all but the first on tensor
//                    cores, keys never leave registers. Beside it, the tokens that are held whole
//   spectral_sums    a tile of values and some superblocks a block: weights, their cosine transform, and its sums with
//                    the coefficients: values are never rebuilt
//   spectral_finish  sums of directions turned back to dims, and all states merged
#include "tokens.cuh"

// Defined for each program: HEAD_DIM, GROUP; KEY_DIMS, dims of a head that are transformed together (a multiple of 32);
// VALUE_HEADS, heads whose values are transformed together (at most 8 query heads).
#define BLOCK 16
#define LANES 16
#define SUPERBLOCK (BLOCK * LANES)
#define KEY_TILES (HEAD_DIM / 32)
#define VALUE_CHANNELS (VALUE_HEADS * HEAD_DIM)
#define VALUE_GROUP (VALUE_HEADS * GROUP)

// How one side's codes are read: what is the same for all blocks.
struct Coding {
    // In the order of the stream: bit position times 16 plus bits; place, and above it the size as a half.
    const uint2 *entries;
    // [parts + 1]: the first entry of each head's keys, or each tile's values.
    const u32 *starts;
};

struct Spectral {
    // [superblocks][room][16], keys first.
    const u32 *codes;
    u32 room;
    u32 value_words;
    // Coded tokens, and the position of the first.
    u32 count;
    u32 first;
    Coding keys;
    Coding values;
    // [G][KEY_TILES][32][32] halves and [G][KEY_TILES][32] f32: from directions to dims of rotary pairs, first halves
    // then second; and the means.
    const f16 *key_back;
    const float *key_means;
    // [D / 2]: whole turns a token.
    const double *turns;
    // [G][VALUE_CHANNELS][D] and [G][D]: from directions to dims, and the means.
    const float *value_back;
    const float *value_means;
};

struct Work {
    // [B][H][tokens], and the largest of each superblock [B][H][superblocks].
    float *scores;
    float *largest;
    u64 tokens;
    u32 superblocks;
    // [B][tiles][pieces][8][VALUE_CHANNELS] and [B][tiles][pieces][8].
    float *sums;
    float *totals;
    States whole;
};

// [1024]: the 2^(bits + 1) levels of each rate from 2^(bits + 1) on.
__constant__ float trellis_levels[1024];
// Bits 2 r and the next: the subset of register r.
#define SUBSETS 0xTODOu

// Three stages of a pipeline of keys in shared memory: a row of 32 coefficients, a tile of 16 harmonics, a block.
#define KEY_ROW 80
#define KEY_TILE (BLOCK * KEY_ROW)
#define KEY_BLOCK (KEY_TILES * KEY_TILE + 16)
#define LEVEL_BYTES 4096
#define SCORE_THREADS (KEY_TILES * 32)
#define PARTIAL_BYTES (KEY_TILES * SUPERBLOCK * 8 * 4)
#define SCORES_SHARED (LEVEL_BYTES + LANES * KEY_BLOCK + PARTIAL_BYTES)
