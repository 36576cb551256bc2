// From exact keys and values to the codes of a spectral cache (crates/spectral/src/trellis).
//
//   gather_runs          runs of rows, from which tables are made on the processor
//   key_coefficients     RoPE undone, directions, cosine transform, sizes
//   value_coefficients   the same without RoPE, directions on tensor cores
//   code_paths           the trellis' search: survivors of every step, a part of a stream a thread
//   code_ends            the state in which each part ends on the best path
//   code_symbols         back along that path, into the words of a stream
// A stream is all coefficients of a block's keys, or values. It is cut into parts of 256 coefficients; each part but the
// first begins its search 64 coefficients early with all states alike: by then what it prefers no longer depends on
// that, since survivors meet after a few times the three coefficients that a state remembers. Each part says for each of its
// last states where it comes from, so the path through all parts is one path, whatever was preferred.
// 31,744 tokens of 8 heads of 128 dims, 60 million coefficients: floors 0.25 ms (coefficients are written once and read
// twice) and 0.4 ms (8 warp instructions each); 1.61 ms seen, of which code_paths 0.64, value_coefficients 0.36,
// code_symbols 0.35, key_coefficients 0.24, code_ends 0.05 (docs/kernels.md).
#include "leaving.cuh"

// Defined for each program: HEAD_DIM, a multiple of 32; VALUE_HEADS, heads whose values are transformed together.
#define BLOCK 16
#define LANES 16
#define SUPERBLOCK (BLOCK * LANES)
#define KEY_TILE 32
#define KEY_TILES (HEAD_DIM / KEY_TILE)
#define CHANNELS (VALUE_HEADS * HEAD_DIM)
#define NO_COEFFICIENT 0xffffu

// One side's coefficients, the same for all superblocks of a layer.
struct Side {
    // [places]: which coefficient of the stream is there, or NO_COEFFICIENT.
    const u16 *numbers;
    // [n]: sizes, and bits.
    const float *sizes;
    const u8 *bits;
    u32 count;
};

// What keys, or values, are multiplied with and what is taken off then: of keys [G][KEY_TILES][32 directions][32 dims] and
// [..][32 directions] in f32; of values [tiles][CHANNELS directions][CHANNELS] in halves times `unit`, and
// [tiles][CHANNELS].
struct Forward {
    const void *matrix;
    const float *shift;
    float unit;
};

// Rows [2][G][runs * BLOCK][D] from runs that begin at row `first` and are evenly spaced among `blocks`. Blocks:
// (runs, G, 2), of 128 threads.
extern "C" __global__ void __launch_bounds__(128) gather_runs(Rows rows, u32 blocks, bf16 *to) {
    constexpr u32 PIECES = HEAD_DIM / 8;
    const u32 run = blockIdx.x, runs = gridDim.x, head = blockIdx.y, side = blockIdx.z;
    const u32 first = rows.first + u32(u64(run) * blocks / runs) * BLOCK;
    const uint4 *from = reinterpret_cast<const uint4 *>((side ? rows.values : rows.keys) +
                                                        (u64(head) * rows.capacity + first) * HEAD_DIM);
    uint4 *out = reinterpret_cast<uint4 *>(to) + ((u64(side) * gridDim.y + head) * runs + run) * BLOCK * PIECES;
    for (u32 at = threadIdx.x; at < BLOCK * PIECES; at += 128) out[at] = from[at];
}

// Where coefficient `number` of lane `lane` is: [superblocks][n][16].
__device__ __forceinline__ u64 place_of(const Side &side, u32 superblock, u32 number) {
    return (u64(superblock) * side.count + number) * LANES;
}

__device__ __forceinline__ void put_coefficient(const Side &side, u32 superblock, u32 place, u32 lane, float x,
                                                float *values) {
    const u32 number = side.numbers[place];
    if (number == NO_COEFFICIENT) return;
    const float size = side.sizes[number];
    values[place_of(side, superblock, number) + lane] = size > 0.0f ? x / size : 0.0f;
}

