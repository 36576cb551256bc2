// From the codes of a spectral cache to coefficients (crates/spectral/src/trellis), bit-sliced.
//
// A superblock's 16 blocks have the same bits a coefficient. On the device bit `p` of the symbols of two coefficients is
// one word, a *plane*: bit b is that of block b of the first, bit 16 + b that of the second. So one instruction works on
// 32 symbols, and coefficients stand in any order: those with as many bits together, 32 pairs a *unit*, one pair a lane.
//
// The lowest bits of the symbols, which drive the trellis, stand in the order of the stream, since a coefficient's
// subset follows from them and those of the three before it: bit 0 is t[i - 2], bit 1 is t[i] ^ t[i - 1] ^ t[i - 3].
// Subset and upper bits are the number of a level; levels are looked up four at a time by `prmt` (up to 3 bits), or in
// shared memory (more).
#pragma once
#include "device.cuh"

// Blocks of a superblock.
#define LANES 16

// How one side's codes are read: what is the same for all superblocks of a layer.
struct Coding {
    // x: bits of a coefficient, and 256 if each pair follows on one another in stream and place; y: its first plane, in
    // words of the superblock, those of one bit for all pairs and then the next; z: its first pair; w: pairs, up to 32.
    const uint4 *units;
    // x: both sizes as halves; y: the place of the first in a block, in bytes, and above it where its trellis bits are, in
    // half words (words, where the two follow on one another) from the part's first word of them.
    const uint2 *pairs;
    // The same of the second, with NO_PLACE if there is none; not read where the two follow on one another.
    const u32 *seconds;
    // Of each part two: x, y: its units; then x, y: its planes, and z, w: its trellis bits, in words of the superblock.
    const uint4 *parts;
};

#define FOLLOWING 256
#define NO_PLACE 0xffffu

// In shared memory: the levels of a bit, and from where they begin, in words (attention/spectral_levels.rs).
#define LEVEL_WORDS 368
#define LEVELS_OF(bits) \
    ((bits) < 5 ? ((bits) < 4 ? 4 * (bits) - 4 : 16) : (bits) < 7 ? ((bits) < 6 ? 48 : 112) : (bits) == 7 ? 176 : 240)

// Bits of `a` where the mask has them, else of `b`.
__device__ __forceinline__ u32 choose(u32 mask, u32 a, u32 b) { return (a & mask) | (b & ~mask); }
// Bytes of a and b, by the nibbles of the lower half of `which`, whose highest bits are zero.
__device__ __forceinline__ u32 bytes_of(u32 a, u32 b, u32 which) {
    u32 out;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(which));
    return out;
}
// Both halves negated where bits 15 and 31 say so.
__device__ __forceinline__ u32 signed_by(u32 pair, u32 bits) { return pair ^ (bits & 0x80008000u); }

// Where the two coefficients of a lane go: into block after block, `STRIDE` bytes apart.
template <bool BOTH, int STRIDE> struct Places {
    u32 first;
    u32 second;
    bool has_second;

    __device__ __forceinline__ void put(int block, u32 pair) const {
        if (BOTH) {
            asm volatile("st.shared.b32 [%0], %1;" ::"r"(first + block * STRIDE), "r"(pair) : "memory");
        } else {
            asm volatile("st.shared.b16 [%0], %1;" ::"r"(first + block * STRIDE), "h"(u16(pair)) : "memory");
            if (has_second)
                asm volatile("st.shared.b16 [%0], %1;" ::"r"(second + block * STRIDE), "h"(u16(pair >> 16)) : "memory");
        }
    }
};

