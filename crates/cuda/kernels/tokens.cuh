// Attention over tokens that are held whole, split over the context: one piece of one key/value head.
//
// Shapes: q [H][D] in f32, keys and values [G][capacity][D] in bf16, one state (max, sum, out [D]) a piece and query
// head. Scores are in powers of two: q . k times `scale`, the softmax's times log2(e).
//
// One block has four warps, each a pipeline of its own: 16 tokens a step, keys and values copied asynchronously
// STAGES steps ahead, no barrier inside. Tokens are the rows of both products, the heads of a group its columns:
// S = K q (16 tokens x 8 heads), then out^T += V^T P, with P turned in registers. So a group of up to 8 heads reads
// each key and value once.
#pragma once
#include "device.cuh"

// Defined for each program: HEAD_DIM (a multiple of 16), GROUP (query heads of a key/value head, at most 8).
#define WARPS 4
#define STEP 16
// A row in shared memory: 16 bytes more than it holds, so that 8 rows lie in different banks.
#define ROW_BYTES (HEAD_DIM * 2 + 16)
#define STAGE_BYTES (2 * STEP * ROW_BYTES)
// Three stages where two blocks of them fit a multiprocessor.
#define STAGES (2 * (WARPS * 3 * STAGE_BYTES + 1024) <= MOST_SHARED + 1024 ? 3 : 2)
#define TOKENS_SHARED_BYTES (WARPS * STAGES * STAGE_BYTES)
#define MTILES (HEAD_DIM / 16)

// Tokens of one sequence held whole, of all key/value heads.
struct Tokens {
    const bf16 *keys;
    const bf16 *values;
    // Tokens there are, and that there is room for.
    u32 count;
    u32 capacity;
};

// Where the states of the pieces go: [B][H][pieces], `out` with D numbers each.
struct States {
    float *max;
    float *sum;
    float *out;
};

struct Piece {
    u32 first;
    u32 end;
};

// The tokens of piece `number`, whole steps of all warps as far as they go.
__device__ __forceinline__ Piece piece_of(u32 tokens, u32 pieces, u32 number) {
    const u32 unit = WARPS * STEP;
    const u32 units = (tokens + unit - 1) / unit;
    const u32 first = u32(u64(units) * number / pieces) * unit;
    const u32 end = u32(u64(units) * (number + 1) / pieces) * unit;
    return {min(first, tokens), min(end, tokens)};
}

// Copies the keys and values of a step into a stage of this warp.
__device__ __forceinline__ void copy_step(u32 stage, const Tokens &tokens, u64 head_row, u32 first, u32 end) {
    constexpr int PIECES = HEAD_DIM / 8;
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < STEP * PIECES / 32; i++) {
        const int at = lane + 32 * i, row = at / PIECES, piece = at % PIECES;
        const bool there = first + row < end;
        const u64 from = (head_row + (there ? first + row : 0)) * HEAD_DIM + piece * 8;
        const u32 to = stage + row * ROW_BYTES + piece * 16;
        copy_16(to, tokens.keys + from, there);
        copy_16(to + STEP * ROW_BYTES, tokens.values + from, there);
    }
    end_copies();
}

// A warp's state of the heads 2 (lane % 4) and the next.
struct WarpState {
    float max[2];
    float sum[2];
    // [16 dims][8 heads] as C fragments.
    float out[MTILES][4];
};

// Adds 16 tokens, `left` of them there, that lie in a stage.
__device__ __forceinline__ void attend_step(WarpState &state, const u32 (&q)[MTILES][2], float scale, u32 stage,
                                            int left) {
    const int lane = threadIdx.x % 32;
    // Row lane % 16, columns 8 (lane / 16)..: the four matrices of an A fragment.
    const u32 rows = stage + (lane % 16) * ROW_BYTES + (lane / 16) * 16;
    float s[2][4] = {};
#pragma unroll
    for (int k = 0; k < MTILES; k++) {
        u32 a[4];
        load_matrices(a, rows + k * 32);
        product_bf16(s[k % 2], a, q[k][0], q[k][1]);
    }
    float p[4];
#pragma unroll
    for (int i = 0; i < 4; i++) p[i] = (lane / 4 + (i / 2) * 8 < left) ? (s[0][i] + s[1][i]) * scale : MINUS_INFINITY;
    float factor[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float top = fmaxf(p[h], p[h + 2]);
#pragma unroll
        for (int step = 4; step < 32; step *= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, step));
        top = fmaxf(top, state.max[h]);
        factor[h] = rescale(state.max[h], top);
        state.max[h] = top;
        p[h] = power_of_two(p[h] - top);
        p[h + 2] = power_of_two(p[h + 2] - top);
        state.sum[h] = state.sum[h] * factor[h] + p[h] + p[h + 2];
    }
    if (__any_sync(0xffffffffu, factor[0] != 1.0f || factor[1] != 1.0f)) {
#pragma unroll
        for (int m = 0; m < MTILES; m++)
#pragma unroll
            for (int i = 0; i < 4; i++) state.out[m][i] *= factor[i % 2];
    }
    const u32 b0 = transpose(pack_bf16(p[0], p[1])), b1 = transpose(pack_bf16(p[2], p[3]));
    // Matrices: tokens 0-7 and dims 0-7; the same and dims 8-15; tokens 8-15 likewise.
    const u32 columns = stage + STEP * ROW_BYTES + (lane % 8 + (lane / 16) * 8) * ROW_BYTES + (lane / 8 % 2) * 16;
