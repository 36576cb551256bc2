// Decode attention over a spectral cache: one query token a sequence.
//
// Tokens are coded in blocks of 16, and 16 blocks are a superblock, whose words stand with one block a lane
// (crates/spectral/src/trellis). The trellis' state is the last three trellis bits, so a stream can be entered anywhere.
// Three launches a layer:
//   spectral_scores  a superblock of a key/value head: codes become coefficients in shared memory; of each block an
//                    inverse cosine transform, the way back from directions to dims, RoPE, and the scores, all in
//                    registers. Beside it, the tokens that are held whole
//   spectral_sums    a tile of values and some superblocks: codes become coefficients; of each block the cosine transform
//                    of its weights times them. Values are never rebuilt
//   spectral_finish  from sums of directions to dims, and all states merged
// At 2 bits and 32k tokens of 8 heads of 128 dims: 20.4 MB, 6.8 us; 3 us of products; 162 us seen. Decoding binds, five
// loads and stores and 29 instructions for 32 coefficients (docs/kernels.md).
#include "codes.cuh"
#include "tokens.cuh"

// Defined for each program: HEAD_DIM, a multiple of 32; GROUP; VALUE_HEADS, heads whose values are transformed together.
// Keys are transformed in tiles of 32 dims of a head: 16 rotary pairs, all first halves before all second ones.
#define BLOCK 16
#define SUPERBLOCK (BLOCK * LANES)
#define KEY_TILES (HEAD_DIM / 32)
#define CHANNELS (VALUE_HEADS * HEAD_DIM)
#define TILE_HEADS (VALUE_HEADS * GROUP)

// The coded tokens of one sequence, of all key/value heads.
struct Coded {
    // [superblocks][room][16]; the words of keys, then those of values.
    const u32 *codes;
    u32 room;
    u32 key_words;
    // Tokens, and the position of the first.
    u32 count;
    u32 first;
    // Places: [KEY_TILES][16 harmonics][32 directions] of a head; [CHANNELS directions][16 harmonics] of a tile.
    Coding keys;
    Coding values;
    // [G][KEY_TILES][32 directions][32 dims] in halves and [G][KEY_TILES][32 dims]: the way back, and means.
    const f16 *key_back;
    const float *key_means;
    // [G][CHANNELS directions][D] and [G][D]: the same of values.
    const float *value_back;
    const float *value_means;
};

// The same for all sequences.
struct Constants {
    // [1024] halves: the 2^(k + 1) levels of k bits from 2^(k + 1) on.
    const f16 *levels;
    // [16 harmonics][16 tokens] of the orthonormal DCT-II.
    const float *cosines;
    // [D / 2]: turns a token of each rotary pair.
    const double *turns;
};

// What is handed from launch to launch.
struct Work {
    // [B][H][superblocks][256], in powers of two, and the largest of each superblock.
    float *scores;
    float *largest;
    u32 superblocks;
    // [B][tiles][pieces][CHANNELS][8] and [B][tiles][pieces][8].
    float *sums;
    float *totals;
    // [B][H][whole pieces].
    States whole;
};

__device__ __forceinline__ void clear(u8 *from, u32 bytes, u32 threads) {
    for (u32 at = threadIdx.x; at < bytes / 16; at += threads)
        reinterpret_cast<uint4 *>(from)[at] = make_uint4(0, 0, 0, 0);
}

// The A fragment of a [16][16] matrix of f32, rows `row_stride` and columns `column_stride` apart, in halves.
__device__ __forceinline__ void load_square(u32 (&a)[4], const float *from, int row_stride, int column_stride) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i % 2 * 8, column = lane % 4 * 2 + i / 2 * 8;
        const float *at = from + row * row_stride + column * column_stride;
        a[i] = pack_f16(at[0], at[column_stride]);
    }
}

