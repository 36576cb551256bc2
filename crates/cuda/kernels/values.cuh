// Sums of coded values over tokens: rows of the products are directions, and what is summed over are harmonics and blocks.
//
// A *unit* is 16 directions times four harmonics, in 16 blocks: 64 coefficients, two a lane. Lane 4 r + j has harmonic j of
// directions r and r + 8, which is how a product wants its left side: two numbers of a register are a coefficient in two
// blocks. So codes become fragments in registers, and neither coefficients nor values are ever written.
//
// Planes are as in codes.cuh, half a word a coefficient: bit b is that of block b. A level, or two of up to three bits, is
// looked up in shared memory by a byte of its number. Each of 32 lanes has its own table there, in a bank of its own,
// and the byte is put into an address by one `prmt`.
#pragma once
#include "codes.cuh"

// How values are coded: what is the same for all superblocks of a layer; attention/spectral_rows.rs.
struct ValueCoding {
    // [parts][UNIT_ENTRIES]: the harmonics of four quads, a byte each; then [ROW_TILES][4 quads] units: the most bits of a
    // coefficient, and above them its number in the part. Zero: none.
    const u32 *units;
    // [units][32 lanes]: x: sizes as halves; y: halves of a superblock's staged words where trellis bits are, and bit 15:
    // the second table; z: the same of planes, and bit 15: the third; w: masks and fillings of numbers, a byte each.
    const uint4 *lanes;
    // [parts]: x, y: planes, z, w: trellis bits, in words of a superblock.
    const uint4 *words;
    // [parts]: the first unit and their number.
    const uint2 *parts;
};

#define ROW_TILES (HEAD_DIM / 16)
#define UNIT_ENTRIES (4 + 4 * ROW_TILES)
// A team of warps has a superblock at a time, each warp some rows of it.
#define TEAM_WARPS 4
#define TEAM (TEAM_WARPS * 32)
#define TEAMS (MOST_SHARED > 150000 ? 4 : 1)
#define ROW_SHARES ((ROW_TILES + TEAM_WARPS - 1) / TEAM_WARPS)

// Tables: words of 256 rows, 256 rows and 128 rows (attention/spectral_levels.rs). With one a lane they begin at a
// multiple of 64 KB of shared memory: an address is row, table and lane put together.
#define PRIVATE_TABLES (MOST_SHARED > 200000)
#define TABLE_ROWS 640
#define TABLES_AT 65536
#define TABLES_END (PRIVATE_TABLES ? TABLES_AT + 3 * 32768 : 0)

// A head's weights of a superblock, [16 harmonics][8 words of two blocks], and 16 bytes more against bank conflicts.
#define WEIGHT_WORDS (SUPERBLOCK / 2)
#define WEIGHT_ROW (WEIGHT_WORDS * 4 + 16)
#define WEIGHT_BYTES (8 * WEIGHT_ROW)
// Before the tables: what says that copies have arrived, the largest scores, units, and weights of two superblocks a team.
#define ARRIVALS_AT 0
#define TOPS_AT (ARRIVALS_AT + TEAMS * 16)
#define UNITS_AT (TOPS_AT + 32)
#define LANES_AT ((UNITS_AT + UNIT_ENTRIES * 4 + 15) / 16 * 16)
#define WEIGHTS_AT (LANES_AT + ROW_TILES * 4 * 512)
#define WEIGHTS_END (WEIGHTS_AT + TEAMS * 2 * WEIGHT_BYTES)
// Codes of two superblocks a team, at 2.1 bits a coefficient; where there are more, fewer teams have work. At least one
// has: with 8 bits each coefficient takes 64 words and a few more.
#define CODE_ROOM(bytes) (bytes > HEAD_DIM * 512 + 512 ? bytes : HEAD_DIM * 512 + 512)
#define CODE_BYTES CODE_ROOM(TEAMS * 2 * HEAD_DIM * 68)
#if PRIVATE_TABLES
// Dynamic shared memory begins at address 1024 or before.
#define SUM_BYTES (TABLES_END - 1024 + CODE_BYTES)
#else
#define SHARED_TABLES_AT WEIGHTS_END
#define SUM_BYTES (SHARED_TABLES_AT + TABLE_ROWS * 4 + CODE_BYTES)
#endif
// Where codes begin.
__device__ __forceinline__ u32 codes_at(const u8 *shared) {
#if PRIVATE_TABLES
    return TABLES_END - shared_address(shared);
#else
    return SHARED_TABLES_AT + TABLE_ROWS * 4;
#endif
}

