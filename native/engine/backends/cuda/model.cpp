// The CUDA backend: weights and KV on the device, and one forward pass over a ragged batch.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <tuple>

#include "number_formats.h"
#include "backends/attention_plan.h"
#include "backends/cuda/backend.h"
#include "backends/cuda/kernels.h"
#include "backends/cuda/library.h"
#include "backends/cuda/memory.h"
#include "model/tensor_manifest.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

static_assert(kBlockTokens == anabranch::kBlockTokens && kKvChunkTokens == anabranch::kKvChunkTokens);

/// A linear layer: y = x · wᵀ + bias.
struct Linear {
  WeightType type = WeightType::kBF16;
  int n = 0, k = 0;         // outputs, inputs padded to kGroup
  Array<std::byte> values;  // as Weights has them
  Array<Bf16> scales;
  Array<float> bias;        // [n], or empty

  Weights weights() const { return {type, values.data(), scales.data(), n, k}; }
  size_t bytes() const { return values.count() + scales.count() * sizeof(Bf16); }
};

struct Layer {
  Array<float> attention_norm, mlp_norm;  // [hidden]
  Array<float> q_norm, k_norm;            // [head_dim], or empty
  Linear qkv, output, gate_up, down;
  Kv kv;
};

/// Brings host memory to the device in large pieces: one is filled while the other travels.
class Uploader {
 public:
  Uploader() {
    for (auto& side : sides_) {
      check(cudaStreamCreate(&side.stream), "a stream");
      side.buffer = Pinned<std::byte>(kBytes);
    }
  }
  ~Uploader() {
    for (auto& side : sides_) cudaStreamDestroy(side.stream);
  }

  /// Sends `rows` rows of `width` bytes each to `to`; fill(row, at) writes one.
  template <class Fill>
  void send(void* to, size_t rows, size_t width, Fill fill) {
    in_pieces(rows, width, fill, [&](Side& side, size_t first, size_t count) {
      copy(static_cast<std::byte*>(to) + first * width, side, count * width);
    });
  }
  /// Sends rows of k fp32 values, which the device turns into 8-bit weights.
  template <class Fill>
  void send_quantized(const Linear& to, size_t rows, Fill fill) {
    const size_t width = static_cast<size_t>(to.k) * sizeof(float);
    in_pieces(rows, width, fill, [&](Side& side, size_t first, size_t count) {
      if (side.wide.count() == 0) side.wide = Array<std::byte>(kBytes, "quantizing weights");
      copy(side.wide.data(), side, count * width);
      Quantize job;
      job.type = to.type;
      job.rows = reinterpret_cast<const float*>(side.wide.data());
      job.count = static_cast<int>(count);
      job.first = static_cast<int>(first);
      job.k = to.k;
      job.values = reinterpret_cast<std::uint8_t*>(to.values.data());
      job.scales = to.scales.data();
      quantize(job, side.stream);
      check(cudaGetLastError(), "quantizing weights");
    });
  }
  void finish() {
    for (auto& side : sides_) check(cudaStreamSynchronize(side.stream), "uploading weights");
  }

 private:
  static constexpr size_t kBytes = size_t{32} << 20;
  struct Side {
    cudaStream_t stream{};
    Pinned<std::byte> buffer;
    Array<std::byte> wide;  // [kBytes] on the device, where weights are quantized
  };

  /// deliver(side, first, count) takes rows [first, first + count) out of the side's buffer.
  template <class Fill, class Deliver>
  void in_pieces(size_t rows, size_t width, Fill fill, Deliver deliver) {
    const size_t most = std::max<size_t>(1, kBytes / width);
    if (width > kBytes) throw Error(ErrorCode::kFailedPrecondition, "a row of weights is too wide");
    for (size_t row = 0; row < rows; row += most) {
      Side& side = sides_[turn_ ^= 1];
      check(cudaStreamSynchronize(side.stream), "uploading weights");
      const size_t count = std::min(most, rows - row);
      for (size_t i = 0; i < count; ++i) fill(row + i, side.buffer.data() + i * width);
      deliver(side, row, count);
    }
  }
  static void copy(void* to, Side& side, size_t bytes) {
    check(cudaMemcpyAsync(to, side.buffer.data(), bytes, cudaMemcpyHostToDevice, side.stream),
          "uploading weights");
  }

  Side sides_[2];
  int turn_ = 0;
};

/// Small things that a step needs on the device, gathered on the host and sent in one copy.
class Parcel {
 public:
  Parcel() = default;
  explicit Parcel(size_t bytes) : host_(bytes), device_(bytes, "a step's description") {}

  size_t size() const { return host_.count(); }
  void clear() { used_ = 0; }
  /// Room for `count` things: where the host writes them and where the device reads them.
  template <class T>
  std::pair<T*, T*> take(size_t count) {
    const size_t at = padded(used_, 16);
    if (at + count * sizeof(T) > host_.count()) {
      throw Error(ErrorCode::kInternal, "a step's description is larger than its buffer");
    }
    used_ = at + count * sizeof(T);
    return {reinterpret_cast<T*>(host_.data() + at), reinterpret_cast<T*>(device_.data() + at)};
  }
  void send(cudaStream_t stream) {
    check(cudaMemcpyAsync(device_.data(), host_.data(), used_, cudaMemcpyHostToDevice, stream),
          "sending a step");
  }

