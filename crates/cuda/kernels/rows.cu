// What a forward pass does between its products, row by row. The residual stream is in f32, what goes into a product in
// bf16. Each of these reads and writes its rows once: memory binds where there are many, a launch where there are few.
#include "device.cuh"

#define THREADS 256

__device__ __forceinline__ float block_sum(float x) {
    __shared__ float partial[THREADS / 32];
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < THREADS / 32; i++) sum += partial[i];
    return sum;
}

// to[n][width] = table[tokens[n]]. A token that there is none of becomes zeros. Blocks: n; 256 threads; width even.
extern "C" __global__ void __launch_bounds__(THREADS)
    embed_rows(const bf16 *table, const u32 *tokens, float *to, u32 width, u32 vocabulary) {
    begin();
    const u32 token = tokens[blockIdx.x];
    const u32 *from = reinterpret_cast<const u32 *>(table + u64(token) * width);
    float2 *row = reinterpret_cast<float2 *>(to + u64(blockIdx.x) * width);
    for (u32 at = threadIdx.x; at < width / 2; at += THREADS) {
        const u32 pair = token < vocabulary ? from[at] : 0;
        row[at] = make_float2(low_float(pair), high_float(pair));
    }
}

// to[n][width] = RMS norm of from[n][width], times weight. Blocks: n; 256 threads; width even.
extern "C" __global__ void __launch_bounds__(THREADS)
    norm_rows(const float *from, const float *weight, bf16 *to, u32 width, float eps) {
    begin();
    const float2 *row = reinterpret_cast<const float2 *>(from + u64(blockIdx.x) * width);
    const float2 *factors = reinterpret_cast<const float2 *>(weight);
    u32 *out = reinterpret_cast<u32 *>(to + u64(blockIdx.x) * width);
    float squares = 0.0f;
    for (u32 at = threadIdx.x; at < width / 2; at += THREADS) {
        const float2 x = row[at];
        squares += x.x * x.x + x.y * x.y;
    }
    const float scale = rsqrtf(block_sum(squares) / float(width) + eps);
    for (u32 at = threadIdx.x; at < width / 2; at += THREADS) {
        const float2 x = row[at], factor = factors[at];
        out[at] = pack_bf16(x.x * scale * factor.x, x.y * scale * factor.y);
    }
}

__device__ __forceinline__ float gated(float gate, float up) { return gate / (1.0f + __expf(-gate)) * up; }

// to[n][hidden] = silu(gate) * up, of rows that hold gate and up after one another. Blocks: (any, n); 256 threads;
// hidden even.
extern "C" __global__ void __launch_bounds__(THREADS) gate_rows(const bf16 *from, bf16 *to, u32 hidden) {
    begin();
    const u32 *gate = reinterpret_cast<const u32 *>(from + u64(blockIdx.y) * 2 * hidden), *up = gate + hidden / 2;
    u32 *out = reinterpret_cast<u32 *>(to + u64(blockIdx.y) * hidden);
    for (u32 at = blockIdx.x * THREADS + threadIdx.x; at < hidden / 2; at += gridDim.x * THREADS) {
        const u32 g = gate[at], u = up[at];
        out[at] = pack_bf16(gated(low_float(g), low_float(u)), gated(high_float(g), high_float(u)));
    }
}

// to = from in bf16. Blocks: any; 256 threads; count even.
extern "C" __global__ void __launch_bounds__(THREADS) narrow_rows(const float *from, bf16 *to, u64 count) {
    begin();
    const float2 *pairs = reinterpret_cast<const float2 *>(from);
    u32 *out = reinterpret_cast<u32 *>(to);
    for (u64 at = u64(blockIdx.x) * THREADS + threadIdx.x; at < count / 2; at += u64(gridDim.x) * THREADS)
        out[at] = pack_bf16(pairs[at].x, pairs[at].y);
}

// The first of the largest numbers of each row. Blocks: n; 256 threads.
extern "C" __global__ void __launch_bounds__(THREADS) largest_of_rows(const float *from, u32 *to, u32 count) {
    __shared__ float maxima[THREADS];
    __shared__ u32 places[THREADS];
    begin();
    const float *row = from + u64(blockIdx.x) * count;
    float top = MINUS_INFINITY;
    u32 place = 0;
#pragma unroll 8
    for (u32 at = threadIdx.x; at < count; at += THREADS) {
        const float x = row[at];
        if (x > top) {
            top = x;
            place = at;
        }
    }
    maxima[threadIdx.x] = top;
    places[threadIdx.x] = place;
    __syncthreads();
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            const float other = maxima[threadIdx.x + half];
            const u32 other_place = places[threadIdx.x + half];
            const float own = maxima[threadIdx.x];
            if (other > own || (other == own && other_place < places[threadIdx.x])) {
                maxima[threadIdx.x] = other;
                places[threadIdx.x] = other_place;
            }
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) to[blockIdx.x] = places[0];
}
