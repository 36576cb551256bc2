// What every kernel here is made of: number types, conversions, asynchronous copies, matrix instructions.
// Self-contained: no header of a toolkit is included. For sm_80 and up.
//
// Fragments of `mma.m16n8k16` (lane = 0..31, r = lane / 4, j = lane % 4), a register holding two 16-bit numbers:
//   A [16 rows][16 k]: a0 (r, 2j..), a1 (r + 8, 2j..), a2 (r, 2j + 8..), a3 (r + 8, 2j + 8..)
//   B [16 k][8 cols]:  b0 (k 2j.., col r), b1 (k 2j + 8.., col r)
//   C [16 rows][8 cols] in f32: c0, c1 (r, 2j..), c2, c3 (r + 8, 2j..)
// So the C fragment of X is, packed, the A fragment of X and the B fragment of X transposed.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
// The 16 bits of a bfloat16 or of an IEEE half.
typedef u16 bf16;
typedef u16 f16;

// Bytes of shared memory that a block may have, and that a multiprocessor has for all its blocks.
#if __CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1200
#define MOST_SHARED 232448
#elif __CUDA_ARCH__ == 800 || __CUDA_ARCH__ == 870
#define MOST_SHARED 166912
#else
#define MOST_SHARED 101376
#endif

#define MINUS_INFINITY __int_as_float(0xff800000)
#define LOG2_E 1.4426950408889634f

__device__ __forceinline__ float bf16_to_float(bf16 x) { return __uint_as_float(u32(x) << 16); }
// The two halves of a register of bfloat16.
__device__ __forceinline__ float low_float(u32 pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_float(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }

__device__ __forceinline__ u32 pack_bf16(float low, float high) {
    u32 out;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
    return out;
}
__device__ __forceinline__ u32 pack_f16(float low, float high) {
    u32 out;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
    return out;
}
__device__ __forceinline__ bf16 to_bf16(float x) { return bf16(pack_bf16(x, 0.0f)); }
__device__ __forceinline__ f16 to_f16(float x) { return f16(pack_f16(x, 0.0f)); }

// 2^x; zero for minus infinity.
__device__ __forceinline__ float power_of_two(float x) {
    float out;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
}

__device__ __forceinline__ u32 shared_address(const void *pointer) { return u32(__cvta_generic_to_shared(pointer)); }

// Copies 16 bytes into shared memory without waiting; writes zeros where `there` is false.
__device__ __forceinline__ void copy_16(u32 to, const void *from, bool there) {
    const int bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
__device__ __forceinline__ void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until no more than `LEFT` groups of copies are under way.
template <int LEFT> __device__ __forceinline__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

// Fetches 128 bytes into the second cache.
__device__ __forceinline__ void prefetch_line(const void *at) { asm volatile("prefetch.global.L2 [%0];" ::"l"(at)); }

// Copies of multiples of 16 bytes by the copy engine, one thread for all; `arrival`: 8 bytes of shared memory that say
// when they are there.
__device__ __forceinline__ void begin_arrivals(u32 arrival) {
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(arrival) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ void expect_bytes(u32 arrival, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(arrival), "r"(bytes) : "memory");
}
__device__ __forceinline__ void copy_bulk(u32 to, const void *from, u32 bytes, u32 arrival) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
                 "l"(from), "r"(bytes), "r"(arrival)
                 : "memory");
}
__device__ __forceinline__ void prefetch_bulk(const void *from, u32 bytes) {
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
}
// Waits for the end of a phase, 0 and 1 in turn.
__device__ __forceinline__ void wait_arrival(u32 arrival, u32 phase) {
    asm volatile("{\n.reg .pred done;\nagain_%=:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@!done bra again_%=;\n}" ::"r"(arrival),
                 "r"(phase)
                 : "memory");
}
#endif

// Four 8x8 matrices of 16-bit numbers; lane 8i + r gives the address of row r of matrix i.
__device__ __forceinline__ void load_matrices(u32 (&to)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}
// The same, each transposed.
__device__ __forceinline__ void load_matrices_transposed(u32 (&to)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}
// An 8x8 matrix of 16-bit numbers, held as C fragments are, transposed across the warp.
__device__ __forceinline__ u32 transpose(u32 pair) {
    u32 out;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(pair));
    return out;
}

// c += a * b
__device__ __forceinline__ void product_bf16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void product_f16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// Both numbers of a register of 16-bit floats, negated.
__device__ __forceinline__ u32 negated(u32 pair) { return pair ^ 0x80008000u; }

// Arithmetic on both halves of a register.
__device__ __forceinline__ u32 times_f16(u32 a, u32 b) {
    u32 out;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
    return out;
}
__device__ __forceinline__ u32 plus_f16(u32 a, u32 b) {
    u32 out;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
    return out;
}
__device__ __forceinline__ u32 fused_f16(u32 a, u32 b, u32 c) {
    u32 out;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(c));
    return out;
}
__device__ __forceinline__ u32 minus_f16(u32 a) {
    u32 out;
    asm("neg.f16x2 %0, %1;" : "=r"(out) : "r"(a));
    return out;
}

// Reductions over all lanes of a warp.
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    return x;
}
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

// A barrier of `threads` threads; number 0 is that of __syncthreads.
__device__ __forceinline__ void barrier(int number, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory");
}

// What changes a state from maximum `from` to the larger `to`; both in powers of two. Nothing seen: zero.
__device__ __forceinline__ float rescale(float from, float to) {
    return from == MINUS_INFINITY ? 0.0f : power_of_two(from - to);
}

// Waits until everything before this kernel is done, then lets the next one begin: what a kernel does before this is
// done while the one before it ends. It may read then what was written before that one, and write nothing.
__device__ __forceinline__ void begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
