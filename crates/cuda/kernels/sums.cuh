// The second launch of spectral.cu, in which it is included: sums of coded values times transformed weights.
//
// A block goes through superblocks of a part in teams of four warps, each team with superblocks of its own and each warp
// with some rows of them; nothing but the arrival of codes and the next weights is waited for.
#pragma once

#define SUM_THREADS (TEAMS * TEAM)
extern "C" __device__ u32 spectral_sums_threads = SUM_THREADS;
extern "C" __device__ u32 spectral_sums_shared = SUM_BYTES;

// Begins to copy a superblock's codes: one thread of a team, or before sm_90 all of them.
__device__ __forceinline__ void copy_codes(u32 to, u32 arrival, const Stretch &stretch, const u32 *words) {
    const u32 trellis = stretch.trellis_words, planes = stretch.plane_words;
#if __CUDA_ARCH__ >= 900
    if (threadIdx.x % TEAM == 0) {
        expect_bytes(arrival, 4 * (trellis + planes));
        copy_bulk(to, words + stretch.trellis, 4 * trellis, arrival);
        if (planes > 0) copy_bulk(to + 4 * trellis, words + stretch.planes, 4 * planes, arrival);
    }
#else
    for (u32 at = threadIdx.x % TEAM * 4; at < trellis + planes; at += TEAM * 4) {
        const u32 from = at < trellis ? stretch.trellis + at : stretch.planes + at - trellis;
        copy_16(to + at * 4, words + from, true);
    }
#endif
}

// A thread's share of a superblock's weights, as they are in memory: of a head, 16 threads to each.
struct Weights {
    uint4 words[2];
    // Of its halves the largest score and the sum.
    float4 halves;

    __device__ __forceinline__ void load(const Work &work, u64 query_head, u32 superblock) {
        const u32 head = threadIdx.x % TEAM / 16;
        words[0] = words[1] = make_uint4(0, 0, 0, 0);
        if (head >= TILE_HEADS) return;
        const u64 place = (query_head + head) * work.superblocks + superblock;
        const uint4 *from = reinterpret_cast<const uint4 *>(work.weights + place * WEIGHT_WORDS) + threadIdx.x % 16;
        words[0] = from[0];
        words[1] = from[16];
        halves = *reinterpret_cast<const float4 *>(work.halves + place * 2);
    }

    // To [8 heads][WEIGHT_ROW], relative to each head's largest.
    __device__ __forceinline__ void store(u8 *to, const float *tops) const {
        const u32 head = threadIdx.x % TEAM / 16;
        uint4 *at = reinterpret_cast<uint4 *>(to + head * WEIGHT_ROW) + threadIdx.x % 16;
        u32 first = 0, second = 0;
        if (head < TILE_HEADS) {
            const float top = tops[head], a = rescale(halves.x, top), b = rescale(halves.z, top);
            first = pack_f16(a, a);
            second = pack_f16(b, b);
        }
#pragma unroll
        for (int i = 0; i < 2; i++)
            at[i * 16] = make_uint4(times_f16(words[i].x, first), times_f16(words[i].y, second),
                                    times_f16(words[i].z, first), times_f16(words[i].w, second));
    }
};

// The largest score of each head of a tile among superblocks, to `tops`.
__device__ __forceinline__ void find_tops(float *tops, const Work &work, u64 query_head, Piece own) {
    for (u32 head = threadIdx.x / 32; head < 8; head += SUM_THREADS / 32) {
        float top = MINUS_INFINITY;
        if (head < TILE_HEADS) {
            const float2 *from = work.halves + (query_head + head) * work.superblocks * 2;
            for (u32 i = 2 * own.first + threadIdx.x % 32; i < 2 * own.end; i += 32) top = fmaxf(top, from[i].x);
        }
        top = warp_max(top);
        if (threadIdx.x % 32 == 0) tops[head] = top;
    }
}