 private:
  Pinned<std::byte> host_;
  Array<std::byte> device_;
  size_t used_ = 0;
};

class CudaBackend final : public Backend {
 public:
  CudaBackend(const ModelConfig& config, const Checkpoint& weights, const BackendOptions& options,
              int device)
      : config_(config),
        type_(options.weight_type),
        kv_type_(options.kv_type),
        device_(device),
        deterministic_(options.deterministic),
        max_rows_(options.max_rows > 0 ? std::max(16, options.max_rows) : kMostRows) {
    if (type_ == WeightType::kF32) {
      throw Error(ErrorCode::kFailedPrecondition,
                  "fp32 weights run on the CPU only; give --dtype bf16 or --device cpu");
    }
    if (padded_dim() > 8 * kDepth || (padded_dim() > 4 * kDepth && padded_dim() != 8 * kDepth)) {
      throw Error(ErrorCode::kFailedPrecondition,
                  "heads of " + std::to_string(config.head_dim) + " have no CUDA kernel");
    }
#if !defined(ANABRANCH_EMULATE)
    check(cudaSetDevice(device), "choosing the device");
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, device), "the device's properties");
    device_name_ = properties.name;
    kernels_overlap = options.overlap_kernels && properties.major >= 9;
#else
    device_name_ = "emulated";
#endif
    check(cudaStreamCreate(&stream_), "a stream");
#if defined(ANABRANCH_WITH_CUBLASLT)
    // Its order of sums depends on the number of rows.
    if (type_ == WeightType::kBF16 && !deterministic_ && options.cublaslt) library_ = std::make_unique<Library>();