// Cosines in shared memory, four at a time: rows of harmonics eight apart lie in different banks.
#define COSINE_ROW (BLOCK + 4)
#define COSINES (BLOCK * COSINE_ROW + 4)
__device__ __forceinline__ int cosine_row(int harmonic) { return harmonic * COSINE_ROW + harmonic / 8 * 4; }
__device__ __forceinline__ void load_cosines(float *to, const float *from) {
    for (u32 at = threadIdx.x; at < BLOCK * BLOCK; at += blockDim.x) to[cosine_row(at / BLOCK) + at % BLOCK] = from[at];
}

// One harmonic of a block's numbers.
__device__ __forceinline__ float harmonic_of(const float *cosine, int harmonic, const float (&y)[BLOCK]) {
    const float4 *row = reinterpret_cast<const float4 *>(cosine + cosine_row(harmonic));
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < BLOCK / 4; i++) {
        const float4 c = row[i];
        sum += c.x * y[4 * i];
        sum += c.y * y[4 * i + 1];
        sum += c.z * y[4 * i + 2];
        sum += c.w * y[4 * i + 3];
    }
    return sum;
}

// Row of a direction's tokens in shared memory: blocks lie in different banks.
#define KEY_ROW (LANES * (BLOCK + 1))

// Blocks: (superblocks, G * KEY_TILES), of 256 threads, one for each token. `turns`: [D / 2], a token of each rotary pair.
// `cosines`: [16 harmonics][16 tokens].
extern "C" __global__ void __launch_bounds__(SUPERBLOCK)
    key_coefficients(Rows rows, Side side, Forward forward, const double *turns, const float *cosines, float *values) {
    __shared__ float all[KEY_TILE * KEY_ROW];
    __shared__ __align__(16) float matrix[KEY_TILE][KEY_TILE];
    __shared__ __align__(16) float cosine[COSINES];
    __shared__ float shift[KEY_TILE];
    const u32 tile = blockIdx.y, head = tile / KEY_TILES, number = tile % KEY_TILES, token = threadIdx.x;
    const float *from_matrix = static_cast<const float *>(forward.matrix) + u64(tile) * KEY_TILE * KEY_TILE;
    for (u32 at = threadIdx.x; at < KEY_TILE * KEY_TILE; at += SUPERBLOCK)
        matrix[at / KEY_TILE][at % KEY_TILE] = from_matrix[at];
    load_cosines(cosine, cosines);
    if (threadIdx.x < KEY_TILE) shift[threadIdx.x] = forward.shift[tile * KEY_TILE + threadIdx.x];

    const u32 row = blockIdx.x * SUPERBLOCK + token;
    const bf16 *from = rows.keys + (u64(head) * rows.capacity + rows.first + row) * HEAD_DIM + number * 16;
    u32 low[8], high[8];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const uint4 a = reinterpret_cast<const uint4 *>(from)[i];
        const uint4 b = reinterpret_cast<const uint4 *>(from + HEAD_DIM / 2)[i];
        low[4 * i] = a.x, low[4 * i + 1] = a.y, low[4 * i + 2] = a.z, low[4 * i + 3] = a.w;
        high[4 * i] = b.x, high[4 * i + 1] = b.y, high[4 * i + 2] = b.z, high[4 * i + 3] = b.w;
    }
    float x[KEY_TILE];
#pragma unroll
    for (int i = 0; i < 16; i++) {
        const float a = i % 2 ? high_float(low[i / 2]) : low_float(low[i / 2]);
        const float b = i % 2 ? high_float(high[i / 2]) : low_float(high[i / 2]);
        const double turned = turns[number * 16 + i] * double(rows.time + row);
        float sin, cos;
        sincospif(float(2.0 * (turned - floor(turned))), &sin, &cos);
        x[i] = a * cos + b * sin;
        x[16 + i] = b * cos - a * sin;
    }
    __syncthreads();
    float *to = all + token / BLOCK * (BLOCK + 1) + token % BLOCK;