// The address of levels in shared memory that were written before the barrier before this. Reading them is then said to
// have no side effects, so that the stores of one coefficient do not hold up the loads of the next.
__device__ __forceinline__ u32 levels_at(const u32 *levels) {
    u32 address;
    asm volatile("mov.u32 %0, %1;" : "=r"(address) : "r"(shared_address(levels)) : "memory");
    return address;
}
__device__ __forceinline__ u32 read_level(u32 address) {
    u32 out;
    asm("ld.shared.b32 %0, [%1];" : "=r"(out) : "r"(address));
    return out;
}
__device__ __forceinline__ u32 read_half_level(u32 address) {
    u16 out;
    asm("ld.shared.b16 %0, [%1];" : "=h"(out) : "r"(address));
    return out;
}
__device__ __forceinline__ uint4 read_table(u32 address) {
    uint4 out;
    asm("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(out.x), "=r"(out.y), "=r"(out.z), "=r"(out.w) : "r"(address));
    return out;
}

// One bit: the levels are the sums of two numbers with signs.
template <class To> __device__ __forceinline__ void decode_signs(u32 (&planes)[2], u32 sizes, u32 levels, To to) {
    const u32 high = times_f16(sizes, read_level(levels)), low = times_f16(sizes, read_level(levels + 4));
    const u32 no_high = ~planes[1], no_low = ~planes[0];
#pragma unroll
    for (int b = 0; b < LANES; b++)
        to.put(b, plus_f16(signed_by(high, no_high << (15 - b)), signed_by(low, no_low << (15 - b))));
}

// Moves bits to the left, or to the right.
__device__ __forceinline__ u32 moved(u32 x, int left) { return left < 0 ? x >> -left : x << left; }

// Numbers of levels in nibbles, of four of their bits: nibble n of either half is block 4 n + q.
template <int BITS> __device__ __forceinline__ u32 nibbles(const u32 *planes, int q) {
    u32 out = choose(0x22222222u, moved(planes[1], 1 - q), moved(planes[0], -q));
    if (BITS > 2) out = choose(0x44444444u, moved(planes[2], 2 - q), out);
    if (BITS > 3) out = choose(0x88888888u, moved(planes[3], 3 - q), out);
    return out;
}

// Two and three bits: eight levels, or eight magnitudes, a byte of each in two registers.
template <int BITS, class To>
__device__ __forceinline__ void decode_bytes(u32 (&planes)[BITS + 1], u32 sizes, u32 levels, To to) {
    const uint4 table = read_table(levels);
    const u32 minus = ~planes[BITS];
    if (BITS == 3) {
#pragma unroll
        for (int i = 0; i < BITS; i++) planes[i] ^= minus;
    }
#pragma unroll
    for (int q = 0; q < 4; q++) {
        const u32 numbers = nibbles<3>(planes, q) & 0x77777777u;
#pragma unroll
        for (int side = 0; side < 2; side++) {
            // Blocks 8 side and 8 side + 4 of the first coefficient, and of the second.
            const u32 four = bytes_of(numbers, 0, side ? 0x31 : 0x20);
            const u32 high = bytes_of(table.x, table.y, four), low = bytes_of(table.z, table.w, four);
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const int block = 8 * side + 4 * i;
                const u32 size = BITS == 3 ? signed_by(sizes, minus << (15 - block - q)) : sizes;
                to.put(block + q, times_f16(bytes_of(low, high, i ? 0x7351 : 0x6240), size));
            }
        }
    }
}

#define NIBBLES 0x0f0f0f0fu
#define PAIRS 0x33333333u
#define SINGLES 0x55555555u

// Of four planes nibbles: number i has symbols i, i + 4 and so on.
__device__ __forceinline__ void gather(u32 (&to)[4], u32 a, u32 b, u32 c, u32 d) {
    const u32 low = choose(SINGLES, a, b << 1), low_odd = choose(SINGLES, a >> 1, b);
    const u32 high = choose(SINGLES, c, d << 1), high_odd = choose(SINGLES, c >> 1, d);
    to[0] = choose(PAIRS, low, high << 2);
    to[1] = choose(PAIRS, low_odd, high_odd << 2);
    to[2] = choose(PAIRS, low >> 2, high);
    to[3] = choose(PAIRS, low_odd >> 2, high_odd);
}

