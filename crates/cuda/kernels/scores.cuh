// The first launch of spectral.cu, in which it is included: from codes of keys to transformed weights.
//
// Some warps decode a superblock and turn scores into weights, the others make the scores of the one before meanwhile.
// What passes between them, BUFFERS times: coefficients and turned queries one way, partial scores the other.
#pragma once

#define SCORE_THREADS ((SCORE_WARPS + DECODERS) * 32)
extern "C" __device__ u32 spectral_scores_threads = SCORE_THREADS;

// In shared memory: levels, and coefficients, a block's padded by 16 bytes so that lanes lie in different banks.
#define LEVEL_BYTES (LEVEL_WORDS * 4)
#define BLOCK_BYTES (BLOCK * HEAD_DIM * 2 + 16)
#define COEFFICIENT_BYTES (LANES * BLOCK_BYTES)
// Warps with one tile of keys, which share out a superblock's blocks.
#define SCORE_SHARES (SCORE_WARPS / 4)
#define BETWEEN (LANES * KEY_TILES * 4)
// A row of partial scores: the banks of eight tokens of eight heads differ.
#define SCORE_ROW (SUPERBLOCK + 4)
#define PARTIAL_BYTES (KEY_TILES * GROUP * SCORE_ROW * 4)
// Where they are. Whole tokens are attended to in the place of the last coefficients and partial scores.
#define PART_AT LEVEL_BYTES
#define BETWEEN_AT (PART_AT + PART_BYTES)
#define QUERIES_AT (BETWEEN_AT + BETWEEN * 16)
#define COEFFICIENTS_AT ((QUERIES_AT + BUFFERS * QUERY_BYTES + 127) / 128 * 128)
#define PARTIAL_AT (COEFFICIENTS_AT + BUFFERS * COEFFICIENT_BYTES)
#define WHOLE_AT (COEFFICIENTS_AT + (BUFFERS - 1) * COEFFICIENT_BYTES)
extern "C" __device__ u32 spectral_scores_shared =
    MOST(PARTIAL_AT + BUFFERS * PARTIAL_BYTES, WHOLE_AT + TOKENS_SHARED_BYTES);

// Barriers: coefficients are there; scores are there and coefficients no longer needed (two of each, in turn); of those
// that decode.
#define READY(turn) (1 + (turn) % 2)
#define SCORED(turn) (3 + (turn) % 2)
#define DECODING 5

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

// Zeros for coefficients that have no bits; with a barrier. The threads that decode.
__device__ __forceinline__ void clear(u8 *coefficients) {
#pragma unroll 4
    for (u32 at = threadIdx.x - FIRST_DECODER * 32; at < COEFFICIENT_BYTES / 16; at += DECODING_THREADS)
        reinterpret_cast<uint4 *>(coefficients)[at] = make_uint4(0, 0, 0, 0);
    barrier(DECODING, DECODING_THREADS);
}

// What is the same for all that decode.
struct Decoding {
    u8 *shared;
    const Coded &coded;
    const Constants &constants;
    const Work &work;
    float scale;
    Piece own;
    u32 query_head;

    // Weights of superblock `turn` of those that the block has.
    __device__ __forceinline__ void weigh(u32 turn) const {
        const u32 superblock = own.first + turn;
        const float *partial = reinterpret_cast<const float *>(shared + PARTIAL_AT + turn % BUFFERS * PARTIAL_BYTES);
        // The last warps have less to decode.
        for (u32 task = DECODERS - 1 - DECODER; task < 2 * GROUP; task += DECODERS) {
            const u32 half = task / GROUP, from = superblock * SUPERBLOCK + half * HALF;
            const u64 place = (u64(query_head + task % GROUP) * work.superblocks + superblock) * 2 + half;
            write_weights(partial + task % GROUP * SCORE_ROW + half * HALF, constants.forward, scale, int(coded.count - from),
                          work.weights + place / 2 * WEIGHT_WORDS + half, work.halves + place);
        }
    }

    // Waits for the scores of the superblock before `turn`, and makes weights of them.
    __device__ __forceinline__ void follow(u32 turn) const {
        barrier(SCORED(turn + 1), SCORE_THREADS);
        if (turn > 0) weigh(turn - 1);
    }
};

// The warps that decode.
__device__ __forceinline__ void decode_superblocks(const Decoding &with, const float *q) {
    const Coded &coded = with.coded;
    const u32 count = with.own.end - with.own.first, pair = (threadIdx.x - FIRST_DECODER * 32) % PAIRS_OF_HEAD;
    Part part = load_part(coded.keys, blockIdx.y, with.shared + PART_AT);
    const u32 *words = coded.codes + u64(with.own.first) * coded.stride;
    for (u32 i = 0; i < BUFFERS && i < count; i++) stage(part, words + i * coded.stride, i);
    Turning turning(with.constants.turns[pair] * (coded.first + with.own.first * SUPERBLOCK));
    barrier(DECODING, DECODING_THREADS);
    const u32 levels = levels_at(reinterpret_cast<const u32 *>(with.shared));
    for (u32 turn = 0; turn < count; turn++) {
        const u32 buffer = turn % BUFFERS;
        u8 *coefficients = with.shared + COEFFICIENTS_AT + buffer * COEFFICIENT_BYTES;
        if (BUFFERS == 1) with.follow(turn);
        if (turn < BUFFERS) clear(coefficients);
        wait_stage(part, turn);
#if __CUDA_ARCH__ < 900
        barrier(DECODING, DECODING_THREADS);
#endif
        decode<BLOCK_BYTES>(part, words, buffer, levels, shared_address(coefficients));
        if (turn == 0) {
            begin();
            turning.load(q + u64(with.query_head) * HEAD_DIM);
        }
        turning.store(reinterpret_cast<f16 *>(with.shared + QUERIES_AT + buffer * QUERY_BYTES));
        arrive(READY(turn), SCORE_THREADS);
        turning.advance(__ldg(with.constants.steps + pair));
        if (BUFFERS > 1)
            with.follow(turn);
        else
            barrier(DECODING, DECODING_THREADS);
        // All have decoded this superblock.
        if (turn + BUFFERS < count) stage(part, words + BUFFERS * coded.stride, buffer);
        words += coded.stride;
    }
    with.follow(count);
}

