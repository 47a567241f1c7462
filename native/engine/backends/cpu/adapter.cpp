#include "backends/cpu/adapter.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "number_formats.h"

namespace anabranch {
namespace {

const PackedAdapter& packed_of(const Adapter& adapter) {
  return static_cast<const PackedAdapter&>(*adapter.on_backend);
}

const PackedUpdate& update_of(const Adapter& adapter, const AdaptedProduct& product) {
  return packed_of(adapter)
      .layers[static_cast<size_t>(product.layer)][static_cast<size_t>(product.kind)];
}

/// The updates of a product's layers, in the order of their outputs.
using Parts = std::vector<const LowRank*>;

/// Where an output of a product comes from: an update of `parts`, and a column of it.
struct Column {
  size_t part = 0;
  int at = 0;
};

/// Of each column of the packed product; none where its last panel has no outputs.
std::vector<std::optional<Column>> columns_of(const Parts& parts, const PackedLinear& w,
                                              int panel_width) {
  std::vector<std::optional<Column>> out(static_cast<size_t>(w.panels) * panel_width);
  size_t first = 0;
  for (size_t part = 0; part < parts.size(); ++part) {
    for (int at = 0; at < parts[part]->n; ++at) {
      // Panels of gated parts alternate.
      const int panel = at / panel_width * 2 + static_cast<int>(part);
      const size_t place = w.gated ? static_cast<size_t>(panel) * panel_width + at % panel_width
                                   : first + static_cast<size_t>(at);
      out[place] = {part, at};
    }
    first += static_cast<size_t>(parts[part]->n);
  }
  return out;
}

PackedRows packed(const TokenRows& from, const Kernels& kernels) {
  PackedRows out;
  if (from.tokens.empty()) return out;
  const int width = kernels.panel_width;
  out.n = static_cast<int>(from.tokens.size());
  out.panels = (out.n + width - 1) / width;
  const auto k = static_cast<int>(from.rows.size() / from.tokens.size());
  const size_t bytes = panel_bytes(WeightType::kF32, width, k);
  out.data.resize(bytes * static_cast<size_t>(out.panels));
  std::vector<float> panel(static_cast<size_t>(width) * k);
  for (int i = 0; i < out.panels; ++i) {
    const size_t first = static_cast<size_t>(i) * panel.size();
    const size_t count = std::min(panel.size(), from.rows.size() - first);
    std::fill(panel.begin(), panel.end(), 0.0f);
    std::copy_n(from.rows.begin() + static_cast<std::ptrdiff_t>(first), count, panel.begin());
    kernels.pack(WeightType::kF32, panel.data(), k, out.data.data() + bytes * i);
  }
  return out;
}

/// Appends values [steps, columns] to what a step reads: in words of two steps for kernels with
/// `pairs`, where the last one may be alone.
void append_steps(const std::vector<float>& values, int columns, const Kernels& kernels,
                  WeightType type, std::vector<std::byte>& out) {
  const auto append = [&](auto value) {
    out.insert(out.end(), sizeof value, std::byte{});
    std::memcpy(&out[out.size() - sizeof value], &value, sizeof value);
  };
  const auto width = static_cast<size_t>(columns);
  if (type == WeightType::kF32) {
    for (float value : values) append(value);
  } else if (!kernels.pairs) {
    for (float value : values) append(to_bf16(value));
  } else {
    for (size_t pair = 0; pair < values.size(); pair += 2 * width) {
      for (size_t j = pair; j < pair + width; ++j) {
        const std::uint32_t next = j + width < values.size() ? to_bf16(values[j + width]) : 0;
        append(to_bf16(values[j]) | next << 16);
      }
    }
  }
}

PackedUpdate packed(const Parts& parts, const PackedLinear& w, const Kernels& kernels,
                    WeightType type) {
  PackedUpdate out;
  out.type = type;
  const int width = kernels.panel_width, half = width / 2;
  std::vector<int> first_rank;
  std::vector<float> a;  // [ranks in whole half panels, k]
  for (const LowRank* part : parts) {
    first_rank.push_back(out.ranks);
    out.ranks += part->rank + part->rank % 2;
    a.insert(a.end(), part->a.begin(), part->a.end());
    a.resize(static_cast<size_t>(out.ranks) * w.k);
  }
  if (out.ranks == 0) return out;
  a.resize(static_cast<size_t>((out.ranks + half - 1) / half * half) * w.k);
  for (int rank = 0; rank < out.ranks; rank += half) {
    std::vector<float> turned;  // [k, half]
    for (int i = 0; i < w.k; ++i) {
      for (int r = rank; r < rank + half; ++r)
        turned.push_back(a[static_cast<size_t>(r) * w.k + i]);
    }
    append_steps(turned, half, kernels, type, out.a);
  }
  const auto columns = columns_of(parts, w, width);
  size_t values = 0;
  for (int panel = 0; panel < w.panels; ++panel) {
    const auto of_panel =
        std::span(columns).subspan(static_cast<size_t>(panel) * width, static_cast<size_t>(width));
    PanelRanks of{out.ranks, 0, values};
    int end = 0;
    for (const auto& column : of_panel) {
      const int rank = column ? parts[column->part]->rank : 0;
      if (rank == 0) continue;
      of.first = std::min(of.first, first_rank[column->part]);
      end = std::max(end, first_rank[column->part] + rank + rank % 2);
    }
    of.count = std::max(0, end - of.first);
    std::vector<float> b;
    for (int r = of.first; r < of.first + of.count; ++r) {
      for (const auto& column : of_panel) {
        const LowRank* part = column ? parts[column->part] : nullptr;
        const int own = part ? r - first_rank[column->part] : -1;
        const bool has = part && own >= 0 && own < part->rank;
        b.push_back(has ? part->b[static_cast<size_t>(own) * part->n + column->at] : 0.0f);
      }
    }
    append_steps(b, width, kernels, type, out.b);
    values += b.size();
    out.panels.push_back(of);
  }
  return out;
}

/// Rows up to which each member computes A · x by itself.
constexpr size_t kAlone = 16;

/// Entries of one adapter, one after another.
struct Run {
  size_t first = 0;
  int count = 0;
};

/// Calls `of(adapter, run)` for the entries [first, last), up to `most` at a time. `adjacent`: the
/// rows of a run lie one after another.
template <class Entries, class Of>
void each_run(const Entries& entries, int first, int last, int most, bool adjacent, Of of) {
  for (auto at = static_cast<size_t>(first), end = static_cast<size_t>(last); at < end;) {
    Run run{at, 1};
    for (++at; at < end && run.count < most && entries[at].adapter == entries[run.first].adapter &&
               (!adjacent || entries[at].row == entries[at - 1].row + 1);
         ++at) {
      ++run.count;
    }
    of(*entries[run.first].adapter, run);
  }
}

/// The inputs of `count` rows of g's, from `row` on.
Gemm rows_from(const Gemm& g, int row, int count, int k) {
  Gemm out;
  out.x_pairs = g.x_pairs;
  out.ldx = g.ldx;
  const size_t word = static_cast<size_t>(row * g.ldx) * sizeof(std::uint32_t);  // or float
  out.x = static_cast<const std::byte*>(g.x) + word;
  out.m = count;
  out.k = k;
  out.norm = g.norm;
  out.epsilon = g.epsilon;
  out.scratch = g.scratch;
  return out;
}

}  // namespace

std::shared_ptr<PackedAdapter> pack_adapter(const Adapter& adapter,
                                            const std::vector<PackedLayer>& layers,
                                            const Kernels& kernels, WeightType type) {
  const WeightType stored = type == WeightType::kF32 ? type : WeightType::kBF16;
  auto out = std::make_shared<PackedAdapter>();
  for (size_t i = 0; i < layers.size(); ++i) {
    const AdapterLayer& from = adapter.layers[i];
    const PackedLayer& to = layers[i];
    out->layers.push_back({packed({&from.q, &from.k, &from.v}, *to.qkv, kernels, stored),
                           packed({&from.output}, *to.output, kernels, stored),
                           packed({&from.gate, &from.up}, *to.gate_up, kernels, stored),
                           packed({&from.down}, *to.down, kernels, stored)});
  }
  out->head = packed(adapter.head, kernels);
  return out;
}

AdapterUpdates::AdapterUpdates(const Kernels& kernels, int max_rows, int packed_columns,
                               int threads)
    : kernels_(&kernels),
      packed_columns_(static_cast<size_t>(packed_columns)),
      threads_(static_cast<size_t>(threads)),
      // Untouched pages take no memory.
      addends_(static_cast<size_t>(max_rows) * packed_columns_ * sizeof(float)) {}

void AdapterUpdates::collect(const Batch& batch, bool logits_rows, Rows& out) {
  out.entries.clear();
  out.adapters.clear();
  out.addends.assign(batch.rows.size(), nullptr);
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const Row& row = batch.rows[i];
    const int at = logits_rows ? row.logits_row : static_cast<int>(i);
    if (!row.adapter || at < 0) continue;
    out.entries.push_back({at, row.adapter});
  }
  // Rows of one adapter one after another, so that its matrices stay in cache.
  std::stable_sort(out.entries.begin(), out.entries.end(),
                   [](const Entry& a, const Entry& b) { return a.adapter->id < b.adapter->id; });
  for (size_t i = 0; i < out.entries.size(); ++i) {
    const Entry& entry = out.entries[i];
    out.addends[static_cast<size_t>(entry.row)] = addends_.floats() + i * packed_columns_;
    if (out.adapters.empty() || out.adapters.back() != entry.adapter) {
      out.adapters.push_back(entry.adapter);
    }
  }
}