#endif
    load(weights);
    allocate_scratch();
    allocate_kv(options.kv_bytes);
  }
  ~CudaBackend() override {
    forget_graphs();
    cudaStreamDestroy(stream_);
  }

  std::string name() const override {
    return "cuda:" + std::to_string(device_) + " " + device_name_ + " " + name_of(type_) +
           (fp8_kv() ? ", fp8 KV" : "") + library_name();
  }
  const ModelConfig& config() const override { return config_; }
  int total_blocks() const override { return total_blocks_; }
  int max_rows() const override { return max_rows_; }
  int prefill_rows() const override { return max_rows_; }
  std::uint64_t weight_bytes() const override { return weight_bytes_; }
  std::uint64_t kv_bytes() const override {
    auto tokens = static_cast<std::uint64_t>(plan_.kv_tokens());
    for (const RunSpan& span : run_spans_) tokens += static_cast<std::uint64_t>(span.tokens);
    return tokens * kv_token_bytes();
  }

  void forward(const Batch& batch) override {
    if (batch.rows.empty()) return;
    if (static_cast<int>(batch.rows.size()) > max_rows_) {
      throw Error(ErrorCode::kInternal, "a batch is larger than the backend takes");
    }
    // Nobody may have asked for the last step's results: it may still read what was sent for it.
    check(cudaStreamSynchronize(stream_), "a step");
    find_runs(batch);
    plan_.build(batch, apart_);
    const Step step = describe(batch);
    parcel_.send(stream_);
    run(step);
    check(cudaGetLastError(), "starting a step");
  }

  std::span<const float> logits(int row) override {
    fetch_logits(row);
    return {row_.data(), row_.count()};
  }

  std::vector<SampledToken> sample(std::span<const SamplingRow> picks) override {
    std::vector<SampledToken> out(picks.size(), SampledToken{-1, 0, {}});
    std::vector<size_t> here;
    for (size_t i = 0; i < picks.size(); ++i) {
      if (on_device(picks[i].input)) here.push_back(i);
    }
    choose_on_device(picks, here, out);
    for (size_t i = 0; i < picks.size(); ++i) {
      if (out[i].token >= 0) continue;
      fetch_logits(picks[i].row);
      out[i] = anabranch::sample({row_.data(), row_.count()}, picks[i].input);
    }
    return out;
  }

 private:
  static constexpr int kMostRows = 2048;  // enough for tensor cores to be busy
  static constexpr int kRunRows = 16;     // that make a run

  // ---- loading ---------------------------------------------------------------------------------

  int padded_dim() const { return static_cast<int>(padded(config_.head_dim, kDepth)); }

  /// Told, for answers of another order of sums are others.
  std::string library_name() const {
#if defined(ANABRANCH_WITH_CUBLASLT)
    if (library_) return ", cuBLASLt";
#endif
    return "";
  }

  float rounded(float value) const {
    return type_ == WeightType::kBF16 ? from_bf16(to_bf16(value)) : value;
  }

  Array<float> vector_of(const Checkpoint& weights, const TensorSpec& spec) {
    std::vector<float> values(spec.shape[0]);
    to_float(weights.get(spec), 0, values.size(), values.data());
    for (float& value : values) value = rounded(value);
    return uploaded(values);
  }

  Array<float> uploaded(const std::vector<float>& values) {
    Array<float> out(values.size(), "weights");
    uploader_->send(out.data(), 1, values.size() * sizeof(float), [&](size_t, std::byte* at) {
      std::memcpy(at, values.data(), values.size() * sizeof(float));
    });
    return out;
  }

  struct Part {
    const LinearSpec& layer;
    int paired = 0;  // the size of heads whose halves' rows take turns, kHalf of each
  };
  /// The rows of one or several linear layers of the same inputs under each other, or gated, of equal size, kHalf of
  /// each in turn; and their biases.
  Linear linear(const Checkpoint& weights, const std::vector<Part>& parts, WeightType type, bool gated = false) {
    const int k = parts.front().layer.k();
    const bool bias = parts.front().layer.bias.has_value();
    Linear out;
    out.type = type;
    out.k = static_cast<int>(padded(k, kGroup));
    struct Source {
      const Tensor *tensor, *bias;
      int first, n, paired;
    };
    std::vector<Source> sources;
    for (const Part& part : parts) {
      const LinearSpec& layer = part.layer;
      sources.push_back({&weights.get(layer.weight), bias ? &weights.get(*layer.bias) : nullptr, out.n, layer.n(),
                         part.paired});
      out.n += layer.n();
    }
    if (gated) out.n = static_cast<int>(padded(sources[0].n, kHalf) / kHalf) * kStrip;
    const size_t rows = padded(out.n, kStrip), width = row_bytes(type, out.k);
    out.values = Array<std::byte>(rows * width, "weights");
    /// Where a row comes from: write(source, its row there); padding has no source.
    const auto with_source = [&](size_t row, auto write) {
      const int at = static_cast<int>(row), strip = at / kStrip, turn = at % kStrip / kHalf, i = at % kHalf;
      for (int s = 0; s < static_cast<int>(sources.size()); ++s) {
        const Source& source = sources[s];
        int from = at - source.first;
        if (gated) from = turn == s ? strip * kHalf + i : -1;
        if (from < 0 || from >= source.n) continue;
        if (const int dim = source.paired; dim > 0) {
          from = from / dim * dim + turn * (dim / 2) + from % dim / kStrip * kHalf + i;
        }
        write(source, from);
      }
    };
    const auto from_source = [&](size_t row, auto write) {
      with_source(row, [&](const Source& source, int from) {
        write(*source.tensor, static_cast<size_t>(from) * k);
      });
    };
    if (bias) {
      std::vector<float> biases(out.n);
      for (size_t row = 0; row < biases.size(); ++row) {
        with_source(row, [&](const Source& source, int from) {
          to_float(*source.bias, from, 1, &biases[row]);
          biases[row] = rounded(biases[row]);
        });
      }
      out.bias = uploaded(biases);
    }
    if (type != WeightType::kBF16) {
      out.scales = Array<Bf16>(rows * out.k / kGroup, "weights");
      uploader_->send_quantized(out, rows, [&](size_t row, std::byte* at) {
        auto* values = reinterpret_cast<float*>(at);
        std::fill_n(values, out.k, 0.0f);
        from_source(row, [&](const Tensor& tensor, size_t first) { to_float(tensor, first, k, values); });
      });
      return out;
    }
    std::vector<float> wide(k);
    uploader_->send(out.values.data(), rows, width, [&](size_t row, std::byte* at) {
      std::memset(at, 0, width);
      from_source(row, [&](const Tensor& tensor, size_t first) {
        if (tensor.dtype == Dtype::kBF16) {
          std::memcpy(at, tensor.data + first * 2, static_cast<size_t>(k) * 2);
          return;
        }
        to_float(tensor, first, k, wide.data());
        for (int i = 0; i < k; ++i) {
          const Bf16 value = to_bf16(wide[i]);
          std::memcpy(at + static_cast<size_t>(i) * 2, &value, 2);
        }
      });
    });
    return out;
  }

  /// One that every step reads whole.
  Linear streamed(const Checkpoint& weights, const std::vector<Part>& parts, bool gated = false) {
    Linear out = linear(weights, parts, type_, gated);
    weight_bytes_ += out.bytes();
    return out;
  }

  void load(const Checkpoint& weights) {
    const TensorManifest manifest = tensor_manifest(config_);
    uploader_ = std::make_unique<Uploader>();
    for (const LayerManifest& names : manifest.layers) {
      Layer& layer = layers_.emplace_back();
      layer.attention_norm = vector_of(weights, names.attention_norm);
      layer.mlp_norm = vector_of(weights, names.mlp_norm);
      if (names.q_norm) layer.q_norm = vector_of(weights, *names.q_norm);
      if (names.k_norm) layer.k_norm = vector_of(weights, *names.k_norm);
      const int paired = finishes_heads() ? config_.head_dim : 0;
      layer.qkv = streamed(weights, {{names.q, paired}, {names.k, paired}, {names.v}});
      layer.output = streamed(weights, {{names.output}});
      layer.gate_up = streamed(weights, {{names.gate}, {names.up}}, true);
      layer.down = streamed(weights, {{names.down}});
    }
    final_norm_ = vector_of(weights, manifest.final_norm);
    // A step reads a row or so of it: there is nothing to save, and its precision is kept.
    embedding_ = linear(weights, {{LinearSpec{manifest.embedding, {}}}}, WeightType::kBF16);
    if (config_.tied_embeddings && type_ == WeightType::kBF16) {
      head_ = &embedding_;
      weight_bytes_ += embedding_.bytes();
    } else {
      separate_head_ = streamed(weights, {{manifest.head}});
      head_ = &separate_head_;
    }
    frequency_ = uploaded(config_.rope.inverse_frequency);
    uploader_->finish();
    uploader_.reset();
  }

  /// Whether the product with qkv can turn q and K and write them and V: strips hold whole pairs, and nothing asks
  /// for a whole head.
  bool finishes_heads() const { return config_.head_dim % kStrip == 0 && !config_.qk_norm && !fp8_kv(); }

  /// K or V of one token and head, without and with its scale.
  size_t kv_value_bytes() const { return static_cast<size_t>(padded_dim()) * (fp8_kv() ? 1 : sizeof(Bf16)); }
  size_t kv_head_bytes() const { return kv_value_bytes() + (fp8_kv() ? sizeof(float) : 0); }
  bool fp8_kv() const { return kv_type_ == KvType::kFp8; }

  /// K and V of one token in all layers.
  size_t kv_token_bytes() const {
    return 2 * kv_head_bytes() * config_.kv_heads * static_cast<size_t>(config_.layers);
  }

  void allocate_kv(std::uint64_t bytes) {
    const size_t block = kBlockTokens * kv_token_bytes();
    if (bytes == 0) bytes = free_memory() / 10 * 9;
    total_blocks_ = static_cast<int>(std::min<std::uint64_t>(bytes / block, 1 << 24));
    if (total_blocks_ < 8) {
      throw Error(ErrorCode::kResourceExhausted,
                  "the KV budget of " + std::to_string(bytes >> 20) + " MiB holds fewer than 8 "
                  "blocks of " + std::to_string(block) + " bytes; give --kv-mib more, or a device "
                  "with more memory");
    }
    const auto blocks = static_cast<size_t>(total_blocks_) + 1;  // and one for rows that stand for none
    kv_ = Array<std::byte>(block * blocks, "KV");
    // Zeros: the padding of heads is never written.
    check(cudaMemset(kv_.data(), 0, kv_.count()), "clearing KV");
    const size_t heads = blocks * config_.kv_heads * kBlockTokens;
    std::byte* at = kv_.data();
    for (Layer& layer : layers_) {
      layer.kv.k = std::exchange(at, at + heads * kv_value_bytes());
      layer.kv.v = std::exchange(at, at + heads * kv_value_bytes());
      if (!fp8_kv()) continue;
      for (float** scales : {&layer.kv.k_scales, &layer.kv.v_scales}) {
        *scales = reinterpret_cast<float*>(std::exchange(at, at + heads * sizeof(float)));
      }
    }
    plan_ = AttentionPlan(total_blocks_, slots_, 1, config_.heads / config_.kv_heads, 1);
  }

  static std::uint64_t free_memory() {
#if defined(ANABRANCH_EMULATE)
    return std::uint64_t{64} << 20;
#else
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "free memory");
    return free;
