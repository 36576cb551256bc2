// From exact keys and values to a fourier cache's middle, and its growth (docs/method.md, What is kept).
//
//   seal_rows     copies the exact dims, and sums every dim for its mean
//   seal_spectra  a forward transform of every spectral dim, as fourier_attend's of the weights
//   grow_spectra  adds tokens to the spectra: X_n += sum_t x'_t e(-n t / P)
// 32k tokens of 8 heads of 128 dims: 134 MB, 44 us; 643 us seen, gathers of 2 bytes bind. 64 more tokens: 32 us
// (docs/kernels.md).
#include "leaving.cuh"
#include "middle.cuh"

// Pieces that sums for means are made in.
#define SUMS 64

// The exact dims of rows, and sums[2][G][SUMS][D] of all dims. Blocks: (SUMS, G, 2), of D threads.
extern "C" __global__ void seal_rows(Middle middle, Rows rows, float *sums) {
    __shared__ u16 places[HEAD_DIM];
    const u32 head = blockIdx.y, side = blockIdx.z;
    const u16 *dims = (side ? middle.value_dims : middle.key_dims) + head * HEAD_DIM;
    const int tracks = side ? VALUE_TRACKS : KEY_TRACKS, width = side ? VALUE_WIDTH : KEY_WIDTH;
    places[dims[threadIdx.x]] = threadIdx.x;
    __syncthreads();
    const int place = int(places[threadIdx.x]) - tracks;
    const bf16 *from = (side ? rows.values : rows.keys) + (u64(head) * rows.capacity + rows.first) * HEAD_DIM;
    bf16 *to = const_cast<bf16 *>(side ? middle.exact_values : middle.exact_keys) +
               (u64(head) * middle.capacity + rows.time) * width;
    const u32 begin = u32(u64(rows.count) * blockIdx.x / SUMS), end = u32(u64(rows.count) * (blockIdx.x + 1) / SUMS);
    const int exact = HEAD_DIM - tracks;
    float sum = 0.0f;
#pragma unroll 4
    for (u32 t = begin; t < end; t++) {
        const bf16 x = from[u64(t) * HEAD_DIM + threadIdx.x];
        sum += bf16_to_float(x);
        if (place >= 0) to[u64(t) * width + place] = x;
        if (threadIdx.x >= exact && threadIdx.x < width) to[u64(t) * width + threadIdx.x] = 0;
    }
    sums[((u64(side) * gridDim.y + head) * SUMS + blockIdx.x) * HEAD_DIM + threadIdx.x] = sum;
}

#define SEAL_WARPS 16

extern "C" __device__ u32 seal_spectra_shared = 2 * TABLE_BYTES;

// Means and spectra. A warp has one spectral dim; blocks: (ceil((KEY_TRACKS + VALUE_TRACKS) / 16), G), 512 threads.
extern "C" __global__ void __launch_bounds__(SEAL_WARPS * 32, 1)
    seal_spectra(Middle middle, Rows rows, const float *sums) {
    extern __shared__ __align__(128) u8 shared[];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 head = blockIdx.y, number = blockIdx.x * SEAL_WARPS + warp;
    const bool there = number < KEY_TRACKS + VALUE_TRACKS, side = number >= KEY_TRACKS;
    const u32 track = there ? number - (side ? KEY_TRACKS : 0) : 0, tracks = side ? VALUE_TRACKS : KEY_TRACKS;
    const u32 dim = (side ? middle.value_dims : middle.key_dims)[head * HEAD_DIM + track];
    const float *parts = sums + (u64(side) * gridDim.y + head) * SUMS * HEAD_DIM + dim;
    const float mean = warp_sum(parts[lane * HEAD_DIM] + parts[(lane + 32) * HEAD_DIM]) / float(rows.count);
    const bf16 *from = (side ? rows.values : rows.keys) + (u64(head) * rows.capacity + rows.first) * HEAD_DIM + dim;
    const u32 sixteenth = middle.period / RADIX, tiles = middle.period / (16 * RADIX);
    const u32 stage = shared_address(shared);
    const Turns turns = make_turns();
    Harmonics f = {};
    copy_tables(stage, middle.tables, 0, threadIdx.x, SEAL_WARPS * 32);
    end_copies();
    for (u32 tile = 0; tile < tiles; tile++) {
        wait_copies<0>();
        __syncthreads();
        if (tile + 1 < tiles)
            copy_tables(stage + (tile + 1) % 2 * TABLE_BYTES, middle.tables, (tile + 1) * 16, threadIdx.x,
                        SEAL_WARPS * 32);
        end_copies();
        float x[2][4];
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const u32 c = lane / 4 + i % 4 / 2 * 8, d = i / 4 * 8 + lane % 4 * 2 + i % 2;
            const u32 t = tile * 16 + c + sixteenth * d;
            x[i / 4][i % 4] = there && t < rows.count ? bf16_to_float(from[u64(t) * HEAD_DIM]) - mean : 0.0f;
        }
        forward_tile(f, x, turns, stage + tile % 2 * TABLE_BYTES);
    }
    if (!there) return;
    const u64 place = u64(head) * tracks + track;
    bf16 *to = const_cast<bf16 *>(side ? middle.value_spectra : middle.key_spectra) + place * 2 * HARMONICS;
