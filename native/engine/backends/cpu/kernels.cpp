// Compiled once per instruction set; ANABRANCH_PATH names the copy (see CMakeLists.txt). With
// ANABRANCH_DOT, bf16 products use a dot-product instruction on pairs of values; on CPUs without
// the instruction the same arithmetic is written out, so that they can test the logic of that copy.
//
// Everything here has internal linkage and uses no library function that could be emitted out of
// line: the linker must never use a function of one instruction set in place of another's.
#include "backends/cpu/kernels.h"

#include "backends/cpu/attention.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/low_rank.h"

#define ANABRANCH_STRING_(x) #x
#define ANABRANCH_STRING(x) ANABRANCH_STRING_(x)

namespace anabranch {

#define ANABRANCH_TABLE_(path) kernels_##path
#define ANABRANCH_TABLE(path) ANABRANCH_TABLE_(path)
extern const Kernels ANABRANCH_TABLE(ANABRANCH_PATH);
const Kernels ANABRANCH_TABLE(ANABRANCH_PATH) = {ANABRANCH_STRING(ANABRANCH_PATH),
                                                 kPanelWidth,
                                                 kPairs,
                                                 pack,
                                                 pack_four_bit,
                                                 gemm,
                                                 rms_norm,
                                                 attend,
                                                 merge,
                                                 project,
                                                 expand};

}  // namespace anabranch
