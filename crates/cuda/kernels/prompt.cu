// Causal attention of a prompt's queries over its own keys and what came before them.
//
// Shapes: q [T][H][D] in bf16, keys and values [G][capacity][D] in bf16, out [T][H][D] in bf16. Query t sees the keys
// before `first` + t + 1.
//
// A block has 128 queries of one head, 32 a warp, and takes the keys 32 at a time, the next ones on their way. Scores
// never leave registers: S = Q K^T, softmax as it goes along, O += P V, with P as the A fragments that S's C fragments
// are. 32 queries a warp, so that a fragment of keys or values that is read from shared memory serves two products.
#include "device.cuh"

// Defined for each program: HEAD_DIM (a multiple of 32), GROUP.
#define ROWS 128
#define KEYS 32
#define ROW_BYTES (HEAD_DIM * 2 + 16)
#define QUERY_BYTES (ROWS * ROW_BYTES)
#define KEY_BYTES (KEYS * ROW_BYTES)
#define PROMPT_SHARED_BYTES (QUERY_BYTES + 4 * KEY_BYTES)
#define THREADS 128

// Bytes of shared memory, read by the host.
extern "C" __device__ u32 attend_prompt_shared = PROMPT_SHARED_BYTES;

// Copies `count` rows, those from `there` on as zeros.
__device__ __forceinline__ void copy_rows(u32 to, const bf16 *from, u64 stride, int count, int there) {
    constexpr int PIECES = HEAD_DIM / 8;
#pragma unroll
    for (int at = threadIdx.x; at < count * PIECES; at += THREADS) {
        const int row = at / PIECES, piece = at % PIECES;
        copy_16(to + row * ROW_BYTES + piece * 16, from + u64(row < there ? row : 0) * stride + piece * 8, row < there);
    }
}

// Adds one block of keys to the running state of a warp's two times 16 queries.
__device__ __forceinline__ void attend_keys(float (&out)[2][HEAD_DIM / 8][4], float (&max)[2][2], float (&sum)[2][2],
                                            u32 queries, u32 keys, u32 values, float scale, int last, bool masked) {
    const int lane = threadIdx.x % 32;
    const u32 own = queries + (lane % 16) * ROW_BYTES + (lane / 16) * 16;
    // B fragments of 16 keys and 16 dims: keys 0-7 and dims 0-7, dims 8-15, keys 8-15 likewise.
    const u32 rows = keys + (lane % 8 + lane / 16 * 8) * ROW_BYTES + (lane / 8 % 2) * 16;
    float s[2][KEYS / 8][4] = {};
#pragma unroll
    for (int k = 0; k < HEAD_DIM / 16; k++) {
        u32 a[2][4];
        load_matrices(a[0], own + k * 32);
        load_matrices(a[1], own + 16 * ROW_BYTES + k * 32);
#pragma unroll
        for (int n = 0; n < KEYS / 16; n++) {
            u32 b[4];
            load_matrices(b, rows + n * 16 * ROW_BYTES + k * 32);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                product_bf16(s[m][2 * n], a[m], b[0], b[1]);
                product_bf16(s[m][2 * n + 1], a[m], b[2], b[3]);
            }
        }
    }
#pragma unroll
    for (int m = 0; m < 2; m++) {
        if (masked) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    if (n * 8 + lane % 4 * 2 + i % 2 > last + m * 16 + lane / 4 + i / 2 * 8) s[m][n][i] = MINUS_INFINITY;
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float top = max[m][half];
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
                top = fmaxf(top, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
            // Every query sees the very first key, so this is a number.
            const float shift = top * scale;
            const float factor = power_of_two(max[m][half] * scale - shift);
            max[m][half] = top;
            float total = 0.0f;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 2 * half; i < 2 * half + 2; i++) {
                    s[m][n][i] = power_of_two(s[m][n][i] * scale - shift);
                    total += s[m][n][i];
                }
            sum[m][half] = sum[m][half] * factor + total;
#pragma unroll
            for (int n = 0; n < HEAD_DIM / 8; n++) {
                out[m][n][2 * half] *= factor;
                out[m][n][2 * half + 1] *= factor;
            }
        }
    }
    // B fragments of 16 keys and 16 dims, transposed: keys 0-7 and dims 0-7, keys 8-15, dims 8-15 likewise.
    const u32 columns = values + (lane % 16) * ROW_BYTES + lane / 16 * 16;
