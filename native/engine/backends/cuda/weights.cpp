// Loading: checkpoint tensors are packed on the host, uploaded, and quantized on the device.
#include "backends/cuda/weights.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "backends/cpu/thread_pool.h"
#include "error.h"
#include "model/tensor_manifest.h"
#include "number_formats.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

/// Uploads host data through two pinned buffers: one is filled, by several threads, while the other
/// is copied.
class Uploader {
 public:
  Uploader() {
    for (Buffer& buffer : buffers_) {
      check(cudaStreamCreate(&buffer.stream), "creating a stream");
      buffer.host = Pinned<std::byte>(kBytes);
    }
  }
  ~Uploader() {
    for (Buffer& buffer : buffers_) cudaStreamDestroy(buffer.stream);
  }

  /// Uploads `rows` rows of `width` bytes to `to`; fill(row, at) writes one row, beside others.
  template <class Fill>
  void upload(void* to, size_t rows, size_t width, Fill fill) {
    for_each_part(rows, width, fill, [&](Buffer& buffer, size_t first, size_t count) {
      copy(static_cast<std::byte*>(to) + first * width, buffer, count * width);
    });
  }

  /// Uploads rows of to.k fp32 values, which the device quantizes into `to`.
  template <class Fill>
  void upload_quantized(const PackedLinear& to, size_t rows, Fill fill) {
    const size_t width = static_cast<size_t>(to.k) * sizeof(float);
    for_each_part(rows, width, fill, [&](Buffer& buffer, size_t first, size_t count) {
      if (buffer.fp32.count() == 0) buffer.fp32 = Array<std::byte>(kBytes, "quantizing weights");
      copy(buffer.fp32.data(), buffer, count * width);
      QuantizeArgs args;
      args.type = to.type;
      args.rows = reinterpret_cast<const float*>(buffer.fp32.data());
      args.count = static_cast<int>(count);
      args.first_row = static_cast<int>(first);
      args.k = to.k;
      args.values = reinterpret_cast<std::uint8_t*>(to.values.data());
      args.scales = to.scales.data();
      quantize(args, Queue{buffer.stream});
      check(cudaGetLastError(), "quantizing weights");
    });
  }

  void finish() {
    for (Buffer& buffer : buffers_)
      check(cudaStreamSynchronize(buffer.stream), "uploading weights");
  }

 private:
  static constexpr size_t kBytes = size_t{32} << 20;
  struct Buffer {
    cudaStream_t stream{};
    Pinned<std::byte> host;
    Array<std::byte> fp32;  // [kBytes] on the device, if weights are quantized
  };

  /// Fills the buffers alternately; deliver(buffer, first, count) sends rows [first, first +
  /// count).
  template <class Fill, class Deliver>
  void for_each_part(size_t rows, size_t width, Fill fill, Deliver deliver) {
    if (width > kBytes) throw Error(ErrorCode::kFailedPrecondition, "a row of weights is too wide");
    const size_t max_count = std::max<size_t>(1, kBytes / width);
    for (size_t first = 0; first < rows; first += max_count) {
      Buffer& buffer = buffers_[current_ ^= 1];
      check(cudaStreamSynchronize(buffer.stream), "uploading weights");
      const size_t count = std::min(max_count, rows - first);
      pool_.run([&](ThreadPool::Member& member) {
        const auto [begin, end] = member.share(static_cast<int>(count));
        for (int i = begin; i < end; ++i)
          fill(first + i, buffer.host.data() + static_cast<size_t>(i) * width);
      });
      deliver(buffer, first, count);
    }
  }

  static void copy(void* to, Buffer& from, size_t bytes) {
    check(cudaMemcpyAsync(to, from.host.data(), bytes, cudaMemcpyHostToDevice, from.stream),
          "uploading weights");
  }

  ThreadPool pool_{std::max(1, static_cast<int>(std::thread::hardware_concurrency()))};
  Buffer buffers_[2];
  int current_ = 0;
};

