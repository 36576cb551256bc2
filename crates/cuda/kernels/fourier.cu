// Decode attention over a fourier cache, in the spectrum: one query token a sequence.
//
// Four launches a layer:
//   fourier_contract  U[h] = sum over spectral key dims of q_d X_d; beside it, the tokens that are held whole
//   fourier_attend    for every tile of 256 tokens: scores by an inverse transform of U and by the exact key dims,
//                     softmax weights, their forward transform and their sum over the exact value dims
//   fourier_project   the transform times the spectra of the spectral value dims
//   fourier_finish    all states merged
// 97 of 128 dims spectral, 32k tokens of 8 heads: 39.9 MB, 13.2 us; 1.2 us of products; 31.6 us seen, latency binds.
// 128k tokens: 46.6 us; 70.9 us seen (docs/kernels.md).
#include "piece.cuh"

// Bytes of shared memory and threads of a block, read by the host.
extern "C" __device__ u32 fourier_contract_shared = TOKENS_SHARED_BYTES;
extern "C" __device__ u32 fourier_attend_shared = FOURIER_SHARED_BYTES;
extern "C" __device__ u32 fourier_attend_threads = TEAMS * TEAM;

#define CHUNK 64
#define CHUNKS (2 * HARMONICS / CHUNK)

// U of 64 numbers of the spectrum: two a lane, the tracks shared out among the warps.
__device__ __forceinline__ void contract(u8 *shared, const float *q, const Middle &middle, float *contracted,
                                         float scale) {
    const u32 head = blockIdx.y, query_head = (blockIdx.z * gridDim.y + head) * GROUP;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float *queries = reinterpret_cast<float *>(shared);
    for (int at = threadIdx.x; at < KEY_TRACKS * GROUP; at += WARPS * 32) {
        const int track = at % KEY_TRACKS, g = at / KEY_TRACKS;
        queries[track * GROUP + g] = q[u64(query_head + g) * HEAD_DIM + middle.key_dims[head * HEAD_DIM + track]];
    }
    __syncthreads();
    const u32 first = blockIdx.x * CHUNK + lane * 2;
    const bf16 *spectra = middle.key_spectra + u64(head) * KEY_TRACKS * 2 * HARMONICS + first;
    float sums[GROUP][2] = {};
#pragma unroll 12
    for (int track = warp; track < KEY_TRACKS; track += WARPS) {
        const u32 pair = *reinterpret_cast<const u32 *>(spectra + u64(track) * 2 * HARMONICS);
#pragma unroll
        for (int g = 0; g < GROUP; g++) {
            sums[g][0] += queries[track * GROUP + g] * low_float(pair);
            sums[g][1] += queries[track * GROUP + g] * high_float(pair);
        }
    }
    float *partial = queries + KEY_TRACKS * GROUP;
#pragma unroll
    for (int g = 0; g < GROUP; g++)
#pragma unroll
        for (int i = 0; i < 2; i++) partial[(warp * GROUP + g) * CHUNK + lane * 2 + i] = sums[g][i];
    __syncthreads();
    for (int at = threadIdx.x; at < GROUP * CHUNK; at += WARPS * 32) {
        const int g = at / CHUNK;
        const u32 number = blockIdx.x * CHUNK + at % CHUNK;
        float sum = 0.0f;
#pragma unroll
        for (int w = 0; w < WARPS; w++) sum += partial[w * GROUP * CHUNK + at];
        // Every harmonic but the constant stands for its mirror image too.
        const float weight = (number % HARMONICS == 0 ? 1.0f : 2.0f) / float(middle.period);
        contracted[u64(query_head + g) * 2 * HARMONICS + number] = sum * weight * scale;
    }
}

// Blocks: (CHUNKS + whole pieces, G, B); 128 threads; TOKENS_SHARED_BYTES.
extern "C" __global__ void __launch_bounds__(WARPS * 32, 2)
    fourier_contract(const float *q, const Middle *middles, const Tokens *whole, Work work, float scale) {
    extern __shared__ __align__(128) u8 shared[];
    begin();
    if (blockIdx.x < CHUNKS) {
        contract(shared, q, middles[blockIdx.z], work.contracted, scale);
    } else {
        attend_tokens(shared, q, scale, whole[blockIdx.z], work.whole, gridDim.x - CHUNKS, blockIdx.x - CHUNKS,
                      blockIdx.y, gridDim.y, blockIdx.z);
    }
}

