// The description of one step: what its kernels read besides weights and activations. It is built
// on the host and copied to the device in one transfer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "backends/attention_plan.h"
#include "backends/backend.h"
#include "backends/cuda/kernels.h"
#include "backends/cuda/memory.h"
#include "model/config.h"

namespace anabranch::ANABRANCH_CUDA {

/// A pinned host buffer and a device buffer of the same layout, filled front to back and copied at
/// once.
class StagingBuffer {
 public:
  StagingBuffer() = default;
  explicit StagingBuffer(size_t bytes) : host_(bytes), device_(bytes, "a step's description") {}

  size_t size() const { return host_.count(); }
  void clear() { used_ = 0; }

  /// Reserves `count` elements: where the host writes them, and where the device reads them.
  template <class T>
  std::pair<T*, T*> take(size_t count) {
    const size_t at = round_up(used_, 16);
    if (at + count * sizeof(T) > host_.count()) {
      throw Error(ErrorCode::kInternal, "a step's description is larger than its buffer");
    }
    used_ = at + count * sizeof(T);
    return {reinterpret_cast<T*>(host_.data() + at), reinterpret_cast<T*>(device_.data() + at)};
  }
  /// Appends a copy of `elements`: where the device reads them.
  template <class T>
  T* append(const std::vector<T>& elements) {
    const auto [host, device] = take<T>(elements.size());
    std::copy(elements.begin(), elements.end(), host);
    return device;
  }
  void send(cudaStream_t stream) {
    check(cudaMemcpyAsync(device_.data(), host_.data(), used_, cudaMemcpyHostToDevice, stream),
          "sending a step's description");
  }

 private:
  Pinned<std::byte> host_;
  Array<std::byte> device_;
  size_t used_ = 0;
};

/// Chunk attention of rows [first_row, first_row + rows), whose partials fit the buffer together.
struct StepWave {
  int first_row = 0, rows = 0;
  int max_items = 0;  // the grid: the plan's items, padded
  const DeviceAttentionPlan* plan = nullptr;
  const WorkItem* items = nullptr;  // [max_items]
};

/// The attention of a step's rows in all layers of one window.
struct StepAttention {
  const RowPartials* row_partials = nullptr;  // [rows]
  std::vector<StepWave> waves;
};

/// The adapters of a step's rows.
struct StepAdapters {
  unsigned products = 0;  // that one of them updates, by bit; see AdaptedProduct
  int most_ranks = 0;     // rows of `a` of an update, at most
  bool has_embeddings = false, has_heads = false;
  LowRankTerm low_rank;                      // without product, projected and stride
  const float* const* embeddings = nullptr;  // [rows], as EmbedArgs::trained
  const TrainedRows* heads = nullptr;        // [logits_rows]
};

/// Steps of more rows are not worth a graph.
constexpr int kMaxGraphRows = 256;

/// A step, ready to run. Pointers are device pointers into the staging buffer.
struct Step {
  int rows = 0, logits_rows = 0;            // padded, so that few graphs fit all steps
  const StepRow* step_rows = nullptr;       // [rows]
  const int* logits_source_rows = nullptr;  // [logits_rows], the row of each logits row
  std::vector<StepAttention> attention;     // one per window
  PrefillAttention prefill;                 // without `out`
  int num_prefill_tiles = 0;
  StepAdapters adapters;
};

/// Turns batches into steps. Call plan(), reserve() and stage() in this order for each step.
class StepBuilder {
 public:
  StepBuilder() = default;
  StepBuilder(const ModelConfig& config, int max_rows, int max_partials, bool deterministic,
              int multiprocessors);
  void set_total_blocks(int total_blocks);

  /// Decides which rows attend as prefill spans and which by chunks.
  void plan(const Batch& batch);
  /// Makes room in the staging buffer for the planned step. Returns whether the buffer moved, which
  /// invalidates captured graphs.
  bool reserve(const Batch& batch);
  /// Writes the step's description and queues its copy to the device.
  Step stage(const Batch& batch, cudaStream_t stream);

  /// Tokens of KV that the planned step reads in a layer of this window (an index in
  /// ModelConfig::windows); those that rows share count once.
  std::uint64_t kv_tokens(int window) const;

 private:
  void find_prefill_spans(const Batch& batch);
  int padded_rows(int rows) const;
  int tiles_side_by_side(const AttentionPlan& plan, const AttentionPlan::Wave& wave) const;
  int count_items(const AttentionPlan& plan, const AttentionPlan::Wave& wave, int tiles) const;
  StepAdapters stage_adapters(const Batch& batch, const Step& step);
  StepWave stage_wave(const AttentionPlan& plan, const AttentionPlan::Wave& wave,
                      std::vector<DeviceAttentionPlan*>& device_plans);

  int max_rows_ = 0, max_partials_ = 0, total_blocks_ = 0;
  int kv_heads_ = 0, group_ = 0;  // query heads per KV head
  int multiprocessors_ = 1;
  bool deterministic_ = false;

  std::vector<int> windows_;          // ModelConfig::windows
  std::vector<AttentionPlan> plans_;  // one per window
  std::vector<int> blocks_;           // KV blocks of all prefill ranges and work items
  std::vector<PrefillSpan> prefill_spans_;
  std::vector<PrefillKvRange> prefill_ranges_;
  std::vector<PrefillTile> prefill_tiles_;
  std::vector<char> in_prefill_span_;  // [rows]
  StagingBuffer staging_;
};

}  // namespace anabranch::ANABRANCH_CUDA