// Four and five bits: each level, twice, from a word of shared memory.
template <int BITS, class To>
__device__ __forceinline__ void decode_words(const u32 (&planes)[BITS + 1], u32 sizes, u32 levels, To to) {
    u32 lower[4];
    gather(lower, planes[0], planes[1], planes[2], planes[3]);
    const u32 even = BITS > 4 ? choose(SINGLES, planes[4], planes[BITS] << 1) : planes[4];
    const u32 odd = BITS > 4 ? choose(SINGLES, planes[4] >> 1, planes[BITS]) : planes[4] >> 1;
    const u32 first = sizes & 0xffff, second = sizes & 0xffff0000u;
#pragma unroll
    for (int x = 0; x < 8; x++) {
        // Places, in bytes: of blocks x and x + 8 of the first coefficient, and of the second.
        const u32 low = moved(lower[x % 4], x < 4 ? 2 : -2) & 0x3c3c3c3cu;
        const u32 upper = moved(x % 2 ? odd : even, (x < 4 ? 6 : 2) - x % 4 / 2 * 2);
        const u32 places = low | (upper & (BITS > 4 ? 0xc0c0c0c0u : 0x40404040u));
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const u32 a = read_level(levels + bytes_of(places, 0, 0x4440 + i));
            const u32 b = read_level(levels + bytes_of(places, 0, 0x4442 + i));
            to.put(x + 8 * i, fused_f16(a, first, times_f16(b, second)));
        }
    }
}

// A magnitude from shared memory: byte `i` of `numbers` is its place, in bytes, or its number.
template <int BITS> __device__ __forceinline__ u32 look_up(u32 levels, u32 numbers, int i) {
    const u32 place = bytes_of(numbers, 0, 0x4440 + i);
    return BITS < 7 ? read_level(levels + place) : read_half_level(levels + 2 * place);
}

// Six bits and more.
template <int BITS, class To>
__device__ __forceinline__ void decode_numbers(u32 (&planes)[BITS + 1], u32 sizes, u32 levels, To to) {
    // Bytes are places of words up to 6 bits, else numbers.
    constexpr int UP = BITS < 7 ? 2 : 0;
    constexpr u32 LOW = 0x01010101u * (15 << UP), ALL = 0x01010101u * (((1 << BITS) - 1) << UP & 255);
    const u32 minus = ~planes[BITS];
#pragma unroll
    for (int i = 0; i < BITS; i++) planes[i] ^= minus;
#pragma unroll
    for (int q = 0; q < 4; q++) {
        const u32 numbers = nibbles<4>(planes, q);
        u32 even = numbers << UP, odd = UP ? numbers >> 2 : numbers >> 4;
        if (BITS > 4) {
            const u32 upper = BITS > 5 ? nibbles<BITS - 4>(planes + 4, q) : moved(planes[4], -q);
            even = choose(LOW, even, upper << (4 + UP));
            odd = choose(LOW, odd, upper << UP);
        }
        even &= ALL;
        odd &= ALL;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            // Even nibbles are blocks 0 and 8 of the first coefficient, and of the second; odd ones 4 and 12.
            const u32 bytes = i % 2 ? odd : even;
            const u32 a = look_up<BITS>(levels, bytes, i / 2), b = look_up<BITS>(levels, bytes, 2 + i / 2);
            const u32 pair = bytes_of(a, b, 0x5410);
            to.put(4 * i + q, times_f16(pair, signed_by(sizes, minus << (15 - 4 * i - q))));
        }
    }
}

// Words of a part's codes that are kept in shared memory while they are decoded, the trellis bits first; at 2.1 bits a
// coefficient all are. What does not fit is read from where it is.
#define STAGED_WORDS (HEAD_DIM * 17)
// The most units of a part.
#define MOST_UNITS (HEAD_DIM / 4 + 32)
#define PART_BYTES (STAGED_WORDS * 4 + MOST_UNITS * 16 + 16)

// A part, and its codes of the superblock at hand.
struct Part {
    u32 units;
    // In words of a superblock: trellis bits and planes, from a multiple of 16 bytes to one.
    u32 trellis;
    u32 trellis_end;
    u32 planes;
    u32 planes_end;
    // In shared memory: codes, units, and what says that copies have arrived.
    u32 *staged;
    const uint4 *all_units;
    u32 arrival;
    u32 phase;
    const uint2 *pairs;
    const u32 *seconds;
    // This warp's next unit and its lane's pair.
    uint4 unit;
    uint2 pair;
};