/// A linear layer to be packed with others.
struct Part {
  const LinearSpec& layer;
  int interleaved_head_dim = 0;  // if set, the halves of heads of this size alternate by kHalfPanel
};

/// Reads tensors of a checkpoint, packs them, and uploads them.
class WeightPacker {
 public:
  WeightPacker(const Checkpoint& checkpoint, WeightType type)
      : checkpoint_(checkpoint), type_(type) {}

  /// The weights of a norm; empty if the model does not have it.
  Array<float> norm(const std::optional<NormSpec>& spec) {
    return spec ? uploaded(checkpoint_.norm(*spec)) : Array<float>();
  }

  /// Packs linear layers of the same inputs into one. Plain: their outputs one after another. Gated
  /// (two layers of equal size): kHalfPanel outputs of each in turn.
  PackedLinear linear(const std::vector<Part>& parts, bool gated = false) {
    const auto four_bit = four_bit_format_of(parts);
    if (four_bit) return linear(parts, WeightType::kInt4, gated, *four_bit);
    return linear(parts, type_ == WeightType::kInt4 ? WeightType::kInt8 : type_, gated);
  }
  /// Of the head: among int4 weights eight bits, unless the checkpoint has four.
  WeightType head_type(const LinearSpec& layer) const {
    const bool widened =
        type_ == WeightType::kInt4 && !four_bit_format(checkpoint_.get(layer.weight));
    return widened ? WeightType::kInt8 : type_;
  }
  PackedLinear head(const LinearSpec& layer) {
    const WeightType type = head_type(layer);
    return type == type_ ? linear({{layer}}) : linear({{layer}}, type, false);
  }
  PackedLinear linear(const std::vector<Part>& parts, WeightType type, bool gated,
                      const FourBitFormat& four_bit = {}) {
    const int k = parts.front().layer.k();
    std::vector<Source> sources = sources_of(parts, gated);
    PackedLinear out;
    out.type = type;
    out.n = static_cast<int>(sources.size());
    out.k = static_cast<int>(round_up(k, kQuantGroup));
    if (parts.front().layer.bias) out.bias = uploaded(biases_of(sources));
    sources.resize(round_up(sources.size(), kPanel));
    out.values = Array<std::byte>(sources.size() * row_bytes(type, out.k), "weights");
    out.four_bit = four_bit;
    if (type != WeightType::kBF16) out.scales = Array<Bf16>(count_scales(out.weights()), "weights");
    if (type == WeightType::kBF16)
      upload_bf16(sources, k, out);
    else if (type == WeightType::kInt4)
      upload_four_bit(sources, out);
    else
      upload_quantized(sources, k, out);
    return out;
  }

  Array<float> uploaded(const std::vector<float>& values) {
    Array<float> out(values.size(), "weights");
    uploader_.upload(out.data(), 1, values.size() * sizeof(float), [&](size_t, std::byte* at) {
      std::memcpy(at, values.data(), values.size() * sizeof(float));
    });
    return out;
  }
  void finish() { uploader_.finish(); }

 private:
  /// Where a row of packed weights comes from.
  struct Source {
    const Tensor* weights = nullptr;  // null: padding
    const Tensor* bias = nullptr;
    int row = 0;
  };

  /// The format of layers that are packed as one and have four bits, if int4 was asked for.
  std::optional<FourBitFormat> four_bit_format_of(const std::vector<Part>& parts) const {
    if (type_ != WeightType::kInt4) return {};
    std::vector<const Tensor*> tensors;
    for (const Part& part : parts) tensors.push_back(&checkpoint_.get(part.layer.weight));
    auto format = common_four_bit_format(tensors);
    if (format && kQuantGroup % format->group != 0) format->group = kMinFourBitGroup;
    return format;
  }

  float rounded(float value) const {
    return type_ == WeightType::kBF16 ? from_bf16(to_bf16(value)) : value;
  }