// The warps that make scores, of `count` superblocks.
__device__ __forceinline__ void score_superblocks(u8 *shared, const Coded &coded, const Constants &constants, u32 count) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int number = min(warp % 4, KEY_TILES - 1), first_block = warp / 4 * BLOCKS_AT_ONCE;
    const u32 there = blockIdx.y * KEY_TILES + number;
    KeyTile tile;
    load_way_back(tile, coded.key_back + u64(there) * 32 * 32);
    load_turns(tile, constants.inside, coded.key_means + there * 32, number);
    const uint4 cosines = __ldg(constants.inverse + lane);
    const u32 inverse[4] = {cosines.x, cosines.y, cosines.z, cosines.w};
    // Of those blocks that are scored together, a lane turns queries for one, and writes the scores of one.
    const uint4 *turns = reinterpret_cast<const uint4 *>(shared + BETWEEN_AT) +
                         ((first_block + lane / 4 / QUERY_COLUMNS) * KEY_TILES + number) * 4 + lane % 4;
    const int column = lane % 4 * 2 % QUERY_COLUMNS, written = lane % 4 * 2 / QUERY_COLUMNS;
    const u32 from = shared_address(shared + COEFFICIENTS_AT) + first_block * BLOCK_BYTES + number * BLOCK * KEY_ROW * 2;
    float *partial = reinterpret_cast<float *>(shared + PARTIAL_AT) + (number * GROUP + column) * SCORE_ROW +
                     (first_block + written) * BLOCK + lane / 4;
    for (u32 turn = 0; turn < count; turn++) {
        const u32 buffer = turn % BUFFERS, at = from + buffer * COEFFICIENT_BYTES;
        float *to = partial + buffer * (PARTIAL_BYTES / 4);
        barrier(READY(turn), SCORE_THREADS);
        if (warp % 4 < KEY_TILES) {
            const u32 *queries = reinterpret_cast<const u32 *>(shared + QUERIES_AT + buffer * QUERY_BYTES);
            const Turned turned = load_queries(queries, number);
#pragma unroll
            for (int i = 0; i < LANES; i += SCORE_SHARES * BLOCKS_AT_ONCE) {
                float s[BLOCKS_AT_ONCE][4] = {};
                u32 own_queries[2][2], b[BLOCKS_AT_ONCE][2][4];
#pragma unroll
                for (int n = 0; n < BLOCKS_AT_ONCE; n++) load_block(b[n], at + (i + n) * BLOCK_BYTES);
                turn_to_block(own_queries, turned, turns[i * KEY_TILES * 4]);
                score_blocks(s, tile, inverse, own_queries, b);
                write_scores(to + i * BLOCK, s, column, written);
            }
        }
        arrive(SCORED(turn), SCORE_THREADS);
    }
}

// Blocks: (pieces, G, B). The pieces share out superblocks, and the pieces of whole tokens.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS, 1)
    spectral_scores(const float *q, const Coded *sequences, const Tokens *whole, Constants constants, Work work,
                    u32 whole_pieces, float scale) {
    extern __shared__ __align__(128) u8 shared[];
    const Coded &coded = sequences[blockIdx.z];
    const Piece own = share_of((coded.count + SUPERBLOCK - 1) / SUPERBLOCK, gridDim.x, blockIdx.x);
    for (u32 at = threadIdx.x; at < LEVEL_WORDS; at += SCORE_THREADS)
        reinterpret_cast<u32 *>(shared)[at] = __ldg(constants.levels + at);
    for (u32 at = threadIdx.x; at < BETWEEN; at += SCORE_THREADS)
        reinterpret_cast<uint4 *>(shared + BETWEEN_AT)[at] = __ldg(constants.between + at);
    __syncthreads();
    if (threadIdx.x >= FIRST_DECODER * 32) {
        const u32 query_head = (blockIdx.z * gridDim.y + blockIdx.y) * GROUP;
        const Decoding with = {shared, coded, constants, work, scale, own, query_head};
        if (own.first < own.end)
            decode_superblocks(with, q);
        else
            begin();
        return;
    }
    begin();
    if (threadIdx.x < WARPS * 32)
        for (u32 piece = blockIdx.x; piece < whole_pieces; piece += gridDim.x) {
            TOKENS_BARRIER();
            attend_tokens(shared + WHOLE_AT, q, scale, whole[blockIdx.z], work.whole, whole_pieces, piece, blockIdx.y,
                          gridDim.y, blockIdx.z);
        }
    if (own.first == own.end) return;
    // The place of whole tokens is free: as if a superblock before the first had been scored.
    arrive(SCORED(1), SCORE_THREADS);
    score_superblocks(shared, coded, constants, own.end - own.first);
}