void AdapterUpdates::plan(const Batch& batch) {
  collect(batch, false, rows_);
  collect(batch, true, logits_rows_);
  int widest = 0, widest_head = 0;
  for (const Adapter* adapter : rows_.adapters) {
    const PackedAdapter& packed = packed_of(*adapter);
    for (const auto& layer : packed.layers) {
      for (const PackedUpdate& update : layer) widest = std::max(widest, update.ranks);
    }
    widest_head = std::max(widest_head, packed.head.n);
  }
  rank_stride_ = static_cast<size_t>(widest + 15) / 16 * 16;
  const size_t entries = rows_.entries.size();
  const size_t places = std::max(entries, std::min(entries, kAlone) * threads_);
  projected_.resize(std::max(projected_.size(), rank_stride_ * places + kLowRankSlack));
  head_stride_ = static_cast<size_t>(widest_head);
  head_logits_.resize(std::max(head_logits_.size(), head_stride_ * logits_rows_.entries.size()));
}

int AdapterUpdates::widest_vocabulary(int own) const {
  for (const Adapter* adapter : logits_rows_.adapters) own = std::max(own, adapter->vocabulary);
  return own;
}

int AdapterUpdates::vocabulary_of(int logits_row, int own) const {
  for (const Entry& entry : logits_rows_.entries) {
    if (entry.row == logits_row) return entry.adapter->vocabulary;
  }
  return own;
}