  /// The source of every packed row.
  std::vector<Source> sources_of(const std::vector<Part>& parts, bool gated) const {
    std::vector<Source> sources;
    size_t n = 0;
    for (const Part& part : parts) n += part.layer.n();
    if (gated) n = round_up(parts[0].layer.n(), kHalfPanel) * 2;
    sources.resize(n);
    int first = 0;
    for (size_t index = 0; index < parts.size(); ++index) {
      const LinearSpec& layer = parts[index].layer;
      const Tensor* const weights = &checkpoint_.get(layer.weight);
      const Tensor* const bias = layer.bias ? &checkpoint_.get(*layer.bias) : nullptr;
      for (int row = 0; row < layer.n(); ++row) {
        int packed_row = first + row;
        if (gated) {
          packed_row = gated_place(row, static_cast<int>(index));
        } else if (const int dim = parts[index].interleaved_head_dim; dim > 0) {
          packed_row = first + interleaved_place(row, dim);
        }
        sources[packed_row] = {weights, bias, layer.stored_row(row)};
      }
      first += layer.n();
    }
    return sources;
  }

  std::vector<float> biases_of(const std::vector<Source>& sources) const {
    std::vector<float> biases(sources.size());
    for (size_t i = 0; i < sources.size(); ++i) {
      if (!sources[i].bias) continue;
      to_float(*sources[i].bias, sources[i].row, 1, &biases[i]);
      biases[i] = rounded(biases[i]);
    }
    return biases;
  }

  void upload_bf16(const std::vector<Source>& sources, int k, const PackedLinear& to) {
    const size_t width = row_bytes(WeightType::kBF16, to.k);
    uploader_.upload(to.values.data(), sources.size(), width, [&](size_t row, std::byte* at) {
      std::memset(at, 0, width);
      if (!sources[row].weights) return;
      const Tensor& tensor = *sources[row].weights;
      const size_t first = static_cast<size_t>(sources[row].row) * k;
      if (tensor.dtype == Dtype::kBF16) {
        std::memcpy(at, tensor.data + first * sizeof(Bf16), static_cast<size_t>(k) * sizeof(Bf16));
        return;
      }
      std::vector<float> values(k);
      to_float(tensor, first, k, values.data());
      for (int i = 0; i < k; ++i) {
        const Bf16 value = to_bf16(values[i]);
        std::memcpy(at + static_cast<size_t>(i) * sizeof(Bf16), &value, sizeof(Bf16));
      }
    });
  }

  void upload_quantized(const std::vector<Source>& sources, int k, const PackedLinear& to) {
    uploader_.upload_quantized(to, sources.size(), [&](size_t row, std::byte* at) {
      auto* values = reinterpret_cast<float*>(at);
      std::fill_n(values, to.k, 0.0f);
      if (!sources[row].weights) return;
      to_float(*sources[row].weights, static_cast<size_t>(sources[row].row) * k, k, values);
    });
  }

  void upload_four_bit(const std::vector<Source>& sources, const PackedLinear& to) {
    const PackedWeights packed = to.weights();
    std::vector<std::uint16_t> scales(to.scales.count());
    const size_t width = row_bytes(to.type, to.k);
    uploader_.upload(to.values.data(), sources.size(), width, [&](size_t row, std::byte* at) {
      std::memset(at, 0, width);
      if (!sources[row].weights) return;
      FourBitRow values;
      read_four_bit_row(*sources[row].weights, sources[row].row, to.four_bit, values);
      pack_four_bit_row(values, static_cast<int>(row), packed, reinterpret_cast<std::uint32_t*>(at),
                        scales.data());
    });
    const auto panels = static_cast<size_t>(panels_of(to.n));
    const size_t panel = scales.size() / panels;
    uploader_.upload(to.scales.data(), panels, panel * sizeof scales[0],
                     [&](size_t index, std::byte* at) {
                       std::memcpy(at, &scales[index * panel], panel * sizeof scales[0]);
                     });
  }