// Whose rows a warp has: in each team another's, so that all schedulers have as much to do.
__device__ __forceinline__ int warp_of_rows() { return (threadIdx.x / 32 + threadIdx.x / TEAM) % TEAM_WARPS; }

// Adds a superblock's units of this warp's rows; `weights`: of this lane's head.
__device__ __forceinline__ void add_superblock(float (&sums)[ROW_SHARES][4], u8 *shared, u32 codes, const u8 *weights,
                                               const u16 *levels) {
    const int lane = threadIdx.x % 32, warp = warp_of_rows();
    const u32 *units = reinterpret_cast<const u32 *>(shared + UNITS_AT);
    const uint4 *lanes = reinterpret_cast<const uint4 *>(shared + LANES_AT) + lane;
#if PRIVATE_TABLES
    const u32 tables = 0;
#else
    const u32 tables = shared_address(shared + SHARED_TABLES_AT);
#endif
#pragma unroll 1
    for (int quad = 0; quad < 4; quad++) {
        const u32 harmonic = units[quad] >> lane % 4 * 8 & 0xff;
        const uint4 *from = reinterpret_cast<const uint4 *>(weights + harmonic * 32);
        const uint4 own[2] = {from[0], from[1]};
#pragma unroll 1
        for (int share = 0; share < ROW_SHARES; share++) {
            const int row = share * TEAM_WARPS + warp;
            const u32 unit = row < ROW_TILES ? units[4 + row * 4 + quad] : 0;
            if (unit == 0) continue;
            const Symbols symbols(codes, tables, lanes[(unit >> 8) * 32]);
            float sum[4] = {};
            add_unit(sum, unit & 0xff, symbols, own, levels);
#pragma unroll
            for (int to = 0; to < ROW_SHARES; to++)
                if (to == share) {
#pragma unroll
                    for (int i = 0; i < 4; i++) sums[to][i] += sum[i];
                }
        }
    }
}

// Adds up what the teams have and writes it as [8 heads][HEAD_DIM rows]. All threads; a barrier before.
__device__ __forceinline__ void write_sums(float *shared, const float (&sums)[ROW_SHARES][4], float *to) {
    const int lane = threadIdx.x % 32, warp = warp_of_rows(), team = threadIdx.x / TEAM;
#pragma unroll
    for (int share = 0; share < ROW_SHARES; share++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int tile = share * TEAM_WARPS + warp, row = tile * 16 + lane / 4 + i / 2 * 8;
            if (tile < ROW_TILES) shared[(team * 8 + lane % 4 * 2 + i % 2) * HEAD_DIM + row] = sums[share][i];
        }
    __syncthreads();
    for (u32 at = threadIdx.x; at < 8 * HEAD_DIM; at += SUM_THREADS) {
        float total = 0.0f;
#pragma unroll
        for (int team = 0; team < TEAMS; team++) total += shared[team * 8 * HEAD_DIM + at];
        to[at] = total;
    }
}

// What is the same for all superblocks, into shared memory; a barrier must follow.
__device__ __forceinline__ void load_tables(u8 *shared, const ValueCoding &coding, const u32 *rows, u32 part) {
    fill_tables(shared, rows);
    u32 *units = reinterpret_cast<u32 *>(shared + UNITS_AT);
    for (u32 at = threadIdx.x; at < UNIT_ENTRIES; at += SUM_THREADS)
        units[at] = __ldg(coding.units + part * UNIT_ENTRIES + at);
    const uint2 own = __ldg(coding.parts + part);
    uint4 *lanes = reinterpret_cast<uint4 *>(shared + LANES_AT);
#pragma unroll 4
    for (u32 at = threadIdx.x; at < own.y * 32; at += SUM_THREADS) lanes[at] = __ldg(coding.lanes + own.x * 32 + at);
}

