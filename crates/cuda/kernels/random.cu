// Random numbers, for models and caches that are only measured.
#include "device.cuh"

// A well-mixed hash (splitmix64's finaliser) of a counter.
__device__ __forceinline__ u64 mixed(u64 x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

// A number of the normal distribution (Box and Muller).
__device__ __forceinline__ float normal(u64 seed, u64 at) {
    const u64 bits = mixed(seed ^ mixed(at));
    const float first = (float(u32(bits >> 40)) + 0.5f) * (1.0f / 16777216.0f);
    const float second = float(u32(bits) >> 8) * (1.0f / 16777216.0f);
    return sqrtf(-2.0f * __logf(first)) * cospif(2.0f * second);
}

// `count` words of 32 random bits. Blocks of 256 threads, any number.
extern "C" __global__ void random_words(u32 *to, u64 count, u64 seed) {
    for (u64 at = u64(blockIdx.x) * 256 + threadIdx.x; at < count; at += u64(gridDim.x) * 256)
        to[at] = u32(mixed(seed ^ mixed(at)) >> 32);
}

// `count` numbers of the given deviation. Blocks of 256 threads, any number.
extern "C" __global__ void random_bf16(bf16 *to, u64 count, u64 seed, float deviation) {
    for (u64 at = u64(blockIdx.x) * 256 + threadIdx.x; at < count; at += u64(gridDim.x) * 256)
        to[at] = to_bf16(normal(seed, at) * deviation);
}
extern "C" __global__ void random_f32(float *to, u64 count, u64 seed, float deviation) {
    for (u64 at = u64(blockIdx.x) * 256 + threadIdx.x; at < count; at += u64(gridDim.x) * 256)
        to[at] = bf16_to_float(to_bf16(normal(seed, at) * deviation));
}
