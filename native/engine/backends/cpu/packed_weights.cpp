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

namespace {

/// So much of a tensor is packed before what was read of it leaves memory.
constexpr size_t kReadTogether = size_t{16} << 20;

/// The rows of one panel, in fp32 or in four bits.
class PanelRows {
 public:
  PanelRows(const PanelFormat& format, int width, int k)
      : format_(format), k_(k), values_(static_cast<size_t>(width) * k) {
    if (format.type == WeightType::kInt4) four_bit_.resize(width);
  }

  /// Reads row `row` of a tensor as output `j`; without a tensor the output is zero.
  void read(int j, const Tensor* tensor, int row) {
    float* values = values_.data() + static_cast<size_t>(j) * k_;
    if (format_.type == WeightType::kInt4 && tensor) {
      return read_four_bit_row(*tensor, row, format_.four_bit, four_bit_[j]);
    }
    if (tensor)
      to_float(*tensor, static_cast<size_t>(row) * k_, k_, values);
    else
      std::fill_n(values, k_, 0.0f);
    if (format_.type == WeightType::kInt4) quantize_four_bit(values, k_, four_bit_[j]);
  }

  void pack(const Kernels& kernels, std::byte* out) const {
    if (format_.type == WeightType::kInt4)
      kernels.pack_four_bit(format_.four_bit, four_bit_.data(), k_, out);
    else
      kernels.pack(format_, values_.data(), k_, out);
  }

 private:
  PanelFormat format_;
  int k_;
  std::vector<float> values_;         // [width, k]
  std::vector<FourBitRow> four_bit_;  // [width]
};

}  // namespace

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

/// Among int4 weights: the four-bit format that loses nothing of the checkpoint's, or int8 if one
/// of the layers has more than four bits.
PanelFormat WeightPacker::format_of(const std::vector<LinearSpec>& layers) const {
  if (type_ != WeightType::kInt4) return type_;
  std::vector<const Tensor*> tensors;
  for (const LinearSpec& layer : layers) tensors.push_back(&checkpoint_.get(layer.weight));
  const auto format = common_four_bit_format(tensors);
  return format ? PanelFormat(*format) : PanelFormat::beside_int4();
}

PackedLinear WeightPacker::linear(const std::vector<LinearSpec>& layers, bool gated) {
  return pack(layers, gated, format_of(layers));
}

PackedLinear WeightPacker::head(const LinearSpec& layer) {
  const bool widened =
      type_ == WeightType::kInt4 && !four_bit_format(checkpoint_.get(layer.weight));
  return pack({layer}, false, widened ? PanelFormat::beside_int4() : format_of({layer}));
}

PackedLinear WeightPacker::pack(const std::vector<LinearSpec>& layers, bool gated,
                                const PanelFormat& format) {
  const std::vector<Source> sources = sources_of(layers, gated);
  const int width = kernels_.panel_width, k = layers.front().k();
  PackedLinear out;
  for (const LinearSpec& layer : layers) out.n = gated ? layer.n() : out.n + layer.n();
  out.k = k;
  out.gated = gated;
  out.format = format;
  out.panels = static_cast<int>(sources.size()) / width;
  if (layers.front().bias) out.bias.resize(sources.size());
  const size_t bytes = panel_bytes(format, width, k);
  std::byte* data = arena_.take(bytes * out.panels);
  out.data = data;
  bytes_ += bytes * out.panels;
  pool_.run([&](ThreadPool::Member& member) {
    PanelRows rows(format, width, k);
    const auto [begin, end] = out.share(member);
    const auto together = static_cast<int>(kReadTogether / bytes + 1);
    for (int panel = begin; panel < end; ++panel) {
      // Others then read again what they are at.
      if ((panel - begin) % together == together - 1) checkpoint_.release_pages();
      for (int j = 0; j < width; ++j) {
        const size_t at = static_cast<size_t>(panel) * width + j;
        const Source& source = sources[at];
        rows.read(j, source.weights, source.row);
        if (!source.bias) continue;
        to_float(*source.bias, source.row, 1, &out.bias[at]);
        out.bias[at] = rounded(out.bias[at]);
      }
      rows.pack(kernels_, data + bytes * panel);
    }
  });
  return out;
}

}  // namespace anabranch
