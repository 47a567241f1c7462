// The machine's own speed, which every figure of ours is read against.
#pragma once

#include <cstdint>

namespace anabranch {

/// Bytes a second that `threads` threads read from a buffer of `bytes`, in order, each its share:
/// the best of `passes`. Throws Error where there is no memory for it.
double read_bandwidth(int threads, std::uint64_t bytes, int passes);

}  // namespace anabranch
