// The last launch of spectral.cu, in which it is included: from sums of directions to dims of the outputs.
#pragma once

#define FINISH_DIMS 32
#define FINISH_WARPS (THREADS / 32)

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

// out [B][H][D]. Blocks: (H, D / 32, B); THREADS threads; at most 32 pieces of whole tokens.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
    spectral_finish(const Coded *sequences, Work work, u32 pieces, u32 whole_pieces, float *out) {
    __shared__ float rows[CHANNELS], partial[FINISH_WARPS][FINISH_DIMS];
    const Coded &coded = sequences[blockIdx.z];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 head = blockIdx.x / GROUP, column = blockIdx.x % TILE_HEADS, dim = blockIdx.y * FINISH_DIMS + lane;
    const u32 kv_heads = gridDim.x / GROUP, part = head / VALUE_HEADS * VALUE_HEADS;
    const u64 row = u64(blockIdx.z) * gridDim.x + blockIdx.x;
    const float *back = coded.value_back + u64(head) * CHANNELS * HEAD_DIM + dim;
    if (lane == 0)
        for (int r = warp; r < CHANNELS; r += FINISH_WARPS) prefetch_line(back + r * HEAD_DIM);
    const float mean = coded.value_means[head * HEAD_DIM + dim];
    begin();
    const u32 superblocks = (coded.count + SUPERBLOCK - 1) / SUPERBLOCK;
    const float2 own = merge_halves(work.halves + row * work.superblocks * 2, 2 * superblocks);
    for (int r = threadIdx.x; r < CHANNELS; r += THREADS) {
        const u64 place = (u64(blockIdx.z) * kv_heads + part + r / HEAD_DIM) * pieces;
        const float *sums = work.sums + place * 8 * HEAD_DIM + column * HEAD_DIM + r % HEAD_DIM;
        const float *largest = work.largest + place * 8 + column;
        float total = 0.0f;
#pragma unroll 8
        for (u32 i = 0; i < pieces; i++) total += sums[i * 8 * HEAD_DIM] * rescale(largest[i * 8], own.x);
        rows[r] = total;
    }
    __syncthreads();
    float value = 0.0f;
#pragma unroll 16
    for (int r = warp; r < CHANNELS; r += FINISH_WARPS) value += rows[r] * back[r * HEAD_DIM];
    partial[warp][lane] = value;
    __syncthreads();
    if (warp > 0) return;
    value = own.y * mean;
#pragma unroll
    for (int i = 0; i < FINISH_WARPS; i++) value += partial[i][lane];
    const u64 states = row * whole_pieces;
    const bool there = u32(lane) < whole_pieces;
    const float top = there ? work.whole.max[states + lane] : MINUS_INFINITY;
    const float all = fmaxf(own.x, warp_max(top)), factor = rescale(top, all), coded_factor = rescale(own.x, all);
    const float total = warp_sum(there ? factor * work.whole.sum[states + lane] : 0.0f) + coded_factor * own.y;
    value *= coded_factor;
    for (u32 i = 0; i < whole_pieces; i++)
        value += __shfl_sync(0xffffffffu, factor, i) * work.whole.out[(states + i) * HEAD_DIM + dim];
    out[row * HEAD_DIM + dim] = total > 0.0f ? value / total : 0.0f;
}