// Where a superblock's codes of a part are, and how many: trellis bits first, from multiples of 16 bytes to such.
struct Stretch {
    u32 trellis;
    u32 trellis_words;
    u32 planes;
    u32 plane_words;
    // Words of a buffer: some more may be read than are used.
    u32 room;
};

__device__ __forceinline__ Stretch load_stretch(const ValueCoding &coding, u32 part) {
    const uint4 words = __ldg(coding.words + part);
    Stretch to;
    to.trellis = words.z & ~3u;
    to.trellis_words = ((words.w + 3) & ~3u) - to.trellis;
    to.planes = words.x & ~3u;
    to.plane_words = ((words.y + 3) & ~3u) - to.planes;
    to.room = to.trellis_words + to.plane_words + 4;
    return to;
}

// The tables from words of their rows; all threads.
__device__ __forceinline__ void fill_tables(u8 *shared, const u32 *rows) {
#if PRIVATE_TABLES
    u8 *tables = shared + TABLES_AT - shared_address(shared);
    // All are asked for before the first is there.
#pragma unroll
    for (u32 i = 0; i < TABLE_ROWS * 8 / (TEAMS * TEAM); i++) {
        const u32 at = threadIdx.x + i * TEAMS * TEAM;
        const u32 row = at / 8, word = __ldg(rows + row);
        const u32 to = row / 512 * 65536 + row % 256 * 256 + row / 256 % 2 * 128 + at % 8 * 16;
        *reinterpret_cast<uint4 *>(tables + to) = make_uint4(word, word, word, word);
    }
#else
    for (u32 at = threadIdx.x; at < TABLE_ROWS; at += TEAMS * TEAM)
        reinterpret_cast<u32 *>(shared + SHARED_TABLES_AT)[at] = __ldg(rows + at);
#endif
}

// What a lane of a unit has, of its first and second coefficient.
struct Symbols {
    // Where its codes and tables are.
    u32 codes;
    u32 tables;
    u32 mask;
    u32 filling;
    uint4 own;

    __device__ __forceinline__ Symbols(u32 at, u32 levels, uint4 lane) : codes(at), own(lane) {
        // Of each coefficient half a register.
        const u32 flags = (own.y >> 8 & 0x00800080u) + (own.z >> 7 & 0x01000100u);
#if PRIVATE_TABLES
        tables = flags + threadIdx.x % 32 * 0x00040004u + TABLES_AT / 65536 * 0x01000100u;
#else
        tables = levels * 0x00010001u + (flags << 3);
#endif
        mask = bytes_of(own.w, 0, 0x2200);
        filling = bytes_of(own.w, 0, 0x3311);
    }

    __device__ __forceinline__ static u32 read_half(u32 address) {
        u16 out;
        asm volatile("ld.shared.b16 %0, [%1];" : "=h"(out) : "r"(address) : "memory");
        return out;
    }

    // The subsets' two bits.
    __device__ __forceinline__ uint2 subsets() const {
        const u32 a = codes + 2 * (own.y & 0x7fff), b = codes + 2 * (own.y >> 16 & 0x7fff);
        const u32 high_a = read_half(a) ^ read_half(a - 2) ^ read_half(a - 6);
        const u32 high_b = read_half(b) ^ read_half(b - 2) ^ read_half(b - 6);
        return make_uint2(bytes_of(read_half(a - 4), read_half(b - 4), 0x5410), bytes_of(high_a, high_b, 0x5410));
    }