// The superblocks `own` of part `part`; `query_head`: the tile's first.
__device__ __forceinline__ void sum_superblocks(float (&sums)[ROW_SHARES][4], u8 *shared, const Coded &coded,
                                                const Constants &constants, const Work &work, u32 part, u64 query_head,
                                                Piece own) {
    const u32 lane = threadIdx.x % 32, team = threadIdx.x / TEAM;
    const Stretch stretch = load_stretch(coded.values, part);
    const u32 teams = min(u32(TEAMS), (SUM_BYTES - codes_at(shared)) / (8 * stretch.room));
    const u32 arrivals = shared_address(shared + ARRIVALS_AT) + team * 16;
    const u32 codes = shared_address(shared + codes_at(shared)) + team * 2 * 4 * stretch.room;
    u8 *weights = shared + WEIGHTS_AT + team * 2 * WEIGHT_BYTES;
    float *tops = reinterpret_cast<float *>(shared + TOPS_AT);
    const u32 first = team < teams ? own.first + team : own.end;
    if (threadIdx.x % TEAM == 0) {
        begin_arrivals(arrivals);
        begin_arrivals(arrivals + 8);
    }
    auto copy = [&](u32 superblock, u32 buffer) {
        if (superblock < own.end)
            copy_codes(codes + buffer * 4 * stretch.room, arrivals + 8 * buffer, stretch,
                       coded.codes + u64(superblock) * coded.stride);
#if __CUDA_ARCH__ < 900
        end_copies();
#endif
    };
    copy(first, 0);
    copy(first + teams, 1);
    load_tables(shared, coded.values, constants.rows, part);
    begin();
    Weights next;
    if (first < own.end) next.load(work, query_head, first);
    find_tops(tops, work, query_head, own);
    __syncthreads();
    if (first < own.end) next.store(weights, tops);
#if __CUDA_ARCH__ >= 900
    barrier(1 + team, TEAM);
#endif
    u32 buffer = 0, phase = 0;
    for (u32 superblock = first; superblock < own.end; superblock += teams) {
#if __CUDA_ARCH__ < 900
        wait_copies<1>();
        barrier(1 + team, TEAM);
#endif
        const u32 after = superblock + teams;
        if (after < own.end) next.load(work, query_head, after);
#if __CUDA_ARCH__ >= 900
        wait_arrival(arrivals + 8 * buffer, phase);
#endif
        add_superblock(sums, shared, codes + buffer * 4 * stretch.room,
                       weights + buffer * WEIGHT_BYTES + lane / 4 * WEIGHT_ROW, constants.all_levels);
        if (after < own.end) next.store(weights + (buffer ^ 1) * WEIGHT_BYTES, tops);
        // Codes have been read, and the next weights are there.
        barrier(1 + team, TEAM);
        copy(after + teams, buffer);
        phase ^= buffer;
        buffer ^= 1;
    }
}

// Blocks: (pieces, G, B).
extern "C" __global__ void __launch_bounds__(SUM_THREADS, 1)
    spectral_sums(const Coded *sequences, Constants constants, Work work) {
    extern __shared__ __align__(128) u8 shared[];
    const Coded &coded = sequences[blockIdx.z];
    const u32 superblocks = (coded.count + SUPERBLOCK - 1) / SUPERBLOCK, part = blockIdx.y;
    const Piece own = share_of(superblocks, gridDim.x, blockIdx.x);
    const u64 query_head = u64(blockIdx.z * gridDim.y + part) / VALUE_HEADS * TILE_HEADS;
    float sums[ROW_SHARES][4] = {};
    float *tops = reinterpret_cast<float *>(shared + TOPS_AT);
    if (own.first < own.end) {
        sum_superblocks(sums, shared, coded, constants, work, part, query_head, own);
    } else {
        begin();
        if (threadIdx.x < 8) tops[threadIdx.x] = MINUS_INFINITY;
    }
    __syncthreads();
    const u64 to = (u64(blockIdx.z) * gridDim.y + part) * gridDim.x + blockIdx.x;
    write_sums(reinterpret_cast<float *>(shared + codes_at(shared)), sums, work.sums + to * 8 * HEAD_DIM);
    if (threadIdx.x < 8) work.largest[to * 8 + threadIdx.x] = tops[threadIdx.x];
}