// In shared memory: levels; coefficients, a block's padded by 16 bytes so that lanes lie in different banks.
#define LEVEL_BYTES 2048
#define KEY_ROW 32
#define KEY_TILE (BLOCK * KEY_ROW)
#define KEY_BLOCK (KEY_TILES * KEY_TILE + 8)
#define SCORE_WARPS 8
#define SCORE_THREADS (SCORE_WARPS * 32)
// A warp's scores of a superblock, [256][8 heads].
#define PARTIAL (SUPERBLOCK * 8)
#define SCORE_BYTES (LEVEL_BYTES + LANES * KEY_BLOCK * 2 + KEY_TILES * PARTIAL * 4)
#define MOST(a, b) ((a) > (b) ? (a) : (b))
extern "C" __device__ u32 spectral_scores_shared = MOST(SCORE_BYTES, TOKENS_SHARED_BYTES);

// A warp's tile of 32 dims: everything about it that is the same for all blocks.
struct KeyTile {
    // B fragments [32 directions][32 dims], and means as C fragments.
    u32 back[2][4][2];
    float mean[4][2];
    // Cosines and sines of the turns inside a block of this lane's tokens and pairs, as C fragments [token][pair].
    float cos[2][4];
    float sin[2][4];
    // This lane's dims of the queries, [half of a k step][pair], first halves and second halves.
    float first[2][2];
    float second[2][2];
    // Cosines and sines of the turns up to the block at hand, and of a block's.
    float2 now[2][2];
    float2 step[2][2];
};

// Cosine and sine of a number of turns.
__device__ __forceinline__ float2 circle(double turns) {
    float2 point;
    sincospif(float(2.0 * (turns - floor(turns))), &point.y, &point.x);
    return point;
}

__device__ __forceinline__ void load_key_tile(KeyTile &tile, const Coded &coded, const Constants &constants,
                                              const float *q, u32 head, u32 number, u32 position) {
    const int lane = threadIdx.x % 32;
    const f16 *back = coded.key_back + (u64(head) * KEY_TILES + number) * 32 * 32;
    const float *means = coded.key_means + (u64(head) * KEY_TILES + number) * 32;
#pragma unroll
    for (int n = 0; n < 4; n++) {
#pragma unroll
        for (int k = 0; k < 2; k++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const f16 *at = back + (k * 16 + i * 8 + lane % 4 * 2) * 32 + n * 8 + lane / 4;
                tile.back[k][n][i] = u32(at[0]) | u32(at[32]) << 16;
            }
        tile.mean[n][0] = means[n * 8 + lane % 4 * 2];
        tile.mean[n][1] = means[n * 8 + lane % 4 * 2 + 1];
    }
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int token = lane / 4 + i / 2 * 8, pair = number * 16 + n * 8 + lane % 4 * 2 + i % 2;
            const double turn = constants.turns[pair] * token;
            const float2 point = circle(turn);
            tile.cos[n][i] = point.x;
            tile.sin[n][i] = point.y;
        }
    const int query = lane / 4;
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int pair = number * 16 + half * 8 + lane % 4 * 2 + i;
            const bool there = query < GROUP;
            tile.now[half][i] = circle(constants.turns[pair] * position);
            tile.step[half][i] = circle(constants.turns[pair] * BLOCK);
            tile.first[half][i] = there ? q[query * HEAD_DIM + pair] : 0.0f;
            tile.second[half][i] = there ? q[query * HEAD_DIM + HEAD_DIM / 2 + pair] : 0.0f;
        }
}

// B fragments of the queries turned back to the block's first position: k steps of first and of second halves. Goes on
// to the next block.
__device__ __forceinline__ void turn_queries(u32 (&q)[2][2], KeyTile &tile) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float x[2], y[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const float2 now = tile.now[half][i], step = tile.step[half][i];
            x[i] = tile.first[half][i] * now.x + tile.second[half][i] * now.y;
            y[i] = tile.second[half][i] * now.x - tile.first[half][i] * now.y;
            tile.now[half][i] = make_float2(now.x * step.x - now.y * step.y, now.y * step.x + now.x * step.y);
        }
        q[0][half] = pack_f16(x[0], x[1]);
        q[1][half] = pack_f16(y[0], y[1]);
    }
}