#pragma unroll
    for (int m = 0; m < MTILES; m++) {
        u32 a[4];
        load_matrices_transposed(a, columns + m * 32);
        product_bf16(state.out[m], a, b0, b1);
    }
}

// The B fragments of q [GROUP][HEAD_DIM]; heads beyond the group are zero.
__device__ __forceinline__ void load_query(u32 (&q)[MTILES][2], const float *from) {
    const int lane = threadIdx.x % 32, head = lane / 4;
#pragma unroll
    for (int k = 0; k < MTILES; k++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int dim = k * 16 + half * 8 + (lane % 4) * 2;
            const float *at = from + head * HEAD_DIM + dim;
            q[k][half] = head < GROUP ? pack_bf16(at[0], at[1]) : 0;
        }
}

// Merges the states of the block's warps and writes them; `shared` is no longer used for anything else.
__device__ __forceinline__ void write_state(const WarpState &state, float *shared, const States &to, u64 row,
                                            u32 stride) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float *maxima = shared, *sums = shared + WARPS * 8, *outs = shared + 2 * WARPS * 8;
    float sum[2] = {state.sum[0], state.sum[1]};
#pragma unroll
    for (int h = 0; h < 2; h++) {
#pragma unroll
        for (int step = 4; step < 32; step *= 2) sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], step);
        if (lane < 4) {
            maxima[warp * 8 + lane * 2 + h] = state.max[h];
            sums[warp * 8 + lane * 2 + h] = sum[h];
        }
    }
#pragma unroll
    for (int m = 0; m < MTILES; m++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int dim = m * 16 + lane / 4 + (i / 2) * 8, head = (lane % 4) * 2 + i % 2;
            outs[(warp * 8 + head) * HEAD_DIM + dim] = state.out[m][i];
        }
    __syncthreads();
    for (int at = threadIdx.x; at < GROUP * HEAD_DIM; at += WARPS * 32) {
        const int head = at / HEAD_DIM, dim = at % HEAD_DIM;
        float top = MINUS_INFINITY, total = 0.0f, out = 0.0f;
        for (int w = 0; w < WARPS; w++) top = fmaxf(top, maxima[w * 8 + head]);
        for (int w = 0; w < WARPS; w++) {
            const float factor = rescale(maxima[w * 8 + head], top);
            total += factor * sums[w * 8 + head];
            out += factor * outs[(w * 8 + head) * HEAD_DIM + dim];
        }
        const u64 where = row + u64(head) * stride;
        to.out[where * HEAD_DIM + dim] = out;
        if (dim == 0) {
            to.max[where] = top;
            to.sum[where] = total;
        }
    }
}

// Attends piece `number` of `pieces` of key/value head `head` of `heads` of sequence `sequence`.
__device__ __forceinline__ void attend_tokens(u8 *shared, const float *q, float scale, const Tokens &tokens,
                                              const States &to, u32 pieces, u32 number, u32 head, u32 heads,
                                              u32 sequence) {
    const int warp = threadIdx.x / 32;
    const Piece piece = piece_of(tokens.count, pieces, number);
    const u64 head_row = u64(head) * tokens.capacity;
    const u64 query_head = (u64(sequence) * heads + head) * GROUP;
    const u32 own = shared_address(shared) + warp * STAGES * STAGE_BYTES;
    const u32 first = piece.first + warp * STEP;

    u32 query[MTILES][2];
    load_query(query, q + query_head * HEAD_DIM);
    WarpState state = {{MINUS_INFINITY, MINUS_INFINITY}, {}, {}};
#pragma unroll
    for (int ahead = 0; ahead < STAGES - 1; ahead++)
        copy_step(own + ahead * STAGE_BYTES, tokens, head_row, first + ahead * WARPS * STEP, piece.end);
    int stage = 0;
    for (u32 at = first; at < piece.end; at += WARPS * STEP) {
        wait_copies<STAGES - 2>();
        __syncwarp();
        const int next = stage == 0 ? STAGES - 1 : stage - 1;
        copy_step(own + next * STAGE_BYTES, tokens, head_row, at + (STAGES - 1) * WARPS * STEP, piece.end);
        attend_step(state, query, scale, own + stage * STAGE_BYTES, int(piece.end - at));
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }
    wait_copies<0>();
    __syncthreads();
    write_state(state, reinterpret_cast<float *>(shared), to, query_head * pieces + number, pieces);
}

// What the outputs of `pieces` states, at most one a thread, are multiplied with to be added: factors[pieces], relative
// to their largest maximum. Returns their sum. One block of HEAD_DIM threads.
__device__ __forceinline__ float merge_factors(float *factors, const float *maxima, const float *sums, u32 pieces) {
    __shared__ float partial[2][HEAD_DIM / 32];
    const bool there = threadIdx.x < pieces;
    const float own = there ? maxima[threadIdx.x] : MINUS_INFINITY, own_sum = there ? sums[threadIdx.x] : 0.0f;
    const float largest = warp_max(own);
    if (threadIdx.x % 32 == 0) partial[0][threadIdx.x / 32] = largest;
    __syncthreads();
    float top = MINUS_INFINITY;
    for (int i = 0; i < HEAD_DIM / 32; i++) top = fmaxf(top, partial[0][i]);
    const float factor = rescale(own, top);
    if (there) factors[threadIdx.x] = factor;
    const float sum = warp_sum(factor * own_sum);
    if (threadIdx.x % 32 == 0) partial[1][threadIdx.x / 32] = sum;
    __syncthreads();
    float total = 0.0f;
    for (int i = 0; i < HEAD_DIM / 32; i++) total += partial[1][i];
    return total;
}