#pragma unroll 4
    for (int r = 0; r < KEY_TILE; r++) {
        float sum = -shift[r];
#pragma unroll
        for (int i = 0; i < KEY_TILE; i += 4) {
            const float4 f = *reinterpret_cast<const float4 *>(&matrix[r][i]);
            sum += f.x * x[i] + f.y * x[i + 1] + f.z * x[i + 2] + f.w * x[i + 3];
        }
        to[r * KEY_ROW] = sum;
    }
    __syncthreads();
    const u32 lane = threadIdx.x % LANES;
#pragma unroll 1
    for (u32 r = threadIdx.x / LANES; r < KEY_TILE; r += SUPERBLOCK / LANES) {
        const float *own = all + r * KEY_ROW + lane * (BLOCK + 1);
        float y[BLOCK];
#pragma unroll
        for (int t = 0; t < BLOCK; t++) y[t] = own[t];
#pragma unroll 4
        for (int f = 0; f < BLOCK; f++) {
            const float x = harmonic_of(cosine, f, y);
            put_coefficient(side, blockIdx.x, (tile * BLOCK + f) * KEY_TILE + r, lane, x, values);
        }
    }
}

#define VALUE_WARPS 4
// Halves of a token in shared memory: eight tokens lie in different banks.
#define VALUE_ROW (CHANNELS + 8)
// Blocks whose coefficients are written together: a sector of memory for each.
#define TOGETHER 8

// Where the coefficient of a block of `TOGETHER`, of a warp's direction and harmonic, waits: coefficients that are put, or
// taken, at the same time lie in different banks.
__device__ __forceinline__ int waiting_at(int direction, int harmonic, int block) {
    return (harmonic * 16 + direction) * TOGETHER + (block ^ (direction / 4 + harmonic / 8 * 4));
}

