// The last launch of spectral.cu, in which it is included: from sums of directions to dims of the outputs.
#pragma once

#define FINISH_DIMS 32
#define THREADS (FINISH_WARPS * 32)

// The largest score of a query head's coded tokens, and the sum of their weights relative to it. All threads together.
__device__ __forceinline__ float2 merge_halves(const float2 *from, u32 count) {
    __shared__ float maxima[FINISH_WARPS], sums[FINISH_WARPS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float top = MINUS_INFINITY, sum = 0.0f;
    for (u32 i = threadIdx.x; i < count; i += THREADS) {
        const float2 half = from[i];
        const float next = fmaxf(top, half.x);
        sum = sum * rescale(top, next) + half.y * rescale(half.x, next);
        top = next;
    }
    const float largest = warp_max(top);
    sum = warp_sum(sum * rescale(top, largest));
    if (lane == 0) {
        maxima[warp] = largest;
        sums[warp] = sum;
    }
    __syncthreads();
    float2 out = make_float2(MINUS_INFINITY, 0.0f);
#pragma unroll
    for (int i = 0; i < FINISH_WARPS; i++) out.x = fmaxf(out.x, maxima[i]);
#pragma unroll
    for (int i = 0; i < FINISH_WARPS; i++) out.y += sums[i] * rescale(maxima[i], out.x);
    return out;
}

// Pieces whose sums are asked for at a time.
#define AT_A_TIME 16

// out [B][H][D]. Blocks: (H, D / 32, B); THREADS threads; at most MOST_PIECES pieces, and 32 of whole tokens.
#define MOST_PIECES 1024
extern "C" __global__ void __launch_bounds__(THREADS, 3)
    spectral_finish(const Coded *sequences, Work work, u32 pieces, u32 whole_pieces, float *out) {
    __shared__ float rows[CHANNELS], factors[MOST_PIECES], partial[FINISH_WARPS][FINISH_DIMS];
    const Coded &coded = sequences[blockIdx.z];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 head = blockIdx.x / GROUP, column = blockIdx.x % TILE_HEADS, dim = blockIdx.y * FINISH_DIMS + lane;
    const u32 kv_heads = gridDim.x / GROUP, part = head / VALUE_HEADS * VALUE_HEADS;
    const u64 row = u64(blockIdx.z) * gridDim.x + blockIdx.x, place = (u64(blockIdx.z) * kv_heads + part) * pieces;
    const float *back = coded.value_back + u64(head) * CHANNELS * HEAD_DIM + dim;
    if (lane == 0)
        for (int r = warp; r < CHANNELS; r += FINISH_WARPS) prefetch_line(back + r * HEAD_DIM);
    const float mean = coded.value_means[head * HEAD_DIM + dim];
    const u32 superblocks = (coded.count + SUPERBLOCK - 1) / SUPERBLOCK;
    begin();
    // The first sums, before anything is waited for.
    const float *sums = work.sums + ((place + threadIdx.x % CHANNELS / HEAD_DIM * pieces) * 8 + column) * HEAD_DIM +
                        threadIdx.x % HEAD_DIM;
    float ahead[AT_A_TIME];
#pragma unroll
    for (u32 j = 0; j < AT_A_TIME; j++) ahead[j] = sums[min(j, pieces - 1) * 8 * HEAD_DIM];
    // Whole tokens: a piece a lane, its outputs a piece a warp.
    const u64 states = row * whole_pieces;
    const bool there = u32(lane) < whole_pieces;
    const float top = there ? work.whole.max[states + lane] : MINUS_INFINITY;
    const float sum = there ? work.whole.sum[states + lane] : 0.0f;
    const float2 own = merge_halves(work.halves + row * work.superblocks * 2, 2 * superblocks);
    const float all = fmaxf(own.x, warp_max(top)), factor = rescale(top, all), coded_factor = rescale(own.x, all);
    float value = warp == 0 ? coded_factor * own.y * mean : 0.0f;
    for (u32 i = warp; i < whole_pieces; i += FINISH_WARPS)
        value += __shfl_sync(0xffffffffu, factor, i) * work.whole.out[(states + i) * HEAD_DIM + dim];
    for (u32 i = threadIdx.x; i < pieces; i += THREADS)
        factors[i] = rescale(work.largest[(place + i) * 8 + column], all);
    __syncthreads();
    for (int r = threadIdx.x; r < CHANNELS; r += THREADS) {
        const float *sums = work.sums + ((place + r / HEAD_DIM * pieces) * 8 + column) * HEAD_DIM + r % HEAD_DIM;
        float total = 0.0f;
        if (r == threadIdx.x) {
#pragma unroll
            for (u32 j = 0; j < AT_A_TIME; j++) total += j < pieces ? factors[j] * ahead[j] : 0.0f;
        }
        for (u32 i = r == threadIdx.x ? AT_A_TIME : 0; i < pieces; i += AT_A_TIME)
#pragma unroll
            for (u32 j = 0; j < AT_A_TIME; j++) {
                const u32 piece = min(i + j, pieces - 1);
                total += (i + j < pieces ? factors[piece] : 0.0f) * sums[piece * 8 * HEAD_DIM];
            }
        rows[r] = total;
    }
    __syncthreads();
#pragma unroll 16
    for (int r = warp; r < CHANNELS; r += FINISH_WARPS) value += rows[r] * back[r * HEAD_DIM];
    partial[warp][lane] = value;
    const float total = warp_sum(factor * sum) + coded_factor * own.y;
    __syncthreads();
    if (warp > 0) return;
    value = 0.0f;
#pragma unroll
    for (int i = 0; i < FINISH_WARPS; i++) value += partial[i][lane];
    out[row * HEAD_DIM + dim] = total > 0.0f ? value / total : 0.0f;
}