// Blocks: (pieces, G, B); TEAMS * TEAM threads; FOURIER_SHARED_BYTES.
extern "C" __global__ void __launch_bounds__(TEAMS *TEAM, 1)
    fourier_attend(const float *q, const Middle *middles, Work work, float scale) {
    extern __shared__ __align__(128) u8 shared[];
    const int team = threadIdx.x / TEAM, thread = threadIdx.x % TEAM, warp = thread / 32;
    const Middle middle = middles[blockIdx.z];
    const u32 head = blockIdx.y, query_head = (blockIdx.z * gridDim.y + head) * GROUP;
    u8 *own = shared + team * TEAM_BYTES;
    const u32 stages = shared_address(own);
    Exchange exchange;
    exchange.scores = reinterpret_cast<float *>(own + TILES_HELD * TILE_BYTES);
    exchange.factors = exchange.scores + GROUP * SCORE_HEAD;
    exchange.weights = reinterpret_cast<bf16 *>(exchange.factors + 16);

    if (KEY_WIDTH % 16 != 0) {
        // Numbers beyond the rows that are copied are multiplied with zeros: they must be finite.
        for (u32 at = thread; at < TILES_HELD * TILE_BYTES / 16; at += TEAM)
            reinterpret_cast<uint4 *>(own)[at] = make_uint4(0, 0, 0, 0);
        barrier(1 + team, TEAM);
    }
    const u32 tiles = middle.count == 0 ? 0 : middle.period / TILE;
    const u32 workers = gridDim.x * TEAMS, worker = blockIdx.x * TEAMS + team;
    u32 tile = u32(u64(tiles) * worker / workers);
    const u32 end = u32(u64(tiles) * (worker + 1) / workers);
    if (tile < end) copy_tile(stages, middle, head, tile * 16, thread);
    begin();

    HeadState state = {MINUS_INFINITY, 0.0f, {}, {}};
    Spectrum u = {};
    float largest = 0.0f;
    if (warp < GROUP) largest = load_contracted(u, work.contracted + u64(query_head + warp) * 2 * HARMONICS);
    const Turns turns = make_turns();
    u32 exact_query[AT_LEAST_1(KEY_STEPS)][2];
    load_exact_query(exact_query, q + u64(query_head) * HEAD_DIM, middle.key_dims + head * HEAD_DIM);

    u32 stage = stages, other = stages + (TILES_HELD - 1) * TILE_BYTES;
    for (; tile < end; tile++) {
        wait_copies<0>();
        barrier(1 + team, TEAM);
        if (TILES_HELD > 1 && tile + 1 < end) copy_tile(other, middle, head, (tile + 1) * 16, thread);
        const u32 tables = stage + KEY_BYTES + VALUE_BYTES;
        if (KEY_STEPS > 0) score_exact(exchange.scores, exact_query, stage);
        float s[2][4] = {};
        if (warp < GROUP) {
            inverse_tile(s, u, turns, tables);
#pragma unroll
            for (int i = 0; i < 8; i++) s[i / 4][i % 4] *= largest;
        }
        barrier(1 + team, TEAM);
        if (warp < GROUP) score_tile(state, s, exchange, warp, scale, tile * 16, middle);
        barrier(1 + team, TEAM);
        if (VALUE_STEPS > 0) {
            rescale_values(state, exchange);
            add_values(state.values, exchange.weights, stage + KEY_BYTES);
        }
        if (warp < GROUP) forward_tile(state.harmonics, s, turns, tables);
        if (TILES_HELD == 1) {
            barrier(1 + team, TEAM);
            if (tile + 1 < end) copy_tile(other, middle, head, (tile + 1) * 16, thread);
        }
        const u32 swap = stage;
        stage = other;
        other = swap;
    }
    wait_copies<0>();
    __syncthreads();
    write_piece(shared, state, work, query_head);
}

#define PART 32
#define PARTS (HARMONICS / PART)