    // Upper bits, from the lowest on.
    template <int COUNT> __device__ __forceinline__ void planes(u32 (&to)[COUNT]) const {
        const u32 a = codes + 2 * (own.z & 0x7fff), b = codes + 2 * (own.z >> 16 & 0x7fff);
#pragma unroll
        for (int i = 0; i < COUNT; i++) to[i] = bytes_of(read_half(a + 2 * i), read_half(b + 2 * i), 0x5410);
    }

    // What byte `i` of numbers looks up; bytes 0 and 1 are of the first coefficient, 2 and 3 of the second.
    __device__ __forceinline__ u32 level(u32 numbers, int i) const {
#if PRIVATE_TABLES
        return read_level(bytes_of(numbers, tables, (i < 2 ? 0xd504 : 0xf706) | i << 4));
#else
        const u32 table = tables & 0xffff, second = tables >> 16;
        return read_level((i < 2 ? table : second) + bytes_of(numbers, 0, 0x4440 + i) * 4);
#endif
    }

    __device__ __forceinline__ u32 numbers(u32 raw) const { return (raw & mask) | filling; }
};

// The weights of blocks 2p, 2p + 1 and of 2p + 8, 2p + 9.
__device__ __forceinline__ uint2 weights_of(const uint4 (&weights)[2], int p) {
    return p % 2 ? make_uint2(weights[p / 2].z, weights[p / 2].w) : make_uint2(weights[p / 2].x, weights[p / 2].y);
}

// Up to three bits: two blocks of a coefficient are one number.
template <int BITS>
__device__ __forceinline__ void add_pairs(float (&sums)[4], const Symbols &symbols, const uint4 (&weights)[2]) {
    const uint2 low = symbols.subsets();
    // Nibbles of two bits each, of even and of odd pairs of blocks.
    const u32 even = choose(PAIRS, low.x, low.y << 2), odd = choose(PAIRS, low.x >> 2, low.y);
    u32 numbers[4] = {even, odd, even >> 4, odd >> 4};
    if constexpr (BITS > 1) {
        u32 planes[BITS - 1];
        symbols.planes(planes);
        u32 upper = planes[0], upper_odd = planes[0] >> 2;
        if constexpr (BITS > 2) {
            upper = choose(PAIRS, planes[0], planes[1] << 2);
            upper_odd = choose(PAIRS, upper_odd, planes[1]);
        }
        numbers[0] = choose(NIBBLES, numbers[0], upper << 4);
        numbers[1] = choose(NIBBLES, numbers[1], upper_odd << 4);
        numbers[2] = choose(NIBBLES, numbers[2], upper);
        numbers[3] = choose(NIBBLES, numbers[3], upper_odd);
    }
    const u32 first = bytes_of(symbols.own.x, 0, 0x1010), second = bytes_of(symbols.own.x, 0, 0x3232);
#pragma unroll
    for (int p = 0; p < 4; p++) {
        const u32 n = symbols.numbers(numbers[p]);
        const u32 a[4] = {times_f16(symbols.level(n, 0), first), times_f16(symbols.level(n, 2), second),
                          times_f16(symbols.level(n, 1), first), times_f16(symbols.level(n, 3), second)};
        const uint2 b = weights_of(weights, p);
        product_f16(sums, a, b.x, b.y);
    }
}