#endif
  }

  void allocate_scratch() {
    const ModelConfig& c = config_;
    const auto rows = static_cast<size_t>(max_rows_);
    const int q = c.heads * c.head_dim;
    const auto halves = [&](size_t width) {
      return Array<Bf16>(rows * padded(width, kGroup), "scratch");
    };
    const auto floats = [&](size_t width) { return Array<float>(rows * width, "scratch"); };
    x_ = floats(c.hidden);
    squares_ = floats(static_cast<size_t>(strips_of(c.hidden)));
    normed_ = halves(c.hidden);
    turns_ = floats(static_cast<size_t>(c.head_dim));
    qkv_ = floats(static_cast<size_t>(q) + 2 * c.kv_heads * c.head_dim);
    q_ = Array<Bf16>(rows * c.heads * padded_dim(), "scratch");
    attended_ = halves(q);
#if defined(ANABRANCH_WITH_CUBLASLT)
    if (library_) gate_up_ = Array<Bf16>(rows * 2 * padded(c.intermediate, kHalf), "scratch");
#endif
    gates_ = halves(c.intermediate);
    if (!deterministic_ && max_rows_ > kFewRows) parts_ = Array<float>(kParts, "scratch");
    for (const Array<Bf16>* padded : {&normed_, &q_, &attended_, &gates_}) {
      check(cudaMemset(padded->data(), 0, padded->count() * sizeof(Bf16)), "clearing scratch");
    }
    // A piece holds at least one token of a row's context.
    slots_ = std::max(c.context, 4096);
    partials_ = Array<float>(static_cast<size_t>(slots_) * c.heads * (c.head_dim + 2), "scratch");
    parcel_ = Parcel(1 << 22);
    picks_ = Parcel(1 << 22);
    row_ = Pinned<float>(c.vocabulary);
    chosen_ = Pinned<DeviceSampledToken>(rows);
    logits_ = floats(c.vocabulary);
  }

  // ---- one forward pass ------------------------------------------------------------------------

  /// What the kernels of a step read, on the device.
  struct Wave {
    int first_row = 0, rows = 0, most_units = 0;
    const Plan* plan = nullptr;
    const WorkItem* units = nullptr;
  };
  struct Step {
    int rows = 0, logits_rows = 0;  // as many as a graph takes
    const StepRow* step_rows = nullptr;
    const int* wanted = nullptr;  // rows whose logits are wanted, in order
    std::vector<Wave> waves;
    AttendRuns runs;
    int run_parts = 0;
  };

  /// In large steps the prompts' rows attend by runs.
  void find_runs(const Batch& batch) {
    const int rows = static_cast<int>(batch.rows.size());
    runs_.clear();
    run_spans_.clear();
    run_parts_.clear();
    blocks_.clear();
    apart_.assign(batch.rows.size(), 0);
    if (deterministic_ || rows <= kFewRows) return;
    const auto spans_of = [&](int row) {
      return std::span(batch.spans).subspan(batch.rows[row].first_span, batch.rows[row].num_spans);
    };
    const auto goes_on = [&](int row) {
      const auto before = spans_of(row - 1), here = spans_of(row);
      const auto same = [](const KvSpan& a, const KvSpan& b) { return a.blocks == b.blocks && a.length == b.length; };
      return before.size() == here.size() && before.back().blocks == here.back().blocks &&
             before.back().length + 1 == here.back().length &&
             std::equal(before.begin(), before.end() - 1, here.begin(), same);
    };
    for (int first = 0, end; first < rows; first = end) {
      for (end = first + 1; end < rows && goes_on(end);) ++end;
      if (end - first < kRunRows) continue;
      std::fill(apart_.begin() + first, apart_.begin() + end, 1);
      const auto seen = spans_of(end - 1);
      const int run = static_cast<int>(runs_.size());
      runs_.push_back({first, end - first, static_cast<int>(run_spans_.size()),
                       static_cast<int>(seen.size()), spans_of(first).back().length});
      for (const KvSpan& span : seen) {
        run_spans_.push_back({static_cast<int>(blocks_.size()), span.length});
        blocks_.insert(blocks_.end(), span.blocks, span.blocks + blocks_for(span.length));
      }
      // Those that read most begin.
      const int queries = (end - first) * (config_.heads / config_.kv_heads);
      for (int at = (queries - 1) / kRunQueries; at >= 0; --at) run_parts_.push_back({run, at * kRunQueries});
    }
  }

  /// How many rows stand for `rows`: small steps are filled up, so that few graphs fit them all. The kernels of few
  /// rows read as many weights for one more.
  int filled(int rows) const {
    for (int size : {0, 1, 2, 4, 8, 16, 24, 32, 48, kFewRows}) {
      if (rows <= size) return std::min(size, max_rows_);
    }
    return std::min(static_cast<int>(padded(static_cast<size_t>(rows), 16)), max_rows_);  // for cuBLASLt's choices
  }
  /// The same of units, whose number a kernel looks up.
  static int filled_units(int units) {
    int size = units > 0 ? 64 : 0;
    while (size < units) size *= 2;
    return size;
  }

  /// Room in the parcel for all that describe() puts there.
  void reserve(size_t rows) {
    size_t units = 0;
    for (const AttentionPlan::Wave& wave : plan_.waves()) {
      units += static_cast<size_t>(filled_units(wave.thread_items.back() - wave.thread_items.front())) + 2;
    }
    constexpr size_t kUnitBlocks = kKvChunkTokens / kBlockTokens;
    const size_t bytes = rows * (sizeof(StepRow) + sizeof(int)) +
                         units * (sizeof(WorkItem) + kUnitBlocks * sizeof(int)) +
                         plan_.waves().size() * (sizeof(Plan) + 64) +
                         plan_.reads().size() * sizeof(QueryRead) + runs_.size() * sizeof(Run) +
                         run_spans_.size() * sizeof(RunSpan) + run_parts_.size() * sizeof(RunPart) +
                         blocks_.size() * sizeof(int) + 512;
    if (bytes <= parcel_.size()) return;
    forget_graphs();
    parcel_ = Parcel(2 * bytes);
  }

  /// Into the parcel: where the device will find it.
  template <class T>
  const T* packed(const std::vector<T>& things) {
    const auto [host, device] = parcel_.take<T>(things.size());
    std::copy(things.begin(), things.end(), host);
    return device;
  }

  Step describe(const Batch& batch) {
    const int there = static_cast<int>(batch.rows.size());
    Step step;
    step.rows = filled(there);
    step.logits_rows = filled(batch.logits_rows);
    reserve(static_cast<size_t>(step.rows));
    parcel_.clear();
    // Of one size and at one place for steps of as many rows, so that a graph fits them all.
    const auto [rows, device_rows] = parcel_.take<StepRow>(static_cast<size_t>(step.rows));
    const auto [wanted, device_wanted] = parcel_.take<int>(static_cast<size_t>(step.rows));
    step.step_rows = device_rows;
    step.wanted = device_wanted;
    std::fill_n(rows, step.rows, StepRow{0, 0, total_blocks_, 0, 0, 0});
    std::fill_n(wanted, step.rows, 0);
    for (int i = 0; i < there; ++i) {
      const Row& row = batch.rows[i];
      rows[i] = {row.token, row.position, row.block, row.offset, plan_.first_partial(i),
                 plan_.num_partials(i)};
      if (row.logits_row >= 0) wanted[row.logits_row] = i;
    }
    std::vector<Plan*> plans;
    for (const AttentionPlan::Wave& planned : plan_.waves()) {
      Wave wave;
      wave.first_row = planned.first_row;
      wave.rows = planned.last_row - planned.first_row;
      const int first = planned.thread_items.front(), count = planned.thread_items.back() - first;
      wave.most_units = filled_units(count);
      const auto [plan, device_plan] = parcel_.take<Plan>(1);
      const auto [units, device_units] = parcel_.take<WorkItem>(wave.most_units);
      plan->units = count;
      plans.push_back(plan);
      wave.plan = device_plan;
      wave.units = device_units;
      int block = static_cast<int>(blocks_.size());
      for (int i = 0; i < count; ++i) {
        const AttentionPlan::WorkItem& unit = plan_.item(first + i);
        int longest = 0;
        for (int r = 0; r < unit.count; ++r) {
          longest = std::max(longest, plan_.reads()[unit.first + r].tokens);
        }
        units[i] = {block, blocks_for(longest), unit.first, unit.count};
        blocks_.insert(blocks_.end(), unit.blocks, unit.blocks + units[i].blocks);
        block += units[i].blocks;
      }
      step.waves.push_back(wave);
    }
    const auto [readers, device_readers] = parcel_.take<QueryRead>(plan_.reads().size());
    for (size_t i = 0; i < plan_.reads().size(); ++i) {
      const AttentionPlan::QueryRead& reader = plan_.reads()[i];
      readers[i] = {reader.row, reader.tokens, reader.partial};
    }
    // A graph keeps how many rows are merged; those that stand for none have nothing to merge.
    if (step.waves.size() == 1) step.waves[0].rows += step.rows - there;
    const int* device_blocks = packed(blocks_);
    step.runs = {packed(run_parts_), packed(runs_), packed(run_spans_), device_blocks, attended_.data()};
    step.run_parts = static_cast<int>(run_parts_.size());
    for (Plan* plan : plans) {
      plan->readers = device_readers;
      plan->blocks = device_blocks;
    }
    return step;
  }

  /// Whether a step's norms are computed by what writes the residual stream, and not by a kernel.
  bool few(const Step& step) const { return step.rows <= kFewRows || deterministic_; }

  HandedOn hand_on(const Step& step, const Array<float>& weight) const {
    return few(step) ? HandedOn{weight.data(), normed_.data(), squares_.data()} : HandedOn{};
  }

  Gemm product_of(const Linear& w, const Bf16* x, int m) const {
    Gemm product;
    product.x = x;
    product.m = m;
    product.w = w.weights();
    product.bias = w.bias.data();
    product.invariant = deterministic_;
    product.parts = parts_.data();
    return product;
  }

  /// With `rows` rows of the residual stream, behind its norm; those in `from`, where it is given.
  Gemm normed_product(const Step& step, const Linear& w, const Array<float>& norm, int rows, const int* from) {
    Gemm product = product_of(w, normed_.data(), rows);
    if (few(step)) {
      product.squares = squares_.data();
      product.n = config_.hidden;
      product.epsilon = config_.norm_epsilon;
      product.from = from;
    } else {
      rms_norm(x_.data(), from, rows, norm.data(), config_.hidden, config_.norm_epsilon, normed_.data(), stream_);
    }
    return product;
  }

  void multiply(const Gemm& product) {
#if defined(ANABRANCH_WITH_CUBLASLT)
    const bool gated = product.gates != nullptr;
    if (library_ && product.m > kFewRows && !(gated && product.bias) &&
        library_->multiply(product, gated ? gate_up_.data() : nullptr, stream_)) {
      if (gated) silu_multiply(gate_up_.data(), product.m, product.w.n, product.gates, stream_);
      return;
    }
#endif
    gemm(product, stream_);
  }

  /// x_ += w · x.
  void add(const Step& step, const Linear& w, const Bf16* x, const Array<float>& next) {
    Gemm product = product_of(w, x, step.rows);
    product.out = x_.data();
    product.accumulate = true;
    product.next = hand_on(step, next);
    multiply(product);
  }

  void record(const Step& step) {
    const ModelConfig& c = config_;
    const int m = step.rows;
    Heads heads;
    heads.rows = step.step_rows;
    heads.count = m;
    heads.qkv = qkv_.data();
    heads.paired = finishes_heads();
    heads.turns = turns_.data();
    heads.epsilon = c.norm_epsilon;
    heads.heads = c.heads;
    heads.kv_heads = c.kv_heads;
    heads.dim = c.head_dim;
    heads.q = q_.data();
    Attend pieces;
    pieces.q = q_.data();
    pieces.heads = c.heads;
    pieces.kv_heads = c.kv_heads;
    pieces.dim = c.head_dim;
    pieces.partials = partials_.data();
    const size_t attended = padded(static_cast<size_t>(c.heads) * c.head_dim, kGroup);

    begin({step.step_rows, m, static_cast<const Bf16*>(embedding_.weights().values), c.hidden, x_.data(),
           hand_on(step, layers_.front().attention_norm), frequency_.data(), c.head_dim / 2,
           c.rope.attention_factor, turns_.data()},
          stream_);
    for (const Layer& layer : layers_) {
      const bool last = &layer == &layers_.back();
      heads.q_norm = layer.q_norm.data();
      heads.k_norm = layer.k_norm.data();
      heads.kv = layer.kv;
      Gemm qkv = normed_product(step, layer.qkv, layer.attention_norm, m, nullptr);
      if (finishes_heads() && few(step)) {
        qkv.heads = heads;
        multiply(qkv);
      } else {
        qkv.out = qkv_.data();
        multiply(qkv);
        finish_heads(heads, stream_);
      }
      // A step that wants no logits, of a prompt's earlier chunks, has then done all it is for.
      if (step.logits_rows == 0 && last) return;
      pieces.kv = layer.kv;
      for (const Wave& wave : step.waves) {
        if (wave.most_units == 0) continue;
        pieces.plan = wave.plan;
        pieces.units = wave.units;
        attend(pieces, wave.most_units, stream_);
        merge(step.step_rows + wave.first_row, wave.rows, partials_.data(), c.heads, c.head_dim,
              attended_.data() + attended * wave.first_row, stream_);
      }
      if (step.run_parts > 0) attend(pieces, step.runs, step.run_parts, stream_);
      add(step, layer.output, attended_.data(), layer.mlp_norm);
      Gemm gate_up = normed_product(step, layer.gate_up, layer.mlp_norm, m, nullptr);
      gate_up.gates = gates_.data();
      multiply(gate_up);
      add(step, layer.down, gates_.data(), last ? final_norm_ : (&layer)[1].attention_norm);
    }
    Gemm head = normed_product(step, *head_, final_norm_, step.logits_rows, step.wanted);
    head.out = logits_.data();
    multiply(head);
  }

