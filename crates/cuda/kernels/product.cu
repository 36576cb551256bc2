// A product as plainly as it can be: y [n][rows] = x [n][cols] times w [rows][cols], transposed; x and w in bf16, sums in
// f32. The oracle of the library's products; a forward pass does not use it.
#include "device.cuh"

#define THREADS 256

// A warp makes one number. Blocks: (ceil(rows / 8), n); 256 threads; cols even.
extern "C" __global__ void __launch_bounds__(THREADS)
    plain_product(const bf16 *w, const bf16 *x, float *y, u32 rows, u32 cols, u32 added) {
    const u32 row = blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
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
