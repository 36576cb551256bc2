// Products y [n][rows] = x [n][cols] times w [rows][cols], transposed; x and w in bf16, sums in f32.
//
//   vector_product  one row of inputs, as decoding one sequence has: memory binds, w read once. Its first weights are on
//                   their way while the kernel before it ends
//   plain_product   any number of rows, as plainly as can be: the oracle; a forward pass does not use it
#include "device.cuh"

#define THREADS 256
#define ROWS (THREADS / 32)
// Pieces of 8 weights of a lane that are on their way.
#define AHEAD 4

// A warp makes one number. Blocks: (ceil(rows / 8), n); 256 threads; cols even.
extern "C" __global__ void __launch_bounds__(THREADS)
    plain_product(const bf16 *w, const bf16 *x, float *y, u32 rows, u32 cols, u32 added) {
    const u32 row = blockIdx.x * ROWS + threadIdx.x / 32;
    if (row >= rows) return;
    const u32 *left = reinterpret_cast<const u32 *>(w + u64(row) * cols);
    const u32 *right = reinterpret_cast<const u32 *>(x + u64(blockIdx.y) * cols);
    float sum = 0.0f;
    for (u32 at = threadIdx.x % 32; at < cols / 2; at += 32)
        sum += low_float(left[at]) * low_float(right[at]) + high_float(left[at]) * high_float(right[at]);
    sum = warp_sum(sum);
    float *to = y + u64(blockIdx.y) * rows + row;
    if (threadIdx.x % 32 == 0) *to = added ? *to + sum : sum;
}

__device__ __forceinline__ float dot_pairs(u32 a, u32 b) {
    return low_float(a) * low_float(b) + high_float(a) * high_float(b);
}

// The next pieces of a row, zeros beyond its end.
__device__ __forceinline__ void load_ahead(uint4 (&to)[AHEAD], const uint4 *row, u32 first, u32 pieces) {
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
        const u32 at = first + threadIdx.x % 32 + 32 * i;
        to[i] = at < pieces ? __ldcs(row + at) : make_uint4(0, 0, 0, 0);
    }
}

// What becomes of a product.
#define WIDE 0
#define NARROW 1
#define ADDED 2

// A warp makes one number; y is of f32, or of bf16 if `how` is NARROW. Blocks: ceil(rows / 8); 256 threads; cols a
// multiple of 8.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
    vector_product(const bf16 *w, const bf16 *x, void *y, u32 rows, u32 cols, u32 how) {
    const u32 row = blockIdx.x * ROWS + threadIdx.x / 32, pieces = row < rows ? cols / 8 : 0;
    const uint4 *left = reinterpret_cast<const uint4 *>(w + u64(row) * cols);
    const uint4 *right = reinterpret_cast<const uint4 *>(x);
    uint4 ahead[AHEAD];
    load_ahead(ahead, left, 0, pieces);
    begin();
    float sum = 0.0f;
    for (u32 first = 0; first < pieces; first += 32 * AHEAD) {
        uint4 now[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++) now[i] = ahead[i];
        load_ahead(ahead, left, first + 32 * AHEAD, pieces);
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            const u32 at = first + threadIdx.x % 32 + 32 * i;
            if (at >= pieces) break;
            const uint4 other = right[at];
            sum += dot_pairs(now[i].x, other.x) + dot_pairs(now[i].y, other.y) + dot_pairs(now[i].z, other.z) +
                   dot_pairs(now[i].w, other.w);
        }
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 != 0 || row >= rows) return;
    float *to = reinterpret_cast<float *>(y) + row;
    if (how == NARROW) reinterpret_cast<bf16 *>(y)[row] = to_bf16(sum);
    else *to = how == ADDED ? *to + sum : sum;
}
