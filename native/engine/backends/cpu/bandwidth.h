// The machine's memory bandwidth, to compare measurements with.
#pragma once

#include <cstdint>

namespace anabranch {

/// Bytes per second at which `threads` threads read a buffer of `bytes`, each its share in order:
/// the best of `passes`. Throws Error if there is no memory for the buffer.
double read_bandwidth(int threads, std::uint64_t bytes, int passes);

}  // namespace anabranch
