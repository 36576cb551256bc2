// Queries, keys and values of new tokens: bias, RoPE, and to where they are kept.
//
// Shapes: qkv [n][H + 2 G][D] in f32, bias [H + 2 G][D] or none, turns [D / 2] (turns a token of each rotary pair), keys
// and values [G][capacity][D] in bf16. Pairs are in halves afterwards (i and i + D / 2), whatever they were before.
// Angles are computed in f64: at position 100,000 an f32 angle would be off by 0.004 radians.
#include "device.cuh"

// Defined for each program: HEAD_DIM, a multiple of 32.
#define PAIRS (HEAD_DIM / 2)
#define THREADS 256

// Tokens of one sequence held whole, as in tokens.cuh.
struct Tokens {
    bf16 *keys;
    bf16 *values;
    u32 count;
    u32 capacity;
};

// What is the same for all rows.
struct Rotary {
    const float *qkv;
    const float *bias;
    const double *turns;
    u32 heads;
    u32 kv_heads;
    // Whether pair i is the dims 2 i and 2 i + 1 of the projections, and not i and i + D / 2.
    u32 interleaved;
};

struct Pair {
    float first;
    float second;
};

// Pair `i` of head `head` (queries, then keys, then values) of row `row`; queries and keys are turned.
__device__ __forceinline__ Pair load_pair(const Rotary &from, u32 row, u32 head, u32 i, u32 position) {
    const u32 heads = from.heads + 2 * from.kv_heads;
    const bool turned = head < from.heads + from.kv_heads;
    const u32 first = turned && from.interleaved ? 2 * i : i, second = turned && from.interleaved ? 2 * i + 1 : i + PAIRS;
    const float *at = from.qkv + (u64(row) * heads + head) * HEAD_DIM;
    Pair x = {at[first], at[second]};
    if (from.bias) {
        x.first += from.bias[head * HEAD_DIM + first];
        x.second += from.bias[head * HEAD_DIM + second];
    }
    if (!turned) return x;
    const double turns = from.turns[i] * double(position);
    float sin, cos;
    sincospif(float(2.0 * (turns - floor(turns))), &sin, &cos);
    return {x.first * cos - x.second * sin, x.second * cos + x.first * sin};
}

__device__ __forceinline__ void keep(bf16 *rows, u32 capacity, u32 head, u32 slot, u32 i, Pair x) {
    bf16 *to = rows + (u64(head) * capacity + slot) * HEAD_DIM + i;
    to[0] = to_bf16(x.first);
    to[PAIRS] = to_bf16(x.second);
}

// Keys and values of a head that is no query's.
__device__ __forceinline__ void keep_key_or_value(const Rotary &from, const Tokens &to, u32 head, u32 slot, u32 i,
                                                  Pair x) {
    if (slot >= to.capacity) return;
    const u32 own = head - from.heads;
    if (own < from.kv_heads) keep(to.keys, to.capacity, own, slot, i, x);
    else keep(to.values, to.capacity, own - from.kv_heads, slot, i, x);
}

// Consecutive tokens of one sequence, the first at position and in slot `first`; queries [n][H][D] in bf16.
// Blocks: (ceil((H + 2 G) D / 512), n); 256 threads.
extern "C" __global__ void __launch_bounds__(THREADS)
    append_prompt(Rotary from, Tokens to, u32 first, bf16 *queries) {
    begin();
    const u32 row = blockIdx.y, at = blockIdx.x * THREADS + threadIdx.x, head = at / PAIRS, i = at % PAIRS;
    if (head >= from.heads + 2 * from.kv_heads) return;
    const Pair x = load_pair(from, row, head, i, first + row);
    if (head < from.heads) keep(queries, from.heads, row, head, i, x);
    else keep_key_or_value(from, to, head, first + row, i, x);
}

// One token of each sequence, as the last of those that its tokens count; queries [B][H][D] in f32. `lengths`: tokens of
// each sequence, this one included. Blocks: (ceil((H + 2 G) D / 512), B); 256 threads.
extern "C" __global__ void __launch_bounds__(THREADS)
    append_step(Rotary from, const Tokens *sequences, const u32 *lengths, float *queries) {
    begin();
    const u32 row = blockIdx.y, at = blockIdx.x * THREADS + threadIdx.x, head = at / PAIRS, i = at % PAIRS;
    if (head >= from.heads + 2 * from.kv_heads) return;
    const Pair x = load_pair(from, row, head, i, lengths[row] - 1);
    if (head < from.heads) {
        float *to = queries + (u64(row) * from.heads + head) * HEAD_DIM + i;
        to[0] = x.first;
        to[PAIRS] = x.second;
    } else {
        const Tokens tokens = sequences[row];
        keep_key_or_value(from, tokens, head, tokens.count - 1, i, x);
    }
}

// One token more in every sequence: of each layer's `views`, and of `lengths`. Blocks: any; 256 threads.
extern "C" __global__ void __launch_bounds__(THREADS)
    advance(Tokens *const *views, u32 layers, u32 batch, u32 *lengths) {
    begin();
    for (u32 at = blockIdx.x * THREADS + threadIdx.x; at < (layers + 1) * batch; at += gridDim.x * THREADS) {
        const u32 layer = at / batch, sequence = at % batch;
        if (layer < layers) views[layer][sequence].count++;
        else lengths[sequence]++;
    }
}

// Rows of one sequence copied to another place, of all heads. Blocks: (any, G, 2), of 256 threads.
extern "C" __global__ void __launch_bounds__(THREADS)
    copy_rows(Tokens from, u32 first, Tokens to, u32 slot, u32 count) {
    constexpr u32 PIECES = HEAD_DIM / 8;
    begin();
    const bf16 *source = blockIdx.z ? from.values : from.keys;
    bf16 *target = blockIdx.z ? to.values : to.keys;
    const uint4 *rows =
        reinterpret_cast<const uint4 *>(source + (u64(blockIdx.y) * from.capacity + first) * HEAD_DIM);
    uint4 *out = reinterpret_cast<uint4 *>(target + (u64(blockIdx.y) * to.capacity + slot) * HEAD_DIM);
    for (u64 at = u64(blockIdx.x) * THREADS + threadIdx.x; at < u64(count) * PIECES; at += u64(gridDim.x) * THREADS)
        out[at] = rows[at];
}

// Squares of queries, [n][H][D], of a group added up: sums [pieces][G][D]. Blocks: (pieces, G), of D threads.
extern "C" __global__ void __launch_bounds__(HEAD_DIM) add_energy(const bf16 *queries, u32 rows, u32 group, float *sums) {
    const u32 head = blockIdx.y, pieces = gridDim.x, heads = gridDim.y;
    const u32 first = u32(u64(rows) * blockIdx.x / pieces), end = u32(u64(rows) * (blockIdx.x + 1) / pieces);
    float sum = 0.0f;
    for (u32 h = 0; h < group; h++) {
        const bf16 *at = queries + (u64(head) * group + h) * HEAD_DIM + threadIdx.x;
#pragma unroll 8
        for (u32 row = first; row < end; row++) {
            const float q = bf16_to_float(at[u64(row) * heads * group * HEAD_DIM]);
            sum += q * q;
        }
    }
    sums[(blockIdx.x * heads + head) * HEAD_DIM + threadIdx.x] += sum;
}