#pragma unroll
    for (int t = 0; t < TURNS / 8; t++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            to[harmonic_of(t, i)] = to_bf16(f.real[t][i]);
            to[HARMONICS + harmonic_of(t, i)] = to_bf16(f.imaginary[t][i]);
        }
    if (lane == 0) const_cast<float *>(side ? middle.value_means : middle.key_means)[place] = mean;
}

// Tokens that are added at once.
#define GROWTH 64

// Adds up to 64 tokens. Blocks: (KEY_TRACKS + VALUE_TRACKS, G), HARMONICS threads.
extern "C" __global__ void __launch_bounds__(HARMONICS, 2) grow_spectra(Middle middle, Rows rows) {
    __shared__ float deviations[GROWTH];
    const u32 head = blockIdx.y, n = threadIdx.x;
    const bool side = blockIdx.x >= KEY_TRACKS;
    const u32 track = blockIdx.x - (side ? KEY_TRACKS : 0), tracks = side ? VALUE_TRACKS : KEY_TRACKS;
    const u32 dim = (side ? middle.value_dims : middle.key_dims)[head * HEAD_DIM + track];
    const u64 place = u64(head) * tracks + track;
    const float mean = (side ? middle.value_means : middle.key_means)[place];
    const bf16 *from = (side ? rows.values : rows.keys) + (u64(head) * rows.capacity + rows.first) * HEAD_DIM + dim;
    if (threadIdx.x < rows.count) deviations[threadIdx.x] = bf16_to_float(from[u64(threadIdx.x) * HEAD_DIM]) - mean;
    __syncthreads();
    // The phase of the first token exactly, then a rotation a token: 64 of them lose less than 2^-17.
    float sin, cos, step_sin, step_cos, re = 0.0f, im = 0.0f;
    const float period = float(middle.period);
    sincospif(-2.0f * float(u64(n) * rows.time % middle.period) / period, &sin, &cos);
    sincospif(-2.0f * float(n) / period, &step_sin, &step_cos);
    for (u32 t = 0; t < rows.count; t++) {
        re += deviations[t] * cos;
        im += deviations[t] * sin;
        const float turned = cos * step_cos - sin * step_sin;
        sin = sin * step_cos + cos * step_sin;
        cos = turned;
    }
    bf16 *to = const_cast<bf16 *>(side ? middle.value_spectra : middle.key_spectra) + place * 2 * HARMONICS + n;
    to[0] = to_bf16(bf16_to_float(to[0]) + re);
    to[HARMONICS] = to_bf16(bf16_to_float(to[HARMONICS]) + im);
}

// The basis [C][2][TURNS] and the twiddles [C][16][2] of a period. Blocks: C / 16, of 256 threads.
extern "C" __global__ void fourier_tables(u32 period, f16 *basis, float *twiddles) {
    const u32 sixteenth = period / RADIX;
    for (u32 at = threadIdx.x; at < 16 * TURNS; at += blockDim.x) {
        const u32 c = blockIdx.x * 16 + at / TURNS, b = at % TURNS;
        double sin, cos;
        sincospi(2.0 * double(u64(b) * c % sixteenth) / double(sixteenth), &sin, &cos);
        basis[u64(c) * 2 * TURNS + b] = to_f16(float(cos));
        basis[u64(c) * 2 * TURNS + TURNS + b] = to_f16(float(sin));
    }
    for (u32 at = threadIdx.x; at < 16 * RADIX; at += blockDim.x) {
        const u32 c = blockIdx.x * 16 + at / RADIX, a = at % RADIX;
        double sin, cos;
        sincospi(2.0 * double(u64(a) * c) / double(period), &sin, &cos);
        twiddles[(u64(c) * RADIX + a) * 2] = float(cos);
        twiddles[(u64(c) * RADIX + a) * 2 + 1] = float(sin);
    }
}