bool AdapterUpdates::has(const AdaptedProduct& product) const {
  const auto& adapters = rows_of(product).adapters;
  return std::any_of(adapters.begin(), adapters.end(), [&](const Adapter* adapter) {
    return update_of(*adapter, product).ranks > 0;
  });
}

bool AdapterUpdates::is_shared(const AdaptedProduct& product) const {
  return rows_of(product).entries.size() > kAlone;
}

float* AdapterUpdates::projected(const AdaptedProduct& product, size_t entry,
                                 const ThreadPool::Member& member) {
  const size_t own = is_shared(product)
                         ? 0
                         : static_cast<size_t>(member.index()) * rows_of(product).entries.size();
  return projected_.data() + (own + entry) * rank_stride_;
}

void AdapterUpdates::project(const AdaptedProduct& product, const Gemm& g, int k,
                             const ThreadPool::Member& member) {
  const auto& entries = rows_of(product).entries;
  const auto count = static_cast<int>(entries.size());
  const auto [first, last] = is_shared(product) ? member.share(count) : std::pair(0, count);
  each_run(entries, first, last, kBlockRows, true, [&](const Adapter& adapter, Run run) {
    const PackedUpdate& update = update_of(adapter, product);
    if (update.ranks == 0) return;
    Gemm a = rows_from(g, entries[run.first].row, run.count, k);
    a.n = update.ranks;
    a.out = projected(product, run.first, member);
    a.ldo = static_cast<std::ptrdiff_t>(rank_stride_);
    kernels_->project(update.view(), a);
  });
}

void AdapterUpdates::expand(const AdaptedProduct& product, const PackedLinear& w, Gemm& g,
                            const ThreadPool::Member& member) {
  const int width = kernels_->panel_width;
  const auto [first, last] = w.share(member);
  const auto& entries = rows_of(product).entries;
  const auto count = static_cast<int>(entries.size());
  each_run(entries, 0, count, kLowRankRows, false,
           [&, first = first, last = last](const Adapter& adapter, Run run) {
             const PackedUpdate& update = update_of(adapter, product);
             const float* t[kLowRankRows];
             float* out[kLowRankRows];
             for (int i = 0; i < run.count; ++i) {
               const size_t entry = run.first + static_cast<size_t>(i);
               t[i] = projected(product, entry, member);
               out[i] = addends_.floats() + entry * packed_columns_;
               if (update.ranks == 0)
                 std::fill(out[i] + first * width, out[i] + last * width, 0.0f);
             }
             if (update.ranks > 0) kernels_->expand(update.view(), first, last, t, run.count, out);
           });
  g.addends = rows_of(product).addends.data();
}

bool AdapterUpdates::has_head_rows() const {
  return std::any_of(logits_rows_.adapters.begin(), logits_rows_.adapters.end(),
                     [](const Adapter* adapter) { return !adapter->head.tokens.empty(); });
}

void AdapterUpdates::replace_logits(const Gemm& g, int k, float* logits, std::ptrdiff_t stride,
                                    const ThreadPool::Member& member) {
  const auto& entries = logits_rows_.entries;
  const auto count = static_cast<int>(entries.size());
  each_run(entries, 0, count, kBlockRows, true, [&](const Adapter& adapter, Run run) {
    const PackedRows& head = packed_of(adapter).head;
    const auto [first, last] = member.share(head.panels);
    if (first == last) return;
    Gemm own = rows_from(g, entries[run.first].row, run.count, k);
    own.w = head.data.data();
    own.n = head.n;
    own.first = first;
    own.last = last;
    float* const out = head_logits_.data() + run.first * head_stride_;
    own.out = out;
    own.ldo = static_cast<std::ptrdiff_t>(head_stride_);
    kernels_->gemm(own);
    const int width = kernels_->panel_width, end = std::min(head.n, last * width);
    for (int row = 0; row < run.count; ++row) {
      float* const to = logits + (entries[run.first].row + row) * stride;
      const float* const from = out + static_cast<size_t>(row) * head_stride_;
      for (int i = first * width; i < end; ++i) {
        to[adapter.head.tokens[static_cast<size_t>(i)]] = from[i];
      }
    }
  });
}

}  // namespace anabranch