// 32 harmonics of the weights' transforms times the value spectra. Blocks: (PARTS, G, B); 256 threads.
extern "C" __global__ void __launch_bounds__(256, 2) fourier_project(const Middle *middles, Work work, u32 pieces) {
    // Four threads a track, eight harmonics each.
    constexpr int ROUNDS = (VALUE_TRACKS + 63) / 64;
    __shared__ float factors[GROUP][64];
    __shared__ float sums[GROUP][2][PART];
    const Middle &middle = middles[blockIdx.z];
    const u32 head = blockIdx.y, query_head = (blockIdx.z * gridDim.y + head) * GROUP;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, quarter = threadIdx.x % 4;
    uint4 spectra[ROUNDS][2];
#pragma unroll
    for (int round = 0; round < ROUNDS; round++) {
        const int track = min(round * 64 + int(threadIdx.x / 4), VALUE_TRACKS - 1);
        const bf16 *from = middle.value_spectra + (u64(head) * VALUE_TRACKS + track) * 2 * HARMONICS +
                           blockIdx.x * PART + quarter * 8;
        spectra[round][0] = *reinterpret_cast<const uint4 *>(from);
        spectra[round][1] = *reinterpret_cast<const uint4 *>(from + HARMONICS);
    }
    begin();
    if (warp < GROUP) {
        const float *maxima = work.max + u64(query_head + warp) * pieces;
        const float first = lane < pieces ? maxima[lane] : MINUS_INFINITY;
        const float second = lane + 32 < pieces ? maxima[lane + 32] : MINUS_INFINITY;
        const float top = warp_max(fmaxf(first, second));
        factors[warp][lane] = rescale(first, top);
        factors[warp][lane + 32] = rescale(second, top);
    }
    __syncthreads();
    for (int at = threadIdx.x; at < GROUP * 2 * PART; at += 256) {
        const int g = at / (2 * PART), side = at / PART % 2;
        const u32 n = blockIdx.x * PART + at % PART;
        const float *from = work.harmonics + u64(query_head + g) * pieces * 2 * HARMONICS + side * HARMONICS + n;
        float sum = 0.0f;
#pragma unroll 16
        for (u32 i = 0; i < pieces; i++) sum += factors[g][i] * from[u64(i) * 2 * HARMONICS];
        sums[g][side][at % PART] = sum * (n == 0 ? 1.0f : 2.0f) / float(middle.period);
    }
    __syncthreads();
#pragma unroll
    for (int round = 0; round < ROUNDS; round++) {
        const int track = round * 64 + int(threadIdx.x / 4);
        const u32 pairs[2][4] = {
            {spectra[round][0].x, spectra[round][0].y, spectra[round][0].z, spectra[round][0].w},
            {spectra[round][1].x, spectra[round][1].y, spectra[round][1].z, spectra[round][1].w}};
#pragma unroll
        for (int g = 0; g < GROUP; g++) {
            float sum = 0.0f;
#pragma unroll
            for (int side = 0; side < 2; side++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const float *f = &sums[g][side][quarter * 8 + 2 * i];
                    sum += low_float(pairs[side][i]) * f[0] + high_float(pairs[side][i]) * f[1];
                }
            sum += __shfl_xor_sync(0xffffffffu, sum, 1);
            sum += __shfl_xor_sync(0xffffffffu, sum, 2);
            if (quarter == 0 && track < VALUE_TRACKS)
                work.projected[(u64(query_head + g) * PARTS + blockIdx.x) * VALUE_TRACKS + track] = sum;
        }
    }
}

// All states merged: out [B][H][D]. Blocks: (H, B), of D threads.
extern "C" __global__ void __launch_bounds__(HEAD_DIM, 2)
    fourier_finish(const float *q, const Middle *middles, Work work, u32 pieces, u32 whole_pieces, float scale,
                   float *out) {
    __shared__ float middle_out[HEAD_DIM], factors[HEAD_DIM], whole_factors[HEAD_DIM], partial[HEAD_DIM / 32];
    const Middle &middle = middles[blockIdx.y];
    const u64 row = u64(blockIdx.y) * gridDim.x + blockIdx.x;
    const u32 head = blockIdx.x / GROUP;
    const int at = threadIdx.x;
    const u32 key_dim = middle.key_dims[head * HEAD_DIM + at], value_dim = middle.value_dims[head * HEAD_DIM + at];
    const float key_mean = at < KEY_TRACKS ? middle.key_means[head * KEY_TRACKS + at] : 0.0f;
    const float value_mean = at < VALUE_TRACKS ? middle.value_means[head * VALUE_TRACKS + at] : 0.0f;
    begin();
    // The keys' means shift all scores of the middle alike.
    const float term = warp_sum(q[row * HEAD_DIM + key_dim] * key_mean);
    if (at % 32 == 0) partial[at / 32] = term;
    const float sum = merge_factors(factors, work.max + row * pieces, work.sum + row * pieces, pieces);
    float value = 0.0f;
    if (at < VALUE_TRACKS) {
        value = sum * value_mean;
#pragma unroll
        for (u32 i = 0; i < PARTS; i++) value += work.projected[(row * PARTS + i) * VALUE_TRACKS + at];
    } else {
#pragma unroll 8
        for (u32 i = 0; i < pieces; i++)
            value += factors[i] * work.exact[(row * pieces + i) * VALUE_WIDTH + at - VALUE_TRACKS];
    }
    middle_out[value_dim] = value;
    float top = MINUS_INFINITY;
    for (u32 i = 0; i < pieces; i++) top = fmaxf(top, work.max[row * pieces + i]);
    for (int i = 0; i < HEAD_DIM / 32; i++) top += partial[i] * scale;
    const float *maxima = work.whole.max + row * whole_pieces;
    const float whole_sum = merge_factors(whole_factors, maxima, work.whole.sum + row * whole_pieces, whole_pieces);
    float whole_top = MINUS_INFINITY, whole_value = 0.0f;
#pragma unroll 8
    for (u32 i = 0; i < whole_pieces; i++) {
        whole_top = fmaxf(whole_top, maxima[i]);
        whole_value += whole_factors[i] * work.whole.out[(row * whole_pieces + i) * HEAD_DIM + at];
    }
    const float all = fmaxf(top, whole_top), first = rescale(top, all), second = rescale(whole_top, all);
    const float total = first * sum + second * whole_sum;
    value = first * middle_out[at] + second * whole_value;
    out[row * HEAD_DIM + at] = total > 0.0f ? value / total : 0.0f;
}