// Numbers of four bits and more, a byte each: of blocks x and x + 8, x from 0 to 7.
template <int BITS> __device__ __forceinline__ void numbers_of(u32 (&to)[8], uint2 low, const u32 (&planes)[BITS - 1]) {
    u32 lower[4], upper[4];
    gather(lower, low.x, low.y, planes[0], planes[1]);
    if constexpr (BITS == 4) {
#pragma unroll
        for (int i = 0; i < 4; i++) upper[i] = planes[2] >> i;
    } else if constexpr (BITS == 5) {
        const u32 even = choose(SINGLES, planes[2], planes[3] << 1), odd = choose(SINGLES, planes[2] >> 1, planes[3]);
        upper[0] = even;
        upper[1] = odd;
        upper[2] = even >> 2;
        upper[3] = odd >> 2;
    } else {
        gather(upper, planes[2], planes[3], planes[4], BITS > 6 ? planes[BITS > 6 ? 5 : 0] : 0);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        to[i] = choose(NIBBLES, lower[i], upper[i] << 4);
        to[i + 4] = choose(NIBBLES, lower[i] >> 4, upper[i]);
    }
}

// Four to six bits.
template <int BITS>
__device__ __forceinline__ void add_singles(float (&sums)[4], const Symbols &symbols, const uint4 (&weights)[2]) {
    const uint2 low = symbols.subsets();
    u32 planes[BITS - 1], numbers[8];
    symbols.planes(planes);
    numbers_of<BITS>(numbers, low, planes);
#pragma unroll
    for (int i = 0; i < 8; i++) numbers[i] = symbols.numbers(numbers[i]);
    const u32 sizes = symbols.own.x;
#pragma unroll
    for (int p = 0; p < 4; p++) {
        u32 a[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            // A word of a table has a level twice: the lower one of the one block, the upper one of the next.
            const u32 left = i < 2 ? sizes & 0xffff : sizes >> 16, right = i < 2 ? sizes << 16 : sizes & 0xffff0000u;
            a[i % 2 * 2 + i / 2] = fused_f16(symbols.level(numbers[2 * p], i), left,
                                             times_f16(symbols.level(numbers[2 * p + 1], i), right));
        }
        const uint2 b = weights_of(weights, p);
        product_f16(sums, a, b.x, b.y);
    }
}

// Any number of bits, seldom seven or eight: levels from where they are. `filling` has the bits.
__device__ __forceinline__ void add_wide(float (&sums)[4], const Symbols &symbols, const uint4 (&weights)[2],
                                         const u16 *levels) {
    const uint2 low = symbols.subsets();
    u32 planes[7], numbers[8];
    symbols.planes(planes);
    numbers_of<8>(numbers, low, planes);
    const u32 first = bytes_of(symbols.own.x, 0, 0x1010), second = bytes_of(symbols.own.x, 0, 0x3232);
#pragma unroll
    for (int p = 0; p < 4; p++) {
        u32 a[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const u32 bits = symbols.filling >> i / 2 * 16 & 0xff;
            u32 pair = 0;
#pragma unroll
            for (int next = 0; next < 2; next++) {
                const int block = 2 * p + next;
                const u32 symbol = block + i % 2 * 8 + i / 2 * 16;
                const u32 ninth = bits == 8 ? planes[6] >> symbol & 1 : 0;
                const u32 number = (numbers[block] & symbols.mask) >> 8 * i & 0xff;
                pair |= u32(__ldg(levels + (2u << bits) - 4 + number + 256 * ninth)) << 16 * next;
            }
            a[i % 2 * 2 + i / 2] = times_f16(pair, i < 2 ? first : second);
        }
        const uint2 b = weights_of(weights, p);
        product_f16(sums, a, b.x, b.y);
    }
}

// Adds a unit whose coefficients have up to `bits` bits.
__device__ __forceinline__ void add_unit(float (&sums)[4], u32 bits, const Symbols &symbols, const uint4 (&weights)[2],
                                         const u16 *levels) {
    switch (bits) {
    case 1: return add_pairs<1>(sums, symbols, weights);
    case 2: return add_pairs<2>(sums, symbols, weights);
    case 3: return add_pairs<3>(sums, symbols, weights);
    case 4: return add_singles<4>(sums, symbols, weights);
    case 5: return add_singles<5>(sums, symbols, weights);
    case 6: return add_singles<6>(sums, symbols, weights);
    default: return add_wide(sums, symbols, weights, levels);
    }
}