#if defined(ANABRANCH_EMULATE)
  void run(const Step& step) { record(step); }
  void forget_graphs() {}
#else
  /// What a graph depends on: with the same, all kernels have the same arguments.
  using GraphKey = std::tuple<int, int, int>;

  /// Small steps are many kernels of little work: they are replayed as one graph, from the second of a kind on. The
  /// first loads its kernels.
  void run(const Step& step) {
    if (step.rows > kFewRows || step.waves.size() != 1) return record(step);
    const auto [known, first] = graphs_.try_emplace({step.rows, step.logits_rows, step.waves[0].most_units}, nullptr);
    if (first) return record(step);
    if (!known->second) known->second = captured(step);
    check(cudaGraphLaunch(known->second, stream_), "a step's graph");
  }

  cudaGraphExec_t captured(const Step& step) {
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capturing a step");
    record(step);
    check(cudaStreamEndCapture(stream_, &graph), "capturing a step");
    cudaGraphExec_t executable = nullptr;
    const cudaError_t made = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    check(made, "a step's graph");
    return executable;
  }

  void forget_graphs() {
    for (const auto& [key, graph] : graphs_) {
      if (graph) cudaGraphExecDestroy(graph);
    }
    graphs_.clear();
  }

  std::map<GraphKey, cudaGraphExec_t> graphs_;
