#include "backends/cuda/adapter.h"

#include <algorithm>
#include <functional>

#include "backends/cuda/weights.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

/// Copies to the device on a stream of its own, beside what the backend's runs.
template <class T>
Array<T> copied(const std::vector<T>& values) {
  Array<T> out(values.size(), "an adapter");
  if (values.empty()) return out;
  cudaStream_t stream{};
  check(cudaStreamCreate(&stream), "creating a stream");
  const cudaError_t sent = cudaMemcpyAsync(out.data(), values.data(), values.size() * sizeof(T),
                                           cudaMemcpyHostToDevice, stream);
  const cudaError_t done = cudaStreamSynchronize(stream);
  cudaStreamDestroy(stream);
  check(sent, "uploading an adapter");
  check(done, "uploading an adapter");
  return out;
}

/// The update of a layer, and where each of its outputs is packed.
struct Part {
  const LowRank& update;
  std::function<int(int)> place;
};

}  // namespace

/// Lays out an adapter's numbers as one array, which is then copied at once. Until then pointers
/// are kept as indices.
class DeviceAdapter::Packer {
 public:
  /// The update of a product of k inputs and n packed outputs.
  void add(const std::vector<Part>& parts, int k, int n, int first_k = 0, int first_v = 0) {
    int rank = 0;
    for (const Part& part : parts) rank = std::max(rank, part.update.rank);
    const size_t width = round_up(k, kQuantGroup);
    const auto count = static_cast<int>(parts.size());
    const size_t a = take(count * rank * width), b = take(static_cast<size_t>(rank) * n);
    for (int index = 0; index < count; ++index) {
      const auto& [update, place] = parts[index];
      for (int r = 0; r < update.rank; ++r) {
        std::copy_n(update.a.begin() + static_cast<std::ptrdiff_t>(r) * k, k,
                    &values[a + (index * rank + r) * width]);
        const float* const row = &update.b[static_cast<size_t>(r) * update.n];
        for (int j = 0; j < update.n; ++j)
          values[b + static_cast<size_t>(r) * n + place(j)] = row[j];
      }
    }
    updates.push_back({nullptr, nullptr, rank, count, first_k, first_v});
    places.emplace_back(a, b);
  }

  /// Rows [count, width] of `hidden` values each; the index of the first.
  size_t add_rows(const TokenRows& rows, size_t hidden, size_t width) {
    const size_t at = take(rows.tokens.size() * width);
    for (size_t i = 0; i < rows.tokens.size(); ++i) {
      std::copy_n(rows.rows.begin() + static_cast<std::ptrdiff_t>(i * hidden), hidden,
                  values.begin() + static_cast<std::ptrdiff_t>(at + i * width));
    }
    return at;
  }

  /// The updates, with pointers into `device`, where `values` are.
  std::vector<LowRankUpdate> placed(const float* device) const {
    std::vector<LowRankUpdate> out = updates;
    for (size_t i = 0; i < out.size(); ++i) {
      out[i].a = device + places[i].first;
      out[i].b = device + places[i].second;
    }
    return out;
  }

  std::vector<float> values;
  std::vector<LowRankUpdate> updates;

 private:
  /// Room for `count` zeros, aligned for 16-byte loads: the index of the first.
  size_t take(size_t count) {
    const size_t at = round_up(values.size(), 4);
    values.resize(at + count);
    return at;
  }

  std::vector<std::pair<size_t, size_t>> places;  // of a and b
};

DeviceAdapter::DeviceAdapter(const Adapter& adapter, const ModelConfig& config,
                             bool interleave_halves)
    : embedding_tokens_(adapter.embedding.tokens),
      hidden_(static_cast<size_t>(config.hidden)),
      vocabulary_(adapter.vocabulary) {
  const int dim = config.head_dim, q = config.heads * dim, kv = config.kv_heads * dim;
  const auto from = [](int first) { return [=](int j) { return first + j; }; };
  const auto heads_from = [&](int first) {
    return [=](int j) { return first + (interleave_halves ? interleaved_place(j, dim) : j); };
  };
  const auto gated = [](int part) { return [=](int j) { return gated_place(j, part); }; };
  const int gate_up = static_cast<int>(round_up(config.intermediate, kHalfPanel)) * 2;
  Packer packer;
  for (const AdapterLayer& layer : adapter.layers) {
    packer.add({{layer.q, heads_from(0)}, {layer.k, heads_from(q)}, {layer.v, from(q + kv)}},
               config.hidden, q + 2 * kv, q, q + kv);
    packer.add({{layer.output, from(0)}}, q, config.hidden);
    packer.add({{layer.gate, gated(0)}, {layer.up, gated(1)}}, config.hidden, gate_up);
    packer.add({{layer.down, from(0)}}, config.intermediate, config.hidden);
  }
  for (size_t i = 0; i < packer.updates.size(); ++i) {
    const LowRankUpdate& update = packer.updates[i];
    most_ranks_ = std::max(most_ranks_, update.parts * update.rank);
    if (update.rank > 0) products_ |= 1u << (i % kAdaptedProducts);
  }
  const size_t width = round_up(hidden_, kQuantGroup);
  const size_t embedding = packer.add_rows(adapter.embedding, hidden_, hidden_);
  const size_t head = packer.add_rows(adapter.head, hidden_, width);
  values_ = copied(packer.values);
  updates_ = copied(packer.placed(values_.data()));
  head_tokens_ = copied(adapter.head.tokens);
  embedding_rows_ = values_.data() + embedding;
  head_ = {head_tokens_.data(), values_.data() + head, static_cast<int>(head_tokens_.count())};
}

const float* DeviceAdapter::embedding(int token) const {
  const auto found = std::lower_bound(embedding_tokens_.begin(), embedding_tokens_.end(), token);
  if (found == embedding_tokens_.end() || *found != token) return nullptr;
  return embedding_rows_ + static_cast<size_t>(found - embedding_tokens_.begin()) * hidden_;
}

}  // namespace anabranch::ANABRANCH_CUDA