// Scores of a block's 16 tokens and up to 8 heads from a tile's coefficients, [16 harmonics][32 directions].
__device__ __forceinline__ void score_block(float (&s)[4], const KeyTile &tile, const u32 (&cosines)[4],
                                            const u32 (&q)[2][2], u32 coefficients) {
    const int lane = threadIdx.x % 32;
    const u32 row = coefficients + (lane % 16) * KEY_ROW * 2;
    float y[4][4] = {};
#pragma unroll
    for (int n = 0; n < 4; n += 2) {
        u32 b[4];
        // Pieces of a row stand where `placed` in attention/spectral.rs puts them.
        load_matrices_transposed(b, row + ((n + lane / 16) ^ (lane % 16 / 2 % 4)) * 16);
        product_f16(y[n], cosines, b[0], b[1]);
        product_f16(y[n + 1], cosines, b[2], b[3]);
    }
    float k[4][4];
#pragma unroll
    for (int n = 0; n < 4; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) k[n][i] = tile.mean[n][i % 2];
#pragma unroll
    for (int step = 0; step < 2; step++) {
        const float(&left)[4] = y[2 * step], (&right)[4] = y[2 * step + 1];
        const u32 a[4] = {pack_f16(left[0], left[1]), pack_f16(left[2], left[3]), pack_f16(right[0], right[1]),
                          pack_f16(right[2], right[3])};
#pragma unroll
        for (int n = 0; n < 4; n++) product_f16(k[n], a, tile.back[step][n][0], tile.back[step][n][1]);
    }
    u32 first[4], second[4];
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int row = 0; row < 2; row++) {
            float x[2], z[2];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const int at = 2 * row + i;
                x[i] = k[n][at] * tile.cos[n][at] - k[n + 2][at] * tile.sin[n][at];
                z[i] = k[n][at] * tile.sin[n][at] + k[n + 2][at] * tile.cos[n][at];
            }
            first[2 * n + row] = pack_f16(x[0], x[1]);
            second[2 * n + row] = pack_f16(z[0], z[1]);
        }
    product_f16(s, first, q[0][0], q[0][1]);
    product_f16(s, second, q[1][0], q[1][1]);
}

