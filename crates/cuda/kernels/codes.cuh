// From the codes of a spectral cache to coefficients (crates/spectral/src/trellis).
//
// 16 streams with the same bits a coefficient stand word by word next to each other, one a *lane*. Every thread decodes a
// part of one lane's stream: the state of the trellis is the last three trellis bits, so a part begins anywhere.
#pragma once
#include "device.cuh"

#define LANES 16

// How one side's codes are read: what is the same for all blocks of a layer.
struct Coding {
    // In the order of the stream, and eight more that mean nothing. x: where its first word's row begins, in bytes, plus
    // the bit in it; y: the symbol's mask, and above it where the levels of its rate begin; z: its place, in bytes; w:
    // its size as a half.
    const uint4 *entries;
    // [parts + 1]: the first entry of each head's keys, or of each tile's values.
    const u32 *starts;
};

// Two bits for each register of the trellis, its state times two plus the trellis bit: the subset.
#define SUBSETS 0xd7827d28u

// Where the codes of a side of a superblock are read by one thread, and what it makes of them.
struct Reader {
    // Of this thread's lane.
    const u8 *words;
    const uint4 *entries;
    // [1024] halves, in shared memory.
    const f16 *levels;
};

// Entries that are decoded together, so that their loads wait together.
#define TOGETHER 8

// The two words in which a symbol begins.
__device__ __forceinline__ uint2 load_words(const Reader &reader, u32 place) {
    const u32 *at = reinterpret_cast<const u32 *>(reader.words + (place & ~63u));
    return make_uint2(__ldg(at), __ldg(at + LANES));
}

// Fetches the words of the entries from `from` to `end` of all lanes into the second cache, all threads together.
__device__ __forceinline__ void prefetch(const u32 *words, const uint4 *entries, u32 from, u32 end) {
    const u8 *first = reinterpret_cast<const u8 *>(words) + (entries[from].x & ~63u);
    const u8 *last = reinterpret_cast<const u8 *>(words) + (entries[end].x & ~63u);
    for (const u8 *at = first + threadIdx.x * 64; at <= last; at += blockDim.x * 64)
        asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
}

// Writes the coefficients of the entries from `from` to `end` of one lane to their places.
__device__ __forceinline__ void decode(const Reader &reader, u32 from, u32 end, f16 *to) {
    // Twice the trellis' register: its bits are shift counts in SUBSETS, of which the hardware takes the lowest five.
    u32 cell = 0;
    for (u32 before = min(from, 3u); before > 0; before--) {
        const u32 place = reader.entries[from - before].x;
        const uint2 words = load_words(reader, place);
        cell = cell << 1 | (__funnelshift_r(words.x, words.y, place) & 1) << 1;
    }
    uint4 next[TOGETHER];
#pragma unroll
    for (int j = 0; j < TOGETHER; j++) next[j] = __ldg(reader.entries + from + j);
    for (u32 i = from; i < end; i += TOGETHER) {
        uint4 entry[TOGETHER];
        uint2 words[TOGETHER];
#pragma unroll
        for (int j = 0; j < TOGETHER; j++) entry[j] = next[j];
#pragma unroll
        for (int j = 0; j < TOGETHER; j++) words[j] = load_words(reader, entry[j].x);
        // The next entries, while these words are on their way.
#pragma unroll
        for (int j = 0; j < TOGETHER; j++) next[j] = __ldg(reader.entries + min(i + TOGETHER, end) + j);
#pragma unroll
        for (int j = 0; j < TOGETHER; j++) {
            const u32 symbol = __funnelshift_r(words[j].x, words[j].y, entry[j].x) & entry[j].y & 0xff;
            cell = cell << 1 | (symbol & 1) << 1;
            const u32 subset = __funnelshift_r(SUBSETS, SUBSETS, cell);
            const u32 level = (symbol << 1 & ~3u) | (subset & 3);
            const u32 value = reader.levels[(entry[j].y >> 16) + level];
            u32 product;
            asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(product) : "r"(value), "r"(entry[j].w));
            if (i + j < end) *reinterpret_cast<f16 *>(reinterpret_cast<u8 *>(to) + entry[j].z) = f16(product);
        }
    }
}