#endif

  // ---- choosing --------------------------------------------------------------------------------

  /// Lists that are longer than a kernel takes are the host's.
  static bool on_device(const SamplingInput& choice) {
    return choice.constraint.allowed.size() <= kMostOnly && choice.params->top_logprobs <= kMostTop;
  }

  void fetch_logits(int row) {
    check(cudaMemcpyAsync(row_.data(), logits_.data() + static_cast<size_t>(row) * row_.count(),
                          row_.count() * sizeof(float), cudaMemcpyDeviceToHost, stream_),
          "fetching logits");
    check(cudaStreamSynchronize(stream_), "a step");
  }

  void choose_on_device(std::span<const SamplingRow> picks, const std::vector<size_t>& which,
                        std::vector<SampledToken>& out) {
    if (which.empty()) return;
    constexpr float kMasked = std::numeric_limits<float>::infinity();
    std::vector<DeviceSamplingRow> chosen;
    std::vector<Edit> edits;
    std::vector<int> only;
    for (size_t i : which) {
      const SamplingInput& choice = picks[i].input;
      const SamplingParams& sampling = *choice.params;
      const int row = picks[i].row;
      DeviceSamplingRow pick{row, static_cast<int>(edits.size()), 0, static_cast<int>(only.size()), 0,
                      sampling.logprobs ? std::max(0, sampling.top_logprobs) : -1,
                      sampling.temperature, std::max(0.0f, sampling.top_p), sampling.top_k, sampling.min_p,
                      choice.uniform};
      for (const auto& [token, count] : *choice.token_counts) {
        edits.push_back({row, token, sampling.repetition_penalty,
                         sampling.frequency_penalty * static_cast<float>(count) + sampling.presence_penalty, 0});
      }
      for (const auto& [token, bias] : sampling.logit_bias) edits.push_back({row, token, 1, -bias, 0});
      for (int token : choice.constraint.banned) edits.push_back({row, token, 1, kMasked, 0});
      only.insert(only.end(), choice.constraint.allowed.begin(), choice.constraint.allowed.end());
      pick.edits = static_cast<int>(edits.size()) - pick.first_edit;
      pick.only = static_cast<int>(only.size()) - pick.first_only;
      chosen.push_back(pick);
    }
    const size_t bytes = chosen.size() * sizeof(DeviceSamplingRow) + edits.size() * sizeof(Edit) +
                         only.size() * sizeof(int) + 64;
    if (bytes > picks_.size()) picks_ = Parcel(2 * bytes);
    picks_.clear();
    const auto [host_picks, device_picks] = picks_.take<DeviceSamplingRow>(chosen.size());
    const auto [host_edits, device_edits] = picks_.take<Edit>(edits.size());
    const auto [host_only, device_only] = picks_.take<int>(only.size());
    std::copy(chosen.begin(), chosen.end(), host_picks);
    std::copy(edits.begin(), edits.end(), host_edits);
    std::copy(only.begin(), only.end(), host_only);
    picks_.send(stream_);
    ANABRANCH_CUDA::sample(logits_.data(), config_.vocabulary, device_picks,
                           static_cast<int>(chosen.size()), device_edits, device_only, chosen_.data(), stream_);
    check(cudaGetLastError(), "choosing tokens");
    check(cudaStreamSynchronize(stream_), "a step");
    for (size_t i = 0; i < which.size(); ++i) {
      const DeviceSampledToken& picked = chosen_.data()[i];
      SampledToken& to = out[which[i]];
      to.token = picked.token;
      if (chosen[i].top < 0 || picked.token < 0) continue;
      to.logprob = picked.log_probability;
      for (int at = 0; at < picked.tops; ++at) to.top.emplace_back(picked.top[at], picked.top_log_probabilities[at]);
    }
  }

  ModelConfig config_;
  WeightType type_;
  KvType kv_type_;
  int device_;
  bool deterministic_;
  int max_rows_;
  std::string device_name_;
  cudaStream_t stream_{};
  std::unique_ptr<Uploader> uploader_;  // while loading
  std::uint64_t weight_bytes_ = 0;

  Linear embedding_, separate_head_;
  const Linear* head_ = nullptr;
  std::vector<Layer> layers_;
  Array<float> final_norm_, frequency_;
