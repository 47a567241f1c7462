#include "backends/cpu/packed_weights.h"

#include <algorithm>

#include "number_formats.h"

namespace anabranch {

std::pair<int, int> PackedLinear::share(const ThreadPool::Member& member) const {
  const int together = gated ? 2 : 1;
  const auto [first, last] = member.share(panels / together);
  return {first * together, last * together};
}

float WeightPacker::rounded(float value) const {
  return type_ == WeightType::kBF16 ? from_bf16(to_bf16(value)) : value;
}

/// Where one output comes from.
struct WeightPacker::Source {
  const Tensor* weights = nullptr;  // null for the padding of a panel
  const Tensor* bias = nullptr;
  int row = 0;
};

/// The sources of all outputs in packed order, padded to whole panels.
std::vector<WeightPacker::Source> WeightPacker::sources_of(const std::vector<LinearSpec>& layers,
                                                           bool gated) const {
  std::vector<Source> out;
  const int width = kernels_.panel_width;
  const auto parts = static_cast<int>(layers.size());
  for (int part = 0; part < parts; ++part) {
    const LinearSpec& layer = layers[part];
    Source source{&checkpoint_.get(layer.weight),
                  layer.bias ? &checkpoint_.get(*layer.bias) : nullptr};
    for (int output = 0; output < layer.n(); ++output) {
      const int panel = output / width * parts + part;
      const size_t at = gated ? static_cast<size_t>(panel) * width + output % width : out.size();
      out.resize(std::max(out.size(), at + 1));
      source.row = layer.stored_row(output);
      out[at] = source;
    }
  }
  const int panels = (static_cast<int>(gated ? layers[0].n() : out.size()) + width - 1) / width;
  out.resize(static_cast<size_t>(gated ? parts * panels : panels) * width);
  return out;
}

PackedLinear WeightPacker::linear(const std::vector<LinearSpec>& layers, bool gated) {
  const std::vector<Source> sources = sources_of(layers, gated);
  const int width = kernels_.panel_width, k = layers.front().k();
  PackedLinear out;
  for (const LinearSpec& layer : layers) out.n = gated ? layer.n() : out.n + layer.n();
  out.k = k;
  out.gated = gated;
  out.panels = static_cast<int>(sources.size()) / width;
  if (layers.front().bias) out.bias.resize(sources.size());
  const size_t bytes = panel_bytes(type_, width, k);
  std::byte* data = arena_.take(bytes * out.panels);
  out.data = data;
  bytes_ += bytes * out.panels;
  pool_.run([&](ThreadPool::Member& member) {
    std::vector<float> rows(static_cast<size_t>(width) * k);
    const auto [begin, end] = out.share(member);
    for (int panel = begin; panel < end; ++panel) {
      std::fill(rows.begin(), rows.end(), 0.0f);
      for (int j = 0; j < width; ++j) {
        const size_t at = static_cast<size_t>(panel) * width + j;
        const Source& source = sources[at];
        if (!source.weights) continue;
        to_float(*source.weights, static_cast<size_t>(source.row) * k, k,
                 rows.data() + static_cast<size_t>(j) * k);
        if (!source.bias) continue;
        to_float(*source.bias, source.row, 1, &out.bias[at]);
        out.bias[at] = rounded(out.bias[at]);
      }
      kernels_.pack(type_, rows.data(), k, data + bytes * panel);
    }
  });
  return out;
}

}  // namespace anabranch
