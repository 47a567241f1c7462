// What LoRA adapters add to the products of a step, on the CPU.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "backends/backend.h"
#include "backends/cpu/buffer.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/packed_weights.h"
#include "backends/cpu/thread_pool.h"

namespace anabranch {

/// A product of a layer that adapters may update.
struct AdaptedProduct {
  enum class Kind { kQkv, kOutput, kGateUp, kDown };
  Kind kind = Kind::kQkv;
  int layer = 0;
  bool logits_rows = false;  // its rows are those with logits, in their order
};

/// Rows of the head that an adapter has, as weights of a product in fp32.
struct PackedRows {
  int n = 0;
  int panels = 0;
  std::vector<std::byte> data;  // [panels] of panel_bytes
};

/// What an adapter adds to one product, as LowRankUpdate has it.
struct PackedUpdate {
  int ranks = 0;  // of all layers of the product together, of each padded to pairs
  WeightType type = WeightType::kF32;
  std::vector<std::byte> a, b;
  std::vector<PanelRanks> panels;

  LowRankUpdate view() const { return {type, a.data(), b.data(), panels.data()}; }
};

/// The products of a layer, as they are packed.
struct PackedLayer {
  const PackedLinear *qkv, *output, *gate_up, *down;
};

struct PackedAdapter final : BackendAdapter {
  /// By layer and AdaptedProduct::Kind.
  std::vector<std::array<PackedUpdate, 4>> layers;
  PackedRows head;  // of TokenRows
};

/// The updates of `adapter` for products of `layers`, of a model with weights of `type`: beside
/// fp32 weights in fp32, else in bf16.
std::shared_ptr<PackedAdapter> pack_adapter(const Adapter& adapter,
                                            const std::vector<PackedLayer>& layers,
                                            const Kernels& kernels, WeightType type);

/// The low-rank updates of one step. They are handed to the base model's products as addends: rows
/// without an adapter have none and keep their bits.
class AdapterUpdates {
 public:
  AdapterUpdates() = default;
  /// `packed_columns` outputs are the most that a product has.
  AdapterUpdates(const Kernels& kernels, int max_rows, int packed_columns, int threads);

  /// Notes which rows of the step have an adapter. For one thread, before the others begin.
  void plan(const Batch& batch);

  /// The widest vocabulary of the step's rows, at least `own`.
  int widest_vocabulary(int own) const;
  /// That of one logits row.
  int vocabulary_of(int logits_row, int own) const;

  /// Whether any row has an update of this product. If so, all members call project(), wait for
  /// each other if is_shared(), and call expand().
  bool has(const AdaptedProduct& product) const;
  /// Whether members share A · x: of few rows each computes all, so that none waits for another.
  bool is_shared(const AdaptedProduct& product) const;
  /// This member's part of A · x. `g` says what x is, and has the member's scratch.
  void project(const AdaptedProduct& product, const Gemm& g, int k,
               const ThreadPool::Member& member);
  /// Computes B · (A · x) of this member's panels, and gives it to `g`.
  void expand(const AdaptedProduct& product, const PackedLinear& w, Gemm& g,
              const ThreadPool::Member& member);

  bool has_head_rows() const;
  /// This member's share of the logits of tokens whose rows of the head adapters replace. `g` has
  /// the head's inputs and the member's scratch; row r's logits begin at logits[r · stride].
  void replace_logits(const Gemm& g, int k, float* logits, std::ptrdiff_t stride,
                      const ThreadPool::Member& member);

 private:
  struct Entry {
    int row = 0;
    const Adapter* adapter = nullptr;
  };
  /// The rows of the step's products, or of those after the last layer's K and V.
  struct Rows {
    std::vector<Entry> entries;            // with an adapter
    std::vector<const Adapter*> adapters;  // different ones of these
    std::vector<const float*> addends;     // [rows], into addends_; null without an adapter
  };

  const Rows& rows_of(const AdaptedProduct& product) const {
    return product.logits_rows ? logits_rows_ : rows_;
  }
  void collect(const Batch& batch, bool logits_rows, Rows& out);
  /// A · x of an entry, as this member reads it.
  float* projected(const AdaptedProduct& product, size_t entry, const ThreadPool::Member& member);

  const Kernels* kernels_ = nullptr;
  size_t packed_columns_ = 0;
  size_t threads_ = 0;
  Rows rows_, logits_rows_;
  size_t rank_stride_ = 0;
  // [entries, rank_stride_]; of few entries one for each member
  std::vector<float> projected_;
  size_t head_stride_ = 0;
  std::vector<float> head_logits_;  // [entries with logits, head_stride_]
  Buffer addends_;                  // [max_rows, packed_columns_]
};

}  // namespace anabranch