__device__ __forceinline__ void score_superblock(u8 *shared, const float *q, const Coded &coded,
                                                 const Constants &constants, const Work &work, float scale) {
    const u32 superblock = blockIdx.x, head = blockIdx.y;
    if (superblock * SUPERBLOCK >= coded.count) return;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    f16 *levels = reinterpret_cast<f16 *>(shared);
    f16 *coefficients = reinterpret_cast<f16 *>(shared + LEVEL_BYTES);
    float *partial = reinterpret_cast<float *>(shared + LEVEL_BYTES + LANES * KEY_BLOCK * 2);
    const u32 from = coded.keys.starts[head], count = coded.keys.starts[head + 1] - from;
    const u32 *rows = coded.codes + u64(superblock) * coded.room * LANES;
    prefetch(rows, coded.keys.entries, from, from + count);
    for (u32 at = threadIdx.x; at < 1024; at += SCORE_THREADS) levels[at] = constants.levels[at];
    clear(shared + LEVEL_BYTES, LANES * KEY_BLOCK * 2, SCORE_THREADS);
    __syncthreads();
    constexpr u32 PARTS = SCORE_THREADS / LANES;
    const u32 own = threadIdx.x % LANES, part = threadIdx.x / LANES;
    const Reader reader = {reinterpret_cast<const u8 *>(rows + own), coded.keys.entries, levels};
    decode(reader, from + count * part / PARTS, from + count * (part + 1) / PARTS, coefficients + own * KEY_BLOCK);

    const u32 query_head = (blockIdx.z * gridDim.y + head) * GROUP;
    // Warps share out tiles, and halves of the blocks.
    const int number = warp % 4, first_block = warp / 4 * (LANES / 2);
    const u32 position = coded.first + superblock * SUPERBLOCK + first_block * BLOCK;
    KeyTile tile;
    load_key_tile(tile, coded, constants, q + u64(query_head) * HEAD_DIM, head, min(number, KEY_TILES - 1), position);
    u32 cosines[4];
    load_square(cosines, constants.cosines, 1, BLOCK);
    __syncthreads();
    for (int block = first_block; block < first_block + LANES / 2 && number < KEY_TILES; block++) {
        u32 turned[2][2];
        turn_queries(turned, tile);
        float s[4] = {};
        score_block(s, tile, cosines, turned, shared_address(coefficients + block * KEY_BLOCK + number * KEY_TILE));
        float *to = partial + number * PARTIAL + block * BLOCK * 8 + lane % 4 * 2;
        *reinterpret_cast<float2 *>(to + lane / 4 * 8) = make_float2(s[0], s[1]);
        *reinterpret_cast<float2 *>(to + (lane / 4 + 8) * 8) = make_float2(s[2], s[3]);
    }
    __syncthreads();
    // A warp adds up a head at a time.
    for (int g = warp; g < GROUP; g += SCORE_WARPS) {
        const u64 place = u64(query_head + g) * work.superblocks + superblock;
        float top = MINUS_INFINITY;
#pragma unroll
        for (int i = 0; i < SUPERBLOCK / 32; i++) {
            const int token = i * 32 + lane;
            float sum = 0.0f;
#pragma unroll
            for (int w = 0; w < KEY_TILES; w++) sum += partial[w * PARTIAL + token * 8 + g];
            sum = superblock * SUPERBLOCK + token < coded.count ? sum * scale : MINUS_INFINITY;
            top = fmaxf(top, sum);
            work.scores[place * SUPERBLOCK + token] = sum;
        }
        top = warp_max(top);
        if (lane == 0) work.largest[place] = top;
    }
}

// Blocks: (superblocks + whole pieces, G, B); 256 threads.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS, 2)
    spectral_scores(const float *q, const Coded *sequences, const Tokens *whole, Constants constants, Work work,
                    float scale) {
    extern __shared__ __align__(128) u8 shared[];
    begin();
    if (blockIdx.x >= work.superblocks) {
        // Whole tokens are the work of four warps.
        if (threadIdx.x >= WARPS * 32) return;
        attend_tokens(shared, q, scale, whole[blockIdx.z], work.whole, gridDim.x - work.superblocks,
                      blockIdx.x - work.superblocks, blockIdx.y, gridDim.y, blockIdx.z);
    } else {
        score_superblock(shared, q, sequences[blockIdx.z], constants, work, scale);
    }
}

#define SUM_THREADS 512
#define SUM_WARPS (SUM_THREADS / 32)
// Tiles of 16 directions a warp.
#define ROWS_OF_WARP ((CHANNELS / 16 + SUM_WARPS - 1) / SUM_WARPS)
#define VALUE_BLOCK (CHANNELS * BLOCK + 8)
#define SUM_BYTES (LEVEL_BYTES + LANES * VALUE_BLOCK * 2)
extern "C" __device__ u32 spectral_sums_shared = SUM_BYTES;

// Weights of a block's tokens as the B fragment [token][head], and this lane's part of their sum.
__device__ __forceinline__ float load_weights(u32 (&p)[2], const float *scores, u64 head_stride, float top) {
    const int lane = threadIdx.x % 32, head = lane / 4;
    float sum = 0.0f;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float2 s = make_float2(MINUS_INFINITY, MINUS_INFINITY);
        if (head < TILE_HEADS)
            s = *reinterpret_cast<const float2 *>(scores + head * head_stride + half * 8 + lane % 4 * 2);
        const float first = power_of_two(s.x - top), second = power_of_two(s.y - top);
        sum += first + second;
        p[half] = pack_f16(first, second);
    }
    return sum;
}

