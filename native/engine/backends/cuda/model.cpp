#include "backends/cuda/model.h"

#include <algorithm>
#include <utility>

#include "backends/cuda/backend.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kDefaultMaxRows = 2048;  // enough to keep the tensor cores busy
/// From here on cuBLASLt is faster, although norms and epilogues are then kernels of their own.
constexpr int kMaxSkinnyRowsBesideLibrary = 16;
/// Weights that are widened together: enough for products of them to fill a device.
constexpr size_t kMostWidened = size_t{64} << 20;

std::uint64_t free_memory() {
#if defined(ANABRANCH_EMULATE)
  return std::uint64_t{64} << 20;
#else
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "reading free memory");
  return free;
#endif
}

std::uint64_t total_memory() {
#if defined(ANABRANCH_EMULATE)
  return std::uint64_t{4} << 30;
#else
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "reading the memory's size");
  return total;
#endif
}

}  // namespace

CudaBackend::CudaBackend(const ModelConfig& config, const Checkpoint& checkpoint,
                         const BackendOptions& options, int device)
    : config_(config),
      type_(options.weight_type),
      kv_type_(options.kv_type),
      device_(device),
      deterministic_(options.deterministic),
      max_rows_(options.max_rows > 0 ? std::max(16, options.max_rows) : kDefaultMaxRows) {
  if (type_ == WeightType::kF32) {
    throw Error(ErrorCode::kFailedPrecondition,
                "fp32 weights run on the CPU only; give --dtype bf16 or --device cpu");
  }
  if (padded_dim() > 8 * kWarpK || (padded_dim() > 4 * kWarpK && padded_dim() != 8 * kWarpK)) {
    throw Error(ErrorCode::kFailedPrecondition, "the CUDA backend has no kernel for heads of " +
                                                    std::to_string(config.head_dim) + " values");
  }
  select_device();
#if !defined(ANABRANCH_EMULATE)
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "reading the device's properties");
  device_name_ = properties.name;
  queue_.overlap = options.overlap_kernels && properties.major >= 9;
  queue_.multiprocessors = properties.multiProcessorCount;
#else
  device_name_ = "emulated";
#endif
  queue_.prefetch_bytes = options.prefetch_bytes;
  check(cudaStreamCreate(&queue_.stream), "creating a stream");
#if defined(ANABRANCH_WITH_CUBLASLT)
  // Not with `deterministic`: cuBLASLt's order of sums depends on the number of rows.
  if (!deterministic_ && options.cublaslt) cublaslt_ = std::make_unique<CublasLt>();
  // Weights of few bits must be widened for it first, which pays for many rows only.
  if (cublaslt_ && type_ == WeightType::kBF16) skinny_rows_ = kMaxSkinnyRowsBesideLibrary;
#endif
  weights_ = load_weights(config_, checkpoint, type_, fuses_qkv_epilogue());
  allocate_scratch(kv_blocks(options.kv_bytes));
  allocate_kv(kv_blocks(options.kv_bytes));
}

CudaBackend::~CudaBackend() {
#if !defined(ANABRANCH_EMULATE)
  cudaSetDevice(device_);
#endif
  drop_graphs();
  cudaStreamDestroy(queue_.stream);
}

void CudaBackend::select_device() const {
#if !defined(ANABRANCH_EMULATE)
  check(cudaSetDevice(device_), "selecting the device");
#endif
}

std::string CudaBackend::name() const {
  std::string name = "cuda:" + std::to_string(device_) + " " + device_name_ + " " + name_of(type_);
  if (fp8_kv()) name += ", fp8 KV";
#if defined(ANABRANCH_WITH_CUBLASLT)
  // Part of the name because its order of sums changes answers.
  if (cublaslt_) name += ", cuBLASLt";
#endif
  return name;
}

/// Whether the QKV GEMM can apply the QKV epilogue: panels must hold whole RoPE pairs, and nothing
/// may need a whole head at once, as q/k norm and fp8 scales do.
bool CudaBackend::fuses_qkv_epilogue() const {
  return config_.head_dim % kPanel == 0 && config_.qk_norm == QkNorm::kNone && !fp8_kv();
}

