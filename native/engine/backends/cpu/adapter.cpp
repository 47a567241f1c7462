#include "backends/cpu/adapter.h"

#include <algorithm>

#include "number_formats.h"

namespace anabranch {
namespace {

using Updates = std::vector<const LowRank*>;

/// The updates of one product, in the order of its outputs.
Updates updates_of(const Adapter& adapter, const AdaptedProduct& product) {
  const AdapterLayer& layer = adapter.layers[static_cast<size_t>(product.layer)];
  switch (product.kind) {
    case AdaptedProduct::Kind::kQkv:
      return {&layer.q, &layer.k, &layer.v};
    case AdaptedProduct::Kind::kOutput:
      return {&layer.output};
    case AdaptedProduct::Kind::kGateUp:
      return {&layer.gate, &layer.up};
    case AdaptedProduct::Kind::kDown:
      return {&layer.down};
  }
  return {};
}

int total_rank(const Updates& updates) {
  int total = 0;
  for (const LowRank* update : updates) total += update->rank;
  return total;
}

/// The part of [first, last) that lies in [from, to), counted from `from`.
std::pair<int, int> overlap(std::pair<int, int> range, int from, int to) {
  return {std::max(range.first, from) - from, std::min(range.second, to) - from};
}

}  // namespace

AdapterUpdates::AdapterUpdates(const Kernels& kernels, int max_rows, int widest, int packed_columns,
                               int threads)
    : kernels_(&kernels),
      widest_((widest + 15) / 16 * 16),
      packed_columns_(static_cast<size_t>(packed_columns)),
      // Untouched pages take no memory.
      addends_(static_cast<size_t>(max_rows) * packed_columns_ * sizeof(float)),
      inputs_(static_cast<size_t>(threads) * static_cast<size_t>(widest_) * sizeof(float)) {}

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
  int widest = 0;
  for (const Adapter* adapter : rows_.adapters) {
    for (const AdapterLayer& layer : adapter->layers) {
      widest = std::max({widest, layer.q.rank + layer.k.rank + layer.v.rank, layer.output.rank,
                         layer.gate.rank + layer.up.rank, layer.down.rank});
    }
  }
  rank_stride_ = static_cast<size_t>(widest + 15) / 16 * 16;
  projected_.resize(std::max(projected_.size(), rank_stride_ * rows_.entries.size()));
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
    return total_rank(updates_of(*adapter, product)) > 0;
  });
}

/// Row `row` of the product's input in fp32, after the norm.
const float* AdapterUpdates::input(const Gemm& g, int row, int k,
                                   const ThreadPool::Member& member) const {
  float* out = inputs_.floats() + static_cast<size_t>(member.index()) * widest_;
  if (g.x_pairs) {
    const auto* pairs = static_cast<const std::uint32_t*>(g.x) + row * g.ldx;
    for (int i = 0; i < k; ++i) {
      out[i] = from_bf16(static_cast<std::uint16_t>(pairs[i / 2] >> (i % 2 * 16)));
    }
    return out;
  }
  const float* x = static_cast<const float*>(g.x) + row * g.ldx;
  if (!g.norm) return x;
  kernels_->rms_norm(x, g.norm, k, g.epsilon, out);
  return out;
}

void AdapterUpdates::project(const AdaptedProduct& product, const Gemm& g, int k,
                             const ThreadPool::Member& member) {
  const auto& entries = rows_of(product).entries;
  int total = 0;
  for (const Entry& entry : entries) total += total_rank(updates_of(*entry.adapter, product));
  const auto share = member.share(total);
  int at = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Updates updates = updates_of(*entries[i].adapter, product);
    const int ranks = total_rank(updates);
    const float* x = nullptr;
    float* out = projected_.data() + i * rank_stride_;
    int from = at;
    for (const LowRank* update : updates) {
      const auto [first, last] = overlap(share, from, from + update->rank);
      if (first < last) {
        if (!x) x = input(g, entries[i].row, k, member);
        kernels_->low_rank.project(x, update->a.data() + static_cast<size_t>(first) * k, k,
                                   last - first, out + (from - at) + first);
      }
      from += update->rank;
    }
    at += ranks;
  }
}

void AdapterUpdates::expand(const AdaptedProduct& product, const PackedLinear& w, Gemm& g,
                            const ThreadPool::Member& member) {
  const Rows& rows = rows_of(product);
  const int width = kernels_->panel_width;
  const auto [first, last] = w.share(member);
  for (size_t i = 0; i < rows.entries.size(); ++i) {
    const Updates updates = updates_of(*rows.entries[i].adapter, product);
    float* out = addends_.floats() + i * packed_columns_;
    std::fill(out + first * width, out + last * width, 0.0f);
    const float* t = projected_.data() + i * rank_stride_;
    const auto add = [&](const LowRank& update, int column, int count, float* to) {
      if (count <= 0) return;
      kernels_->low_rank.expand(t, update.rank, update.b.data() + column, update.n, count, to);
    };
    int column = 0;
    for (size_t part = 0; part < updates.size(); ++part) {
      const LowRank& update = *updates[part];
      if (w.gated) {  // panels of the parts alternate
        for (int panel = first + static_cast<int>(part); panel < last; panel += 2) {
          const int from = panel / 2 * width;
          add(update, from, std::min(width, update.n - from), out + panel * width);
        }
      } else {
        const auto [from, to] = overlap({first * width, last * width}, column, column + update.n);
        add(update, from, to - from, out + column + from);
      }
      column += update.n;
      t += update.rank;
    }
  }
  g.addends = rows.addends.data();
}

bool AdapterUpdates::has_head_rows() const {
  return std::any_of(logits_rows_.adapters.begin(), logits_rows_.adapters.end(),
                     [](const Adapter* adapter) { return !adapter->head.tokens.empty(); });
}

void AdapterUpdates::replace_logits(const Gemm& g, int k, float* logits, std::ptrdiff_t stride,
                                    const ThreadPool::Member& member) {
  int total = 0;
  const auto count_of = [](const Entry& entry) {
    return static_cast<int>(entry.adapter->head.tokens.size());
  };
  for (const Entry& entry : logits_rows_.entries) total += count_of(entry);
  const auto share = member.share(total);
  int at = 0;
  for (const Entry& entry : logits_rows_.entries) {
    const TokenRows& head = entry.adapter->head;
    const auto [first, last] = overlap(share, at, at + count_of(entry));
    at += count_of(entry);
    if (first >= last) continue;
    const float* x = input(g, entry.row, k, member);
    for (int i = first; i < last; ++i) {
      float* to = logits + entry.row * stride + head.tokens[static_cast<size_t>(i)];
      kernels_->low_rank.project(x, head.rows.data() + static_cast<size_t>(i) * k, k, 1, to);
    }
  }
}

}  // namespace anabranch