#if defined(ANABRANCH_WITH_CUBLASLT)
  std::unique_ptr<Library> library_;
#endif
  Array<std::byte> kv_;
  int total_blocks_ = 0;

  // Scratch of one forward pass, [max_rows, …].
  Array<float> x_, qkv_;
  Array<float> turns_;    // [max_rows, head_dim / 2, 2]
  Array<float> squares_;  // [max_rows, strips of hidden]
  Array<float> parts_;    // [kParts], of products
  Array<Bf16> normed_, q_, attended_, gates_;
  Array<Bf16> gate_up_;  // only where the library multiplies
  int slots_ = 0;
  Array<float> partials_;  // [slots of a wave, heads, head_dim + 2]
  AttentionPlan plan_;
  std::vector<int> blocks_;  // of all units and runs of the step
  std::vector<Run> runs_;
  std::vector<RunSpan> run_spans_;
  std::vector<RunPart> run_parts_;
  std::vector<char> apart_;  // [rows]: in a run
  Parcel parcel_, picks_;

  Array<float> logits_;  // [rows that asked, vocabulary] of the last forward pass
  Pinned<float> row_;    // one of them
  Pinned<DeviceSampledToken> chosen_;  // the device writes it
};

}  // namespace

std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& weights,
                                      const BackendOptions& options, int device) {
  return std::make_unique<CudaBackend>(config, weights, options, device);
}

#if !defined(ANABRANCH_EMULATE)
int devices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}
#endif

}  // namespace anabranch::ANABRANCH_CUDA
