// Compiled once per instruction set; ANABRANCH_PATH names the copy (see CMakeLists.txt).
// ANABRANCH_DOT says that bf16 products go two by two through a dot-product instruction; without
// the instruction the same arithmetic is spelled out, which lets any CPU check that copy's logic.
//
// Everything here has internal linkage, and nothing of a library that could be emitted out of line
// is used: a function compiled for one instruction set must never be linked in for another's.
#include "backends/cpu/kernels.h"

#include "backends/cpu/attention.h"
#include "backends/cpu/gemm.h"

#define ANABRANCH_STRING_(x) #x
#define ANABRANCH_STRING(x) ANABRANCH_STRING_(x)

namespace anabranch {

#define ANABRANCH_TABLE_(path) kernels_##path
#define ANABRANCH_TABLE(path) ANABRANCH_TABLE_(path)
extern const Kernels ANABRANCH_TABLE(ANABRANCH_PATH);
const Kernels ANABRANCH_TABLE(ANABRANCH_PATH) = {
    ANABRANCH_STRING(ANABRANCH_PATH), kStrip, kPairs, pack, gemm, rms_norm, attend, merge};

}  // namespace anabranch
