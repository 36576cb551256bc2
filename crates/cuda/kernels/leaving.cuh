// Rows held whole that leave for a middle.
#pragma once
#include "device.cuh"

// Keys or values held whole: [G][capacity][D].
struct Rows {
    const bf16 *keys;
    const bf16 *values;
    u64 capacity;
    // The first row, the time it gets, and how many there are.
    u32 first;
    u32 time;
    u32 count;
};