// Of the DECODERS warps of a block together; a barrier must follow.
template <int DECODERS>
__device__ __forceinline__ Part load_part(const Coding &coding, u32 number, u8 *shared) {
    const uint4 units = __ldg(coding.parts + 2 * number), words = __ldg(coding.parts + 2 * number + 1);
    Part part;
    part.units = units.y - units.x;
    part.trellis = words.z & ~3u;
    part.trellis_end = (words.w + 3) & ~3u;
    part.planes = words.x & ~3u;
    part.planes_end = min((words.y + 3) & ~3u, part.planes + STAGED_WORDS - (part.trellis_end - part.trellis));
    part.staged = reinterpret_cast<u32 *>(shared);
    uint4 *to = reinterpret_cast<uint4 *>(shared + STAGED_WORDS * 4);
    part.all_units = to;
    part.arrival = shared_address(to + MOST_UNITS);
    part.phase = 0;
    part.pairs = coding.pairs;
    part.seconds = coding.seconds;
    for (u32 at = threadIdx.x; at < part.units; at += DECODERS * 32) to[at] = __ldg(coding.units + units.x + at);
    if (threadIdx.x == 0) begin_arrivals(part.arrival);
    part.unit = make_uint4(0, 0, 0, 0);
    part.pair = make_uint2(0, 0);
    const u32 own = threadIdx.x / 32;
    if (own < part.units) {
        part.unit = __ldg(coding.units + units.x + own);
        part.pair = __ldg(part.pairs + part.unit.z + min(threadIdx.x % 32, max(part.unit.w, 1u) - 1));
    }
    return part;
}

// Begins to copy a superblock's codes; after a barrier, the threads of the block together.
template <int DECODERS>
__device__ __forceinline__ void stage(const Part &part, const u32 *words) {
    const u32 trellis = part.trellis_end - part.trellis, planes = part.planes_end - part.planes;
#if __CUDA_ARCH__ >= 900
    if (threadIdx.x == 0) {
        expect_bytes(part.arrival, 4 * (trellis + planes));
        copy_bulk(shared_address(part.staged), words + part.trellis, 4 * trellis, part.arrival);
        if (planes > 0) copy_bulk(shared_address(part.staged + trellis), words + part.planes, 4 * planes, part.arrival);
    }
#else
    for (u32 at = threadIdx.x * 4; at < trellis + planes; at += DECODERS * 32 * 4) {
        const u32 from = at < trellis ? part.trellis + at : part.planes + at - trellis;
        copy_16(shared_address(part.staged + at), words + from, true);
    }
    end_copies();
#endif
}

// Waits until a superblock's codes are there; before sm_90 a barrier must follow.
__device__ __forceinline__ void wait_stage(Part &part) {
#if __CUDA_ARCH__ >= 900
    wait_arrival(part.arrival, part.phase);
    part.phase ^= 1;
#else
    wait_copies<0>();
#endif
}

// Fetches a superblock's codes into the second cache.
__device__ __forceinline__ void prefetch(const Part &part, const u32 *words) {
#if __CUDA_ARCH__ >= 900
    if (threadIdx.x == 0) {
        prefetch_bulk(words + part.trellis, 4 * (part.trellis_end - part.trellis));
        if (part.planes < part.planes_end) prefetch_bulk(words + part.planes, 4 * (part.planes_end - part.planes));
    }
#endif
}

// The subsets' two bits of a lane's coefficients, from its part's trellis bits.
template <bool BOTH> __device__ __forceinline__ uint2 subsets(const u32 *words, u32 first, u32 second) {
    if (BOTH) {
        const u32 *at = words + (first >> 16);
        const u32 now = at[0], before = at[-1], earliest = at[-2];
        // Trellis bits one coefficient earlier.
        const u32 shifted = bytes_of(before, now, 0x5432), earlier = bytes_of(earliest, before, 0x5432);
        return make_uint2(before, now ^ shifted ^ earlier);
    }
    const u16 *a = reinterpret_cast<const u16 *>(words) + (first >> 16);
    const u16 *b = reinterpret_cast<const u16 *>(words) + (second >> 16);
    const u32 high_a = u32(a[0] ^ a[-1] ^ a[-3]), high_b = u32(b[0] ^ b[-1] ^ b[-3]);
    return make_uint2(u32(a[-2]) | u32(b[-2]) << 16, high_a | high_b << 16);
}