#pragma unroll
    for (int k = 0; k < KEYS / 16; k++) {
        u32 a[2][4];
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[m][i] = pack_bf16(s[m][2 * k + i / 2][i % 2 * 2], s[m][2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int n = 0; n < HEAD_DIM / 16; n++) {
            u32 b[4];
            load_matrices_transposed(b, columns + k * 16 * ROW_BYTES + n * 32);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                product_bf16(out[m][2 * n], a[m], b[0], b[1]);
                product_bf16(out[m][2 * n + 1], a[m], b[2], b[3]);
            }
        }
    }
}

// Blocks: (ceil(T / 128), H); 128 threads; PROMPT_SHARED_BYTES.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
    attend_prompt(const bf16 *q, const bf16 *keys, const bf16 *values, bf16 *out, u32 count, u32 first, u32 capacity,
                  float scale) {
    extern __shared__ __align__(128) u8 shared[];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 heads = gridDim.y, head = blockIdx.y;
    // The blocks with most to do begin first.
    const u32 row = (gridDim.x - 1 - blockIdx.x) * ROWS;
    const u64 stride = u64(heads) * HEAD_DIM;
    const bf16 *own_keys = keys + u64(head / GROUP) * capacity * HEAD_DIM;
    const bf16 *own_values = values + u64(head / GROUP) * capacity * HEAD_DIM;
    const u32 queries = shared_address(shared), stages = queries + QUERY_BYTES;
    const int rows = int(min(u32(ROWS), count - row));
    const int seen = int(first + row) + rows;
    const int blocks = (seen + KEYS - 1) / KEYS;

    copy_rows(queries, q + u64(row) * stride + u64(head) * HEAD_DIM, stride, ROWS, rows);
    copy_rows(stages, own_keys, HEAD_DIM, KEYS, seen);
    end_copies();
    copy_rows(stages + KEY_BYTES, own_values, HEAD_DIM, KEYS, seen);
    end_copies();
    float o[2][HEAD_DIM / 8][4] = {}, max[2][2], sum[2][2] = {};
    max[0][0] = max[0][1] = max[1][0] = max[1][1] = MINUS_INFINITY;
    for (int block = 0; block < blocks; block++) {
        const u32 stage = stages + block % 2 * 2 * KEY_BYTES, other = stages + (block + 1) % 2 * 2 * KEY_BYTES;
        wait_copies<0>();
        __syncthreads();
        if (block + 1 < blocks) {
            const int at = (block + 1) * KEYS;
            copy_rows(other, own_keys + u64(at) * HEAD_DIM, HEAD_DIM, KEYS, seen - at);
            copy_rows(other + KEY_BYTES, own_values + u64(at) * HEAD_DIM, HEAD_DIM, KEYS, seen - at);
            end_copies();
        }
        // The last key that this warp's first query sees, from the block's first one on.
        const int last = int(first + row) + warp * 32 - block * KEYS;
        attend_keys(o, max, sum, queries + warp * 32 * ROW_BYTES, stage, stage + KEY_BYTES, scale, last,
                    last < KEYS - 1);
    }
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float total = sum[m][half];
            total += __shfl_xor_sync(0xffffffffu, total, 1);
            total += __shfl_xor_sync(0xffffffffu, total, 2);
            const float factor = total > 0.0f ? 1.0f / total : 0.0f;
            const int at = warp * 32 + m * 16 + lane / 4 + half * 8;
            if (at >= rows) continue;
            bf16 *to = out + u64(row + at) * stride + u64(head) * HEAD_DIM + lane % 4 * 2;
#pragma unroll
            for (int n = 0; n < HEAD_DIM / 8; n++)
                *reinterpret_cast<u32 *>(to + n * 8) =
                    pack_bf16(o[m][n][2 * half] * factor, o[m][n][2 * half + 1] * factor);
        }
}
