// Decode attention over an exact cache (flash-decoding): one query token a sequence.
// 32k tokens of 8 heads of 128 dims: 134 MB, 44.4 us; 1.4 us of products; 54.3 us seen. 128k: 178 us; 194 us seen. Memory
// binds (docs/kernels.md).
#include "tokens.cuh"

// Bytes of shared memory, read by the host.
extern "C" __device__ u32 exact_pieces_shared = TOKENS_SHARED_BYTES;

// Blocks: (pieces, G, B); 128 threads; TOKENS_SHARED_BYTES of shared memory.
extern "C" __global__ void __launch_bounds__(WARPS * 32, 2)
    exact_pieces(const float *q, const Tokens *sequences, States states, float scale) {
    extern __shared__ __align__(128) u8 shared[];
    begin();
    attend_tokens(shared, q, scale, sequences[blockIdx.z], states, gridDim.x, blockIdx.x, blockIdx.y, gridDim.y,
                  blockIdx.z);
}

// Merges the states of `pieces` pieces: out [B][H][D]. Blocks: B * H, of D threads; at most D
// pieces. Rows that saw nothing are zero.
extern "C" __global__ void __launch_bounds__(HEAD_DIM, 2) merge_pieces(States states, u32 pieces, float *out) {
    __shared__ float factors[HEAD_DIM];
    const u64 row = blockIdx.x;
    begin();
    const float sum = merge_factors(factors, states.max + row * pieces, states.sum + row * pieces, pieces);
    float value = 0.0f;
#pragma unroll 8
    for (u32 i = 0; i < pieces; i++) value += factors[i] * states.out[(row * pieces + i) * HEAD_DIM + threadIdx.x];
    out[row * HEAD_DIM + threadIdx.x] = sum > 0.0f ? value / sum : 0.0f;
}