// A word of shared memory, or where the address has an upper half of global memory.
__device__ __forceinline__ u32 load_plane(u64 address) {
    u32 out;
    if (address >> 32)
        asm volatile("ld.global.nc.b32 %0, [%1];" : "=r"(out) : "l"(address));
    else
        asm volatile("ld.shared.b32 %0, [%1];" : "=r"(out) : "r"(u32(address)));
    return out;
}

// `planes`: of this lane, `stride` words apart.
template <int BITS, bool BOTH, int STRIDE>
__device__ __forceinline__ void decode_unit(u64 planes, u32 stride, uint2 subset, uint2 pair, u32 second,
                                            u32 levels, u32 to) {
    u32 bits[BITS + 1] = {subset.x, subset.y};
#pragma unroll
    for (int i = 0; i + 1 < BITS; i++) bits[2 + i] = load_plane(planes + 4 * i * stride);
    const Places<BOTH, STRIDE> places = {to + (pair.y & 0xffff), to + (second & 0xffff), (second & 0xffff) != NO_PLACE};
    const u32 own = levels + 4 * LEVELS_OF(BITS);
    if constexpr (BITS == 1)
        decode_signs(bits, pair.x, own, places);
    else if constexpr (BITS < 4)
        decode_bytes<BITS>(bits, pair.x, own, places);
    else if constexpr (BITS < 6)
        decode_words<BITS>(bits, pair.x, own, places);
    else
        decode_numbers<BITS>(bits, pair.x, own, places);
}

template <bool BOTH, int STRIDE>
__device__ __forceinline__ void decode_any(const Part &part, u64 planes, u32 second, u32 levels, u32 to) {
    const uint2 low = subsets<BOTH>(part.staged, part.pair.y, second), pair = part.pair;
    const u32 count = part.unit.w;
    switch (part.unit.x % FOLLOWING) {
    case 1: return decode_unit<1, BOTH, STRIDE>(planes, count, low, pair, second, levels, to);
    case 2: return decode_unit<2, BOTH, STRIDE>(planes, count, low, pair, second, levels, to);
    case 3: return decode_unit<3, BOTH, STRIDE>(planes, count, low, pair, second, levels, to);
    case 4: return decode_unit<4, BOTH, STRIDE>(planes, count, low, pair, second, levels, to);
    case 5: return decode_unit<5, BOTH, STRIDE>(planes, count, low, pair, second, levels, to);
    case 6: return decode_unit<6, BOTH, STRIDE>(planes, count, low, pair, second, levels, to);
    case 7: return decode_unit<7, BOTH, STRIDE>(planes, count, low, pair, second, levels, to);
    case 8: return decode_unit<8, BOTH, STRIDE>(planes, count, low, pair, second, levels, to);
    }
}

// Writes the coefficients of a part to their places in 16 blocks, `STRIDE` bytes apart, in shared memory from `to` on;
// those without bits are left alone. `words`: the superblock's, which are staged.
template <int DECODERS, int STRIDE>
__device__ __forceinline__ void decode(Part &part, const u32 *words, u32 levels, u32 to) {
    const u32 lane = threadIdx.x % 32, own = threadIdx.x / 32;
    const u32 staged = shared_address(part.staged) + (part.trellis_end - part.trellis - part.planes) * 4;
    for (u32 i = own; i < part.units; i += DECODERS) {
        // The next unit, after the last one the first, while this one is decoded.
        const uint4 next = part.all_units[i + DECODERS < part.units ? i + DECODERS : own];
        const uint2 next_pair = __ldg(part.pairs + next.z + min(lane, max(next.w, 1u) - 1));
        const uint4 unit = part.unit;
        if (lane < unit.w) {
            const bool here = unit.y + (unit.x % FOLLOWING - 1) * unit.w <= part.planes_end;
            // Addresses in shared memory have no upper half.
            const u32 at = (unit.y + lane) * 4;
            const u64 planes = here ? staged + at : u64(words) + at;
            if (unit.x >= FOLLOWING)
                decode_any<true, STRIDE>(part, planes, 0, levels, to);
            else
                decode_any<false, STRIDE>(part, planes, __ldg(part.seconds + unit.z + lane), levels, to);
        }
        part.unit = next;
        part.pair = next_pair;
    }
    __syncwarp();
}