// Blocks: (superblocks, tiles, ceil(CHANNELS / 64)), of 128 threads: 16 directions a warp.
extern "C" __global__ void __launch_bounds__(VALUE_WARPS * 32)
    value_coefficients(Rows rows, Side side, Forward forward, const float *cosines, float *values) {
    __shared__ __align__(16) u16 tokens[BLOCK * VALUE_ROW];
    __shared__ float parts[VALUE_WARPS][16][BLOCK + 1];
    __shared__ float waiting[VALUE_WARPS][16 * BLOCK * TOGETHER];
    __shared__ __align__(16) float cosine[COSINES];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 tile = blockIdx.y, first = (blockIdx.z * VALUE_WARPS + warp) * 16;
    const bool there = first < CHANNELS;
    load_cosines(cosine, cosines);
    // A fragments of 16 directions.
    u32 a[CHANNELS / 16][4];
    const u16 *from = static_cast<const u16 *>(forward.matrix) +
                      (u64(tile) * CHANNELS + (there ? first : 0) + lane / 4) * CHANNELS + lane % 4 * 2;
#pragma unroll
    for (int k = 0; k < CHANNELS / 16; k++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            a[k][i] = *reinterpret_cast<const u32 *>(from + i % 2 * 8 * CHANNELS + i / 2 * 8 + k * 16);
    const float *shifts = forward.shift + tile * CHANNELS + (there ? first : 0) + lane / 4;
    const float shift[2] = {shifts[0], shifts[8]};
    for (u32 block = 0; block < LANES; block++) {
        const u32 row = rows.first + (blockIdx.x * LANES + block) * BLOCK;
        for (u32 at = threadIdx.x; at < BLOCK * CHANNELS / 8; at += VALUE_WARPS * 32) {
            const u32 token = at / (CHANNELS / 8), channel = at % (CHANNELS / 8) * 8;
            const u32 head = tile * VALUE_HEADS + channel / HEAD_DIM;
            const uint4 v = *reinterpret_cast<const uint4 *>(
                rows.values + (u64(head) * rows.capacity + row + token) * HEAD_DIM + channel % HEAD_DIM);
            // Their eight bits are kept by halves.
            *reinterpret_cast<uint4 *>(tokens + token * VALUE_ROW + channel) =
                make_uint4(pack_f16(low_float(v.x), high_float(v.x)), pack_f16(low_float(v.y), high_float(v.y)),
                           pack_f16(low_float(v.z), high_float(v.z)), pack_f16(low_float(v.w), high_float(v.w)));
        }
        __syncthreads();
        float c[2][4] = {};
        const u16 *own = tokens + lane / 4 * VALUE_ROW + lane % 4 * 2;
#pragma unroll
        for (int k = 0; k < CHANNELS / 16; k++)
#pragma unroll
            for (int n = 0; n < 2; n++) {
                const u16 *at = own + n * 8 * VALUE_ROW + k * 16;
                product_f16(c[n], a[k], *reinterpret_cast<const u32 *>(at), *reinterpret_cast<const u32 *>(at + 8));
            }
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                parts[warp][lane / 4 + i / 2 * 8][n * 8 + lane % 4 * 2 + i % 2] = c[n][i] * forward.unit - shift[i / 2];
        __syncwarp();
        float y[BLOCK];
#pragma unroll
        for (int t = 0; t < BLOCK; t++) y[t] = parts[warp][lane % 16][t];
#pragma unroll 4
        for (int i = 0; i < 8; i++) {
            const int f = lane / 16 * 8 + i;
            waiting[warp][waiting_at(lane % 16, f, block % TOGETHER)] = harmonic_of(cosine, f, y);
        }
        if (block % TOGETHER == TOGETHER - 1 && there) {
            __syncwarp();
            const u32 own_block = lane % TOGETHER, to = block - (TOGETHER - 1) + own_block;
#pragma unroll 4
            for (int at = lane / TOGETHER; at < 16 * BLOCK; at += 32 / TOGETHER) {
                const int f = at / 16, direction = at % 16;
                const u32 place = (tile * CHANNELS + first + direction) * BLOCK + f;
                put_coefficient(side, blockIdx.x, place, to, waiting[warp][waiting_at(direction, f, own_block)], values);
            }
        }
        __syncthreads();
    }
}

// Coefficients of a part of a stream, and those before it that its search begins with.
#define PART 256
#define EARLIER 64
#define STATES 8
#define CODE_WARPS 4
// The largest value, in units of the size, and the largest weight.
#define LIMIT 64.0f
#define HEAVIEST 1e20f
#define UNREACHED -1e30f

// By bits from 1 on, for each subset: the thresholds of a search in the order of a heap, and the levels.
#define LEVEL_COUNT 1020
struct Levels {
    const float *thresholds;
    const float *levels;
};

__host__ __device__ constexpr u32 parity(u32 x) { return (x ^ x >> 1 ^ x >> 2 ^ x >> 3) & 1; }
// The subset of a step from `state` with the trellis bit `b`.
__host__ __device__ constexpr u32 subset_of(u32 state, u32 b) {
    return parity((state * 2 + b) & 4) + 2 * parity((state * 2 + b) & 11);
}

// A value as it is coded.
__device__ __forceinline__ float clean(float x) {
    const float finite = x - x == 0.0f ? x : 0.0f;
    return fminf(fmaxf(finite, -LIMIT), LIMIT);
}

// Where the levels of so many bits begin.
__device__ __forceinline__ u32 levels_of(u32 bits) { return 4 * ((1u << (bits - 1)) - 1); }

__device__ __forceinline__ void load_levels(float *thresholds, float *values, Levels from) {
    for (u32 at = threadIdx.x; at < LEVEL_COUNT; at += CODE_WARPS * 32) {
        thresholds[at] = from.thresholds[at];
        values[at] = from.levels[at];
    }
    __syncthreads();
}

// What a thread codes: a part of a stream. Lanes are streams, so that all have the same bits.
struct Task {
    u32 part;
    u32 stream;
    u32 streams;
    bool there;
    u32 superblock;
    u32 lane;
};
__device__ __forceinline__ Task task_of(u32 superblocks, u32 parts) {
    Task task;
    task.part = blockIdx.y * CODE_WARPS + threadIdx.x / 32;
    task.streams = superblocks * LANES;
    task.stream = blockIdx.x * 32 + threadIdx.x % 32;
    task.there = task.stream < task.streams && task.part < parts;
    task.superblock = min(task.stream, task.streams - 1) / LANES;
    task.lane = task.stream % LANES;
    return task;
}

// Four coefficients from `first` on, of which those beyond `end` are the last one again.
struct Four {
    float x[4];
    u32 bits[4];
    float weight[4];
};
__device__ __forceinline__ Four load_four(const Side &side, const float *own, u32 first, u32 end) {
    Four four;
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        const u32 at = min(first + i, end - 1);
        four.x[i] = __ldg(own + u64(at) * LANES);
        four.bits[i] = __ldg(side.bits + at);
        const float size = __ldg(side.sizes + at), square = __fmul_rn(size, size);
        four.weight[i] = square > 0.0f ? fminf(square, HEAVIEST) : 0.0f;
    }
    return four;
}

