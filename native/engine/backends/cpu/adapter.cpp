#include "backends/cpu/adapter.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "number_formats.h"

namespace anabranch {
namespace {

const PackedUpdate& update_of(const Adapter& adapter, const AdaptedProduct& product) {
  const auto& packed = static_cast<const PackedAdapter&>(*adapter.on_backend);
  return packed.layers[static_cast<size_t>(product.layer)][static_cast<size_t>(product.kind)];
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

bool is_bf16(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return from_bf16(to_bf16(value)) == value; });
}

std::vector<std::byte> stored(const std::vector<float>& values, bool bf16) {
  std::vector<std::byte> out(values.size() * (bf16 ? sizeof(std::uint16_t) : sizeof(float)));
  if (!bf16) {
    std::memcpy(out.data(), values.data(), out.size());
    return out;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t bits = to_bf16(values[i]);
    std::memcpy(&out[i * sizeof bits], &bits, sizeof bits);
  }
  return out;
}

PackedUpdate packed(const Parts& parts, const PackedLinear& w, int panel_width) {
  PackedUpdate out;
  std::vector<int> first_rank;
  std::vector<float> a, b;
  for (const LowRank* part : parts) {
    first_rank.push_back(out.ranks);
    out.ranks += part->rank;
    a.insert(a.end(), part->a.begin(), part->a.end());
  }
  if (out.ranks == 0) return out;
  const auto columns = columns_of(parts, w, panel_width);
  for (int panel = 0; panel < w.panels; ++panel) {
    const auto of_panel = std::span(columns).subspan(static_cast<size_t>(panel) * panel_width,
                                                     static_cast<size_t>(panel_width));
    PanelRanks ranks{out.ranks, 0, b.size()};
    int end = 0;
    for (const auto& column : of_panel) {
      if (!column || parts[column->part]->rank == 0) continue;
      ranks.first = std::min(ranks.first, first_rank[column->part]);
      end = std::max(end, first_rank[column->part] + parts[column->part]->rank);
    }
    ranks.count = std::max(0, end - ranks.first);
    for (int r = ranks.first; r < ranks.first + ranks.count; ++r) {
      for (const auto& column : of_panel) {
        const LowRank* part = column ? parts[column->part] : nullptr;
        const int own = part ? r - first_rank[column->part] : -1;
        const bool has = part && own >= 0 && own < part->rank;
        b.push_back(has ? part->b[static_cast<size_t>(own) * part->n + column->at] : 0.0f);
      }
    }
    out.panels.push_back(ranks);
  }
  out.bf16 = is_bf16(a) && is_bf16(b);
  out.a = stored(a, out.bf16);
  out.b = stored(b, out.bf16);
  return out;
}

/// The part of [first, last) that lies in [from, to), counted from `from`.
std::pair<int, int> overlap(std::pair<int, int> range, int from, int to) {
  return {std::max(range.first, from) - from, std::min(range.second, to) - from};
}

}  // namespace

std::shared_ptr<PackedAdapter> pack_adapter(const Adapter& adapter,
                                            const std::vector<PackedLayer>& layers,
                                            int panel_width) {
  auto out = std::make_shared<PackedAdapter>();
  for (size_t i = 0; i < layers.size(); ++i) {
    const AdapterLayer& from = adapter.layers[i];
    const PackedLayer& to = layers[i];
    out->layers.push_back({packed({&from.q, &from.k, &from.v}, *to.qkv, panel_width),
                           packed({&from.output}, *to.output, panel_width),
                           packed({&from.gate, &from.up}, *to.gate_up, panel_width),
                           packed({&from.down}, *to.down, panel_width)});
  }
  return out;
}

AdapterUpdates::AdapterUpdates(const Kernels& kernels, int max_rows, int widest, int packed_columns,
                               int threads)
    : kernels_(&kernels),
      widest_((widest + 15) / 16 * 16),
      packed_columns_(static_cast<size_t>(packed_columns)),
      // Untouched pages take no memory.
      addends_(static_cast<size_t>(max_rows) * packed_columns_ * sizeof(float)),
      inputs_(static_cast<size_t>(threads) * kLowRankRows * static_cast<size_t>(widest_) *
              sizeof(float)) {}

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
    for (const auto& layer : static_cast<const PackedAdapter&>(*adapter->on_backend).layers) {
      for (const PackedUpdate& update : layer) widest = std::max(widest, update.ranks);
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
    return update_of(*adapter, product).ranks > 0;
  });
}

/// Row `row` of the product's input in fp32, after the norm; `slot` of the member's scratch may
/// hold it.
const float* AdapterUpdates::input(const Gemm& g, int row, int k, const ThreadPool::Member& member,
                                   int slot) const {
  const auto index = static_cast<size_t>(member.index()) * kLowRankRows + static_cast<size_t>(slot);
  float* out = inputs_.floats() + index * static_cast<size_t>(widest_);
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

template <class Of>
void AdapterUpdates::each_group(const AdaptedProduct& product, Of of) {
  const auto& entries = rows_of(product).entries;
  for (size_t first = 0; first < entries.size();) {
    const Adapter* adapter = entries[first].adapter;
    size_t last = first + 1;
    while (last < entries.size() && last - first < kLowRankRows &&
           entries[last].adapter == adapter) {
      ++last;
    }
    of(update_of(*adapter, product), first, static_cast<int>(last - first));
    first = last;
  }
}

void AdapterUpdates::project(const AdaptedProduct& product, const Gemm& g, int k,
                             const ThreadPool::Member& member) {
  const auto& entries = rows_of(product).entries;
  each_group(product, [&](const PackedUpdate& update, size_t first_entry, int rows) {
    const auto [first, last] = member.share(update.ranks);
    if (first == last) return;
    const float* x[kLowRankRows];
    float* out[kLowRankRows];
    for (int i = 0; i < rows; ++i) {
      const size_t entry = first_entry + static_cast<size_t>(i);
      x[i] = input(g, entries[entry].row, k, member, i);
      out[i] = projected_.data() + entry * rank_stride_;
    }
    kernels_->low_rank.project(update.view(), k, first, last, x, rows, out);
  });
}

void AdapterUpdates::expand(const AdaptedProduct& product, const PackedLinear& w, Gemm& g,
                            const ThreadPool::Member& member) {
  const int width = kernels_->panel_width;
  const auto [first, last] = w.share(member);
  each_group(product, [&, first = first, last = last](const PackedUpdate& update,
                                                      size_t first_entry, int rows) {
    const float* t[kLowRankRows];
    float* out[kLowRankRows];
    for (int i = 0; i < rows; ++i) {
      const size_t entry = first_entry + static_cast<size_t>(i);
      t[i] = projected_.data() + entry * rank_stride_;
      out[i] = addends_.floats() + entry * packed_columns_;
      if (update.ranks == 0) std::fill(out[i] + first * width, out[i] + last * width, 0.0f);
    }
    if (update.ranks > 0) kernels_->low_rank.expand(update.view(), first, last, t, rows, out);
  });
  g.addends = rows_of(product).addends.data();
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
    const float* x = input(g, entry.row, k, member, 0);
    for (int i = first; i < last; ++i) {
      const float* row = head.rows.data() + static_cast<size_t>(i) * k;
      const LowRankPanels one{false, reinterpret_cast<const std::byte*>(row), nullptr, nullptr};
      float* to = logits + entry.row * stride + head.tokens[static_cast<size_t>(i)];
      kernels_->low_rank.project(one, k, 0, 1, &x, 1, &to);
    }
  }
}

}  // namespace anabranch