// Blocks: (pieces, tiles of values, B); 512 threads; SUM_BYTES.
extern "C" __global__ void __launch_bounds__(SUM_THREADS, 1)
    spectral_sums(const Coded *sequences, Constants constants, Work work) {
    extern __shared__ __align__(128) u8 shared[];
    const Coded &coded = sequences[blockIdx.z];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    f16 *levels = reinterpret_cast<f16 *>(shared);
    f16 *coefficients = reinterpret_cast<f16 *>(shared + LEVEL_BYTES);
    for (u32 at = threadIdx.x; at < 1024; at += SUM_THREADS) levels[at] = constants.levels[at];
    u32 cosines[4];
    load_square(cosines, constants.cosines, BLOCK, 1);
    const u32 superblocks = (coded.count + SUPERBLOCK - 1) / SUPERBLOCK, tiles = gridDim.y;
    const u32 begin_at = u32(u64(superblocks) * blockIdx.x / gridDim.x);
    const u32 end_at = u32(u64(superblocks) * (blockIdx.x + 1) / gridDim.x);
    const u32 from = coded.values.starts[blockIdx.y], count = coded.values.starts[blockIdx.y + 1] - from;
    constexpr u32 PARTS = SUM_THREADS / LANES;
    const u32 own = threadIdx.x % LANES, part = threadIdx.x / LANES;
    const u64 query_head = (u64(blockIdx.z) * tiles + blockIdx.y) * TILE_HEADS;
    const u32 *rows = coded.codes + (u64(begin_at) * coded.room + coded.key_words) * LANES;
    if (begin_at < end_at) prefetch(rows, coded.values.entries, from, from + count);
    begin();

    // The largest score of this lane's head, of all superblocks.
    float top = MINUS_INFINITY;
    if (lane / 4 < TILE_HEADS)
        for (u32 i = lane % 4; i < superblocks; i += 4)
            top = fmaxf(top, work.largest[(query_head + lane / 4) * work.superblocks + i]);
    top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
    top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
    if (top == MINUS_INFINITY) top = 0.0f;

    float sums[ROWS_OF_WARP][4] = {}, total = 0.0f;
    for (u32 superblock = begin_at; superblock < end_at; superblock++) {
        __syncthreads();
        clear(shared + LEVEL_BYTES, LANES * VALUE_BLOCK * 2, SUM_THREADS);
        __syncthreads();
        const Reader reader = {reinterpret_cast<const u8 *>(rows + own), coded.values.entries, levels};
        decode(reader, from + count * part / PARTS, from + count * (part + 1) / PARTS,
               coefficients + own * VALUE_BLOCK);
        rows += u64(coded.room) * LANES;
        if (superblock + 1 < end_at) prefetch(rows, coded.values.entries, from, from + count);
        __syncthreads();
        const float *scores = work.scores + (query_head * work.superblocks + superblock) * SUPERBLOCK;
        for (int block = 0; block < LANES; block++) {
            u32 p[2];
            total += load_weights(p, scores + block * BLOCK, u64(work.superblocks) * SUPERBLOCK, top);
            float harmonics[4] = {};
            product_f16(harmonics, cosines, p[0], p[1]);
            const u32 b0 = transpose(pack_f16(harmonics[0], harmonics[1]));
            const u32 b1 = transpose(pack_f16(harmonics[2], harmonics[3]));
#pragma unroll
            for (int m = 0; m < ROWS_OF_WARP; m++) {
                const int rows = (m * SUM_WARPS + warp) * 16;
                if (rows >= CHANNELS) continue;
                u32 a[4];
                const int piece = (lane / 16 ^ (lane / 4 % 2)) * 8;
                const f16 *at = coefficients + block * VALUE_BLOCK + (rows + lane % 16) * BLOCK + piece;
                load_matrices(a, shared_address(at));
                product_f16(sums[m], a, b0, b1);
            }
        }
    }
    const u64 place = (u64(blockIdx.z) * tiles + blockIdx.y) * gridDim.x + blockIdx.x;
#pragma unroll
    for (int m = 0; m < ROWS_OF_WARP; m++) {
        const int rows = (m * SUM_WARPS + warp) * 16;
        if (rows >= CHANNELS) continue;
#pragma unroll
        for (int i = 0; i < 4; i++)
            work.sums[(place * CHANNELS + rows + lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[m][i];
    }
    total += __shfl_xor_sync(0xffffffffu, total, 1);
    total += __shfl_xor_sync(0xffffffffu, total, 2);
    if (warp == 0 && lane % 4 == 0) work.totals[place * 8 + lane / 4] = total;
}

// out [B][H][D]. Blocks: (H, B), of D threads.
extern "C" __global__ void __launch_bounds__(HEAD_DIM, 2)
    spectral_finish(const Coded *sequences, Work work, u32 pieces, u32 whole_pieces, float *out) {
    __shared__ float rows[CHANNELS], tops[HEAD_DIM / 32], whole_factors[HEAD_DIM];
    const Coded &coded = sequences[blockIdx.y];
    const u32 head = blockIdx.x / GROUP, tile = head / VALUE_HEADS, own = blockIdx.x % TILE_HEADS;
    const u64 row = u64(blockIdx.y) * gridDim.x + blockIdx.x;
    const u64 place = (u64(blockIdx.y) * (gridDim.x / TILE_HEADS) + tile) * pieces;
    const int at = threadIdx.x;
    begin();
    const u32 superblocks = (coded.count + SUPERBLOCK - 1) / SUPERBLOCK;
    float top = MINUS_INFINITY, sum = 0.0f;
    for (u32 i = at; i < superblocks; i += HEAD_DIM) top = fmaxf(top, work.largest[row * work.superblocks + i]);
    top = warp_max(top);
    if (at % 32 == 0) tops[at / 32] = top;
    for (int r = at; r < CHANNELS; r += HEAD_DIM) {
        float total = 0.0f;
#pragma unroll 8
        for (u32 i = 0; i < pieces; i++) total += work.sums[((place + i) * CHANNELS + r) * 8 + own];
        rows[r] = total;
    }
    for (u32 i = 0; i < pieces; i++) sum += work.totals[(place + i) * 8 + own];
    __syncthreads();
    for (int i = 0; i < HEAD_DIM / 32; i++) top = fmaxf(top, tops[i]);
    float value = sum * coded.value_means[head * HEAD_DIM + at];
    const float *back = coded.value_back + u64(head) * CHANNELS * HEAD_DIM + at;
#pragma unroll 16
    for (int r = 0; r < CHANNELS; r++) value += rows[r] * back[r * HEAD_DIM];
    const float *maxima = work.whole.max + row * whole_pieces;
    const float whole_sum = merge_factors(whole_factors, maxima, work.whole.sum + row * whole_pieces, whole_pieces);
    float whole_top = MINUS_INFINITY, whole_value = 0.0f;
    for (u32 i = 0; i < whole_pieces; i++) {
        whole_top = fmaxf(whole_top, maxima[i]);
        whole_value += whole_factors[i] * work.whole.out[(row * whole_pieces + i) * HEAD_DIM + at];
    }
    const float all = fmaxf(top, whole_top), first = rescale(top, all), second = rescale(whole_top, all);
    const float total = first * sum + second * whole_sum;
    out[row * HEAD_DIM + at] = total > 0.0f ? (first * value + second * whole_value) / total : 0.0f;
}