// The weighted error of the nearest level of each subset.
__device__ __forceinline__ void errors_of(float x, u32 bits, float weight, const float *thresholds, const float *level,
                                          float (&error)[4]) {
    const u32 base = levels_of(bits), half = 1u << (bits - 1);
    u32 heap[4] = {1, 1, 1, 1};
    for (u32 depth = 1; depth < bits; depth++)
#pragma unroll
        for (int s = 0; s < 4; s++) heap[s] = 2 * heap[s] + (x > thresholds[base + 4 * heap[s] + s]);
#pragma unroll
    for (int s = 0; s < 4; s++) {
        const float miss = x - level[base + 4 * (heap[s] - half) + s];
        error[s] = __fmul_rn(__fmul_rn(miss, miss), weight);
    }
}

// survivors [superblocks][n][16]: bit s says whether state s is reached from the upper of its predecessors. origins
// [parts][streams], four bits for each of the part's last states: the state before its first coefficient. best [streams]:
// the last state of the best path. Blocks: (ceil(streams / 32), ceil(parts / 4)), of 128 threads.
extern "C" __global__ void __launch_bounds__(CODE_WARPS * 32)
    code_paths(Side side, Levels levels, u32 superblocks, u32 parts, const float *values, u8 *survivors, u32 *origins,
               u32 *best) {
    __shared__ float thresholds[LEVEL_COUNT], level[LEVEL_COUNT];
    load_levels(thresholds, level, levels);
    const Task task = task_of(superblocks, parts);
    if (!task.there) return;
    const u32 begin = task.part * PART, end = min(begin + PART, side.count);
    const u32 first = begin < EARLIER ? 0 : begin - EARLIER;
    const float *own = values + place_of(side, task.superblock, 0) + task.lane;
    u8 *to = survivors + place_of(side, task.superblock, 0) + task.lane;
    float metrics[STATES];
#pragma unroll
    for (int s = 0; s < STATES; s++) metrics[s] = task.part == 0 && s > 0 ? UNREACHED : 0.0f;
    Four ahead = load_four(side, own, first, end);
    for (u32 four = first; four < end; four += 4) {
        const Four now = ahead;
        if (four + 4 < end) ahead = load_four(side, own, four + 4, end);
        if (four % 16 == 0) {
            float top = metrics[0];
#pragma unroll
            for (int s = 1; s < STATES; s++) top = fmaxf(top, metrics[s]);
#pragma unroll
            for (int s = 0; s < STATES; s++) metrics[s] -= top;
        }
        // Searches wait for shared memory, and not for each other.
        float error[4][4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            errors_of(clean(now.x[i]), now.bits[i], now.weight[i], thresholds, level, error[i]);
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            const u32 at = four + i;
            if (at >= end) break;
            float reached[STATES];
            u32 uppers = 0;
#pragma unroll
            for (int next = 0; next < STATES; next++) {
                const float lower = metrics[next / 2] - error[i][subset_of(next / 2, next % 2)];
                const float upper =
                    metrics[next / 2 + STATES / 2] - error[i][subset_of(next / 2 + STATES / 2, next % 2)];
                uppers |= upper > lower ? 1u << next : 0;
                reached[next] = fmaxf(lower, upper);
            }
#pragma unroll
            for (int s = 0; s < STATES; s++) metrics[s] = reached[s];
            if (at >= begin) to[u64(at) * LANES] = u8(uppers);
        }
    }
    if (task.part + 1 == parts) {
        u32 top = 0;
        float most = metrics[0];
#pragma unroll
        for (u32 s = 1; s < STATES; s++)
            if (metrics[s] > most) most = metrics[s], top = s;
        best[task.stream] = top;
    }
    // All last states back, four bits each, until they come from the same one.
    u32 states = 0x76543210u, at = end;
    while (at > begin && states != (states & 7) * 0x11111111u) {
        at--;
        const u32 uppers = to[u64(at) * LANES];
        u32 before = 0;
#pragma unroll
        for (int s = 0; s < STATES; s++) {
            const u32 state = states >> (4 * s) & 7;
            before |= (state >> 1 | (uppers >> state & 1) << 2) << (4 * s);
        }
        states = before;
    }
    u32 state = states & 7;
    if (at > begin) {
#pragma unroll 8
        for (; at > begin; at--) state = state >> 1 | (u32(to[u64(at - 1) * LANES]) >> state & 1) << 2;
        states = state * 0x11111111u;
    }
    origins[u64(task.part) * task.streams + task.stream] = states;
}