// ---- KV cache ----------------------------------------------------------------------------------

/// Bytes of K or V of one token and head, without and with its scale.
size_t CudaBackend::kv_value_bytes() const {
  return static_cast<size_t>(padded_dim()) * (fp8_kv() ? 1 : sizeof(Bf16));
}
size_t CudaBackend::kv_head_bytes() const {
  return kv_value_bytes() + (fp8_kv() ? sizeof(float) : 0);
}

/// Bytes of K and V of one token in all layers.
size_t CudaBackend::kv_token_bytes() const {
  return 2 * kv_head_bytes() * config_.kv_heads * static_cast<size_t>(config_.layers);
}

std::uint64_t CudaBackend::kv_bytes() const {
  std::uint64_t tokens = 0;
  for (const LayerAttention& layer : config_.attention) tokens += steps_.kv_tokens(layer.window);
  return tokens * kv_token_bytes() / static_cast<std::uint64_t>(config_.layers);
}

/// Blocks that a budget holds; 0 bytes: nine tenths of what is free now.
int CudaBackend::kv_blocks(std::uint64_t bytes) const {
  const size_t block = kBlockTokens * kv_token_bytes();
  if (bytes == 0) bytes = free_memory() / 10 * 9;
  const auto blocks = static_cast<int>(std::min<std::uint64_t>(bytes / block, 1 << 24));
  if (blocks >= 8) return blocks;
  throw Error(ErrorCode::kResourceExhausted,
              "the KV budget of " + std::to_string(bytes >> 20) +
                  " MiB holds fewer than 8 blocks of " + std::to_string(block) +
                  " bytes; give --kv-mib more, or a device with more memory");
}

void CudaBackend::allocate_kv(int count) {
  const size_t block = kBlockTokens * kv_token_bytes();
  total_blocks_ = count;
  // One spare block, which padding rows write to.
  const auto blocks = static_cast<size_t>(total_blocks_) + 1;
  kv_ = Array<std::byte>(block * blocks, "KV");
  // The padding of heads is never written and must be 0.
  check(cudaMemset(kv_.data(), 0, kv_.count()), "clearing KV");
  const size_t heads = blocks * config_.kv_heads * kBlockTokens;
  std::byte* at = kv_.data();
  for (Layer& layer : weights_.layers) {
    layer.kv.k = std::exchange(at, at + heads * kv_value_bytes());
    layer.kv.v = std::exchange(at, at + heads * kv_value_bytes());
    if (!fp8_kv()) continue;
    for (float** scales : {&layer.kv.k_scales, &layer.kv.v_scales}) {
      *scales = reinterpret_cast<float*>(std::exchange(at, at + heads * sizeof(float)));
    }
  }
  steps_.set_total_blocks(total_blocks_);
}

// ---- scratch -----------------------------------------------------------------------------------

/// Logits rows of one step: what half a gigabyte holds, on small devices a thirty-second of all.
int CudaBackend::logits_rows_that_fit() const {
  const std::uint64_t bytes =
      std::min<std::uint64_t>(std::uint64_t{512} << 20, total_memory() / 32);
  const auto rows = static_cast<int>(std::min<std::uint64_t>(
      bytes / (sizeof(float) * static_cast<std::uint64_t>(config_.vocabulary)), 1 << 20));
  return std::min(max_rows_, std::max(rows, kMaxSkinnyRows));
}

/// Weights to widen at a time: those of the largest layer that has few bits, if that is no more.
size_t CudaBackend::widened_values() const {
  if (deterministic_ || max_rows_ <= kMaxSkinnyRows) return 0;
  size_t most = 0;
  const auto add = [&](const PackedLinear& w) {
    if (w.type == WeightType::kBF16) return;
    const auto k = static_cast<size_t>(w.k);
    // At least one panel.
    most = std::max({most, kPanel * k, std::min(kMostWidened, round_up(w.n, kPanel) * k)});
  };
  for (const Layer& layer : weights_.layers) {
    for (const PackedLinear* w : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) add(*w);
  }
  add(weights_.head());
  return most;
}

