// Weights in the layout of the GEMM kernels.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "backends/cpu/buffer.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/thread_pool.h"
#include "model/tensor_manifest.h"

namespace anabranch {

/// Linear layers of the same inputs, packed as one.
struct PackedLinear {
  int n = 0;  // outputs; of alternating gate and up panels, those of each
  int k = 0;  // inputs
  int panels = 0;
  bool gated = false;
  PanelFormat format;
  const std::byte* data = nullptr;  // [panels] of panel_bytes
  std::vector<float> bias;          // [panels, panel_width], or empty

  /// The member's share [first, last) of the panels. Gated pairs stay together.
  std::pair<int, int> share(const ThreadPool::Member& member) const;
};

/// Reads tensors of a checkpoint and packs them, in parallel, into memory of the arena.
class WeightPacker {
 public:
  WeightPacker(const Checkpoint& checkpoint, const Kernels& kernels, WeightType type,
               ThreadPool& pool, Arena& arena)
      : checkpoint_(checkpoint), kernels_(kernels), type_(type), pool_(pool), arena_(arena) {}

  /// Packs linear layers of the same inputs into one. Plain: their outputs one after another. Gated
  /// (two layers of equal size): their panels alternate.
  PackedLinear linear(const std::vector<LinearSpec>& layers, bool gated = false);

  /// Packs the head. Among int4 weights it has eight bits, unless the checkpoint has four.
  PackedLinear head(const LinearSpec& layer);

  /// Bytes of all packed layers.
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Source;
  std::vector<Source> sources_of(const std::vector<LinearSpec>& layers, bool gated) const;
  PanelFormat format_of(const std::vector<LinearSpec>& layers) const;
  PackedLinear pack(const std::vector<LinearSpec>& layers, bool gated, const PanelFormat& format);
  float rounded(float value) const;

  const Checkpoint& checkpoint_;
  const Kernels& kernels_;
  WeightType type_;
  ThreadPool& pool_;
  Arena& arena_;
  std::uint64_t bytes_ = 0;
};

}  // namespace anabranch