// ends [parts][streams]: the states in which parts end. Blocks: any number of threads in all, one for each stream.
extern "C" __global__ void __launch_bounds__(128)
    code_ends(u32 streams, u32 parts, const u32 *origins, const u32 *best, u8 *ends) {
    const u32 stream = blockIdx.x * 128 + threadIdx.x;
    if (stream >= streams) return;
    u32 state = best[stream];
#pragma unroll 8
    for (u32 part = parts; part-- > 0;) {
        ends[u64(part) * streams + stream] = u8(state);
        state = __ldg(origins + u64(part) * streams + stream) >> (4 * state) & 7;
    }
}

// words [superblocks][room][16], of this side from `first_word` on, zeros before; `starts`: [parts + 1], bits of a stream
// before each part. Blocks as of code_paths.
extern "C" __global__ void __launch_bounds__(CODE_WARPS * 32)
    code_symbols(Side side, Levels levels, u32 superblocks, u32 parts, const float *values, const u8 *survivors,
                 const u8 *ends, const u32 *starts, u32 room, u32 first_word, u32 *words) {
    __shared__ float thresholds[LEVEL_COUNT], level[LEVEL_COUNT];
    load_levels(thresholds, level, levels);
    const Task task = task_of(superblocks, parts);
    if (!task.there) return;
    const u32 begin = task.part * PART, end = min(begin + PART, side.count);
    const float *own = values + place_of(side, task.superblock, 0) + task.lane;
    const u8 *uppers = survivors + place_of(side, task.superblock, 0) + task.lane;
    u32 *to = words + (u64(task.superblock) * room + first_word) * LANES + task.lane;
    u32 state = ends[u64(task.part) * task.streams + task.stream];
    // Words are filled from the last one down; those at the ends are other threads', too.
    u32 position = starts[task.part + 1], open = position / 32, word = 0;
#pragma unroll 4
    for (u32 at = end; at-- > begin;) {
        // Read past the writing of words, which the compiler would keep in order otherwise.
        const u32 bits = __ldg(side.bits + at), base = levels_of(bits), half = 1u << (bits - 1);
        const float x = clean(__ldg(own + u64(at) * LANES));
        const u32 b = state & 1, before = state >> 1 | (u32(__ldg(uppers + u64(at) * LANES)) >> state & 1) << 2;
        const u32 r = before * 2 + b, subset = (r >> 2 & 1) + 2 * parity(r & 11);
        u32 heap = 1;
        for (u32 depth = 1; depth < bits; depth++) heap = 2 * heap + (x > thresholds[base + 4 * heap + subset]);
        const u32 symbol = (heap - half) << 1 | b;
        state = before;
        position -= bits;
        const u32 last = (position + bits - 1) / 32, here = position / 32, shift = position % 32;
        if (last < open) {
            if (word) atomicOr(to + u64(open) * LANES, word);
            open = last;
            word = 0;
        }
        if (here < open) {
            word |= symbol >> (32 - shift);
            atomicOr(to + u64(open) * LANES, word);
            open = here;
            word = 0;
        }
        word |= symbol << shift;
    }
    if (word) atomicOr(to + u64(open) * LANES, word);
}