  const Checkpoint& checkpoint_;
  WeightType type_;
  Uploader uploader_;
};

}  // namespace

size_t count_scales(const PackedWeights& w) {
  return static_cast<size_t>(panels_of(w.n)) * (w.k / scaled_together(w)) * scales_of_group(w);
}

void pack_four_bit_row(const FourBitRow& from, int row, const PackedWeights& w,
                       std::uint32_t* values, std::uint16_t* scales) {
  for (size_t i = 0; i < from.q.size(); ++i) {
    const FourBitPlace place = four_bit_place(static_cast<int>(i));
    values[place.word] |= std::uint32_t{from.q[i]} << place.bit;
  }
  const auto size = static_cast<size_t>(scales_of_group(w));
  const size_t panel = static_cast<size_t>(row / kPanel) * (w.k / w.four_bit.group);
  for (size_t group = 0; group < from.scales.size(); ++group) {
    std::uint16_t* const to = scales + (panel + group) * size + row % kPanel;
    to[0] = from.scales[group];
    if (w.four_bit.offset == FourBitOffset::kMin) {
      to[kPanel] = from.offsets[group];
    } else if (w.four_bit.offset == FourBitOffset::kZeroPoint) {
      to[kPanel] = four_bit_centre(static_cast<int>(from_fp16(from.offsets[group])));
    }
  }
}

ModelWeights load_weights(const ModelConfig& config, const Checkpoint& checkpoint, WeightType type,
                          bool interleave_halves) {
  const TensorManifest manifest = tensor_manifest(config);
  WeightPacker packer(checkpoint, type);
  const int head_dim = interleave_halves ? config.head_dim : 0;
  ModelWeights out;
  for (const LayerManifest& names : manifest.layers) {
    Layer& layer = out.layers.emplace_back();
    layer.attention = config.attention[out.layers.size() - 1];
    layer.attention_norm = packer.norm(names.attention_norm);
    layer.attention_post_norm = packer.norm(names.attention_post_norm);
    layer.mlp_norm = packer.norm(names.mlp_norm);
    layer.mlp_post_norm = packer.norm(names.mlp_post_norm);
    layer.q_norm = packer.norm(names.q_norm);
    layer.k_norm = packer.norm(names.k_norm);
    layer.qkv = packer.linear({{names.q, head_dim}, {names.k, head_dim}, {names.v}});
    layer.output = packer.linear({{names.output}});
    layer.gate_up = packer.linear({{names.gate}, {names.up}}, true);
    layer.down = packer.linear({{names.down}});
    for (const PackedLinear* linear : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
      out.bytes_per_step += linear->bytes();
    }
  }
  out.final_norm = packer.norm(manifest.final_norm);
  // A step reads only a few rows of the embedding. Beside int8 and int4 it has eight bits as on the
  // CPU, and can be the head.
  const bool eight_bits = type == WeightType::kInt8 || type == WeightType::kInt4;
  out.embedding = packer.linear({{LinearSpec{manifest.embedding, {}, config.vocabulary}}},
                                eight_bits ? WeightType::kInt8 : WeightType::kBF16, false);
  if (!config.tied_embeddings || packer.head_type(manifest.head) != out.embedding.type)
    out.separate_head = packer.head(manifest.head);
  out.bytes_per_step += out.head().bytes();
  std::vector<float> frequencies, magnitudes;
  for (const Rope& rope : config.ropes) {
    for (int i = 0; i < config.head_dim / 2; ++i) {
      frequencies.push_back(rope.inverse_frequency[i]);
      magnitudes.push_back(rope.magnitude(i));
    }
  }
  out.inverse_frequency = packer.uploaded(frequencies);
  out.rope_magnitude = packer.uploaded(magnitudes);
  packer.finish();
  return out;
}

}  // namespace anabranch::ANABRANCH_CUDA