void CudaBackend::allocate_scratch(int kv_blocks) {
  const ModelConfig& c = config_;
  const auto rows = static_cast<size_t>(max_rows_);
  const int q = c.heads * c.head_dim;
  const auto bf16 = [&](size_t width) {
    return Array<Bf16>(rows * round_up(width, kQuantGroup), "scratch");
  };
  const auto fp32 = [&](size_t width) { return Array<float>(rows * width, "scratch"); };
  x_ = fp32(c.hidden);
  norm_squares_ = fp32(static_cast<size_t>(panels_of(c.hidden)));
  normed_ = bf16(c.hidden);
  rope_tables_ = fp32(c.ropes.size() * static_cast<size_t>(c.head_dim));
  if (adds_separately()) added_ = fp32(static_cast<size_t>(c.hidden));
  qkv_ = fp32(static_cast<size_t>(q) + 2 * c.kv_heads * c.head_dim);
  q_ = Array<Bf16>(rows * c.heads * padded_dim(), "scratch");
  attended_ = bf16(q);
#if defined(ANABRANCH_WITH_CUBLASLT)
  if (cublaslt_) gate_up_ = Array<Bf16>(rows * 2 * round_up(c.intermediate, kHalfPanel), "scratch");
#endif
  gated_ = bf16(c.intermediate);
  if (!deterministic_ && max_rows_ > kMaxSkinnyRows)
    split_k_workspace_ = Array<float>(kSplitKWorkspace, "scratch");
  widened_ = Array<Bf16>(widened_values(), "scratch");
  // The padding of rows is never written and must be 0.
  for (const Array<Bf16>* array : {&normed_, &q_, &attended_, &gated_}) {
    check(cudaMemset(array->data(), 0, array->count() * sizeof(Bf16)), "clearing scratch");
  }
  // The partials of one row must fit: each is of a chunk that holds at least one token of its
  // context, and one block.
  const int max_partials = std::max(std::min(c.context, kv_blocks), 4096);
  partials_ =
      Array<float>(static_cast<size_t>(max_partials) * c.heads * (c.head_dim + 2), "scratch");
  steps_ = StepBuilder(config_, max_rows_, max_partials, deterministic_, queue_.multiprocessors);
  sampling_inputs_ = StagingBuffer(1 << 22);
  max_logits_rows_ = logits_rows_that_fit();
  sampled_ = Pinned<DeviceSampledToken>(static_cast<size_t>(max_logits_rows_));
  allocate_logits(c.vocabulary);
}

void CudaBackend::allocate_logits(int stride) {
  logits_stride_ = stride;
  logits_ = Array<float>();  // freed first
  logits_ = Array<float>(static_cast<size_t>(max_logits_rows_) * stride, "logits");
  logits_row_ = Pinned<float>(static_cast<size_t>(stride));
}

// ---- adapters ----------------------------------------------------------------------------------

void CudaBackend::prepare(Adapter& adapter) {
  select_device();
  adapter.on_backend = std::make_shared<DeviceAdapter>(adapter, config_, fuses_qkv_epilogue());
  adapter.drop_updates();
}

/// Makes scratch as wide as the rows' adapters need it, which invalidates captured graphs.
void CudaBackend::make_room_for_adapters(const Batch& batch) {
  int ranks = projected_stride_, vocabulary = logits_stride_;
  for (const Row& row : batch.rows) {
    if (!row.adapter) continue;
    vocabulary = std::max(vocabulary, row.adapter->vocabulary);
    ranks = std::max(ranks, device_adapter(row)->most_ranks());
  }
  if (ranks == projected_stride_ && vocabulary == logits_stride_) return;
  drop_graphs();
  if (vocabulary != logits_stride_) allocate_logits(vocabulary);
  if (ranks == projected_stride_) return;
  projected_ = Array<float>(static_cast<size_t>(max_rows_) * ranks, "adapters");
  projected_stride_ = ranks;
}

// ---- backend.h ---------------------------------------------------------------------------------

std::unique_ptr<Backend> make_backend(const ModelConfig& config, const Checkpoint& checkpoint,
                                      const BackendOptions& options, int device) {
  return std::make_unique<CudaBackend>(config, checkpoint, options, device);
}

}  // namespace anabranch::ANABRANCH_CUDA
