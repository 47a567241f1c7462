// The CPU backend: packed weights, the KV cache, and one forward pass over a ragged batch.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>

#include "backends/backend.h"
#include "error.h"
#include "model/eight_bit.h"
#include "model/tensor_manifest.h"
#include "number_formats.h"
#include "backends/cpu/adapter.h"
#include "backends/cpu/buffer.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/packed_weights.h"
#include "backends/cpu/thread_pool.h"

namespace anabranch {
namespace {

/// Norms that the model does not have are empty.
struct Layer {
  std::vector<float> attention_norm, attention_post_norm;  // [hidden]
  PackedLinear qkv;                            // [(heads + 2 · kv_heads) · head_dim, hidden]
  std::vector<float> q_norm, k_norm;           // as QkNorm says
  PackedLinear output;                         // [hidden, heads · head_dim]
  std::vector<float> mlp_norm, mlp_post_norm;  // [hidden]
  PackedLinear gate_up;                        // [intermediate, hidden]
  PackedLinear down;                           // [hidden, intermediate]
  LayerAttention attention;
  Buffer k, v;  // [blocks, kv_heads, head_dim · kBlockTokens]
};

/// Activations of a step's rows, [max_rows, stride] fp32 or pairs of bf16.
struct Activations {
  Activations() = default;
  Activations(int rows, int width, bool pairs = false)
      : stride(pairs ? (width + 1) / 2 : width),
        pairs(pairs),
        data(static_cast<size_t>(rows) * stride * sizeof(float)) {}
  float* row(int index) const { return data.floats() + static_cast<size_t>(index) * stride; }

  int stride = 0;
  bool pairs = false;
  Buffer data;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(const ModelConfig& config, const Checkpoint& weights, const BackendOptions& options)
      : config_(config),
        type_(options.weight_type),
        kernels_(select_kernels(options.code_path)),
        max_rows_(options.max_rows > 0 ? std::max(16, options.max_rows) : 512),
        pool_(options.threads > 0
                  ? options.threads
                  : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {
    if (config.heads / config.kv_heads > 64) {
      throw bad_argument("more than 64 query heads share a KV head");
    }
    if (type_ == WeightType::kFp8) {
      throw Error(ErrorCode::kFailedPrecondition,
                  "fp8 weights run on a GPU only; give --dtype int8 or --device cuda:0");
    }
    if (options.kv_type == KvType::kFp8) {
      throw Error(ErrorCode::kFailedPrecondition,
                  "fp8 KV runs on a GPU only; give --kv-dtype auto or --device cuda:0");
    }
    load(weights);
    allocate_kv(options.kv_bytes);
    allocate_scratch();
  }

  std::string name() const override {
    return std::string("cpu ") + kernels_.name + " " + name_of(type_);
  }
  const ModelConfig& config() const override { return config_; }
  int total_blocks() const override { return total_blocks_; }
  int max_rows() const override { return max_rows_; }
  int prefill_rows() const override { return std::min(128, max_rows_); }
  std::uint64_t weight_bytes() const override { return weight_bytes_; }
  std::uint64_t kv_bytes() const override {
    std::uint64_t tokens = 0;
    for (const LayerAttention& layer : config_.attention) {
      tokens += static_cast<std::uint64_t>(plans_[layer.window].kv_tokens());
    }
    return tokens * kv_token_bytes() / static_cast<std::uint64_t>(config_.layers);
  }

  void forward(const Batch& batch) override {
    if (batch.rows.empty()) return;
    if (static_cast<int>(batch.rows.size()) > max_rows_) {
      throw Error(ErrorCode::kInternal, "a batch has more rows than the backend takes");
    }
    for (size_t i = 0; i < plans_.size(); ++i) plans_[i].build(batch, config_.windows[i]);
    adapters_.plan(batch);
    logits_stride_ = static_cast<size_t>(adapters_.widest_vocabulary(config_.vocabulary));
    logits_.resize(static_cast<size_t>(batch.logits_rows) * logits_stride_);
    pool_.run([&](ThreadPool::Member& member) { run(batch, logits_.data(), member); });
  }

  void prepare(Adapter& adapter) override {
    std::vector<PackedLayer> layers;
    for (const Layer& layer : layers_) {
      layers.push_back({&layer.qkv, &layer.output, &layer.gate_up, &layer.down});
    }
    adapter.on_backend = pack_adapter(adapter, layers, kernels_, type_);
    adapter.drop_updates();
  }

  std::span<const float> logits(int row) override { return logits_of(row); }

  std::vector<SampledToken> sample(std::span<const SamplingRow> rows) override {
    std::vector<SampledToken> out(rows.size());
    if (rows.empty()) return out;
    pool_.run([&](ThreadPool::Member& member) {
      const auto [first, last] = member.share(static_cast<int>(rows.size()));
      for (int i = first; i < last; ++i) {
        out[i] = anabranch::sample(logits_of(rows[i].row), rows[i].input);
      }
    });
    return out;
  }

 private:
  // ---- loading ----------------------------------------------------------------------------------

  void load(const Checkpoint& weights) {
    const TensorManifest manifest = tensor_manifest(config_);
    WeightPacker packer(weights, kernels_, type_, pool_, arena_);
    embedding_ = weights.get(manifest.embedding);
    const auto norm = [&](const std::optional<NormSpec>& spec) {
      return spec ? weights.norm(*spec) : std::vector<float>();
    };
    for (const LayerManifest& names : manifest.layers) {
      layers_.emplace_back();
      Layer& layer = layers_.back();
      layer.attention = config_.attention[layers_.size() - 1];
      layer.attention_norm = norm(names.attention_norm);
      layer.attention_post_norm = norm(names.attention_post_norm);
      layer.mlp_norm = norm(names.mlp_norm);
      layer.mlp_post_norm = norm(names.mlp_post_norm);
      layer.q_norm = norm(names.q_norm);
      layer.k_norm = norm(names.k_norm);
      layer.qkv = packer.linear({names.q, names.k, names.v});
      layer.output = packer.linear({names.output});
      layer.gate_up = packer.linear({names.gate, names.up}, true);
      layer.down = packer.linear({names.down});
      weights.release_pages();
    }
    final_norm_ = weights.norm(manifest.final_norm);
    head_ = packer.head(manifest.head);
    weight_bytes_ = packer.bytes();
  }

  size_t element_bytes() const { return type_ == WeightType::kF32 ? 4 : 2; }

  /// K and V of one token in all layers.
  size_t kv_token_bytes() const {
    return 2 * element_bytes() * config_.kv_heads * config_.head_dim *
           static_cast<size_t>(config_.layers);
  }

  void allocate_kv(std::uint64_t bytes) {
    const size_t block = kBlockTokens * kv_token_bytes();
    if (bytes == 0) {
      const auto free = static_cast<std::uint64_t>(::sysconf(_SC_AVPHYS_PAGES)) *
                        static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
      bytes = std::min<std::uint64_t>(free / 4, std::uint64_t{1} << 30);
    }
    total_blocks_ = static_cast<int>(std::min<std::uint64_t>(bytes / block, 1 << 24));
    if (total_blocks_ < 8) {
      throw Error(ErrorCode::kResourceExhausted, "the KV budget of " + std::to_string(bytes >> 20) +
                                                     " MiB holds fewer than 8 "
                                                     "blocks of " +
                                                     std::to_string(block) +
                                                     " bytes; give a larger --kv-mib");
    }
    for (Layer& layer : layers_) {
      const size_t half = block / 2 / config_.layers * total_blocks_;
      layer.k = Buffer(half);
      layer.v = Buffer(half);
    }
  }

  void allocate_scratch() {
    const ModelConfig& c = config_;
    x_ = {max_rows_, c.hidden};
    last_x_ = {max_rows_, c.hidden};
    qkv_ = {max_rows_, (c.heads + 2 * c.kv_heads) * c.head_dim};
    attended_ = {max_rows_, c.heads * c.head_dim};
    const int panels = layers_.empty() ? 0 : layers_[0].gate_up.panels / 2;
    gated_ = {max_rows_, panels * kernels_.panel_width,
              kernels_.pairs && type_ == WeightType::kBF16};
    if (adds_separately()) added_ = {max_rows_, c.hidden};
    rope_table_ = {max_rows_, c.head_dim * static_cast<int>(c.ropes.size())};
    const int widest = std::max({c.hidden, c.intermediate, c.heads * c.head_dim});
    int widest_panels = 0;
    for (const Layer& layer : layers_) {
      for (const PackedLinear* w : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
        widest_panels = std::max(widest_panels, w->panels);
      }
    }
    adapters_ = {kernels_, max_rows_, widest_panels * kernels_.panel_width, pool_.size()};
    gemm_stride_ = gemm_scratch(widest);
    gemm_scratch_ = Buffer(gemm_stride_ * pool_.size() * sizeof(std::uint32_t));
    // A row that reads every block must fit into one wave. Untouched pages take no memory.
    const int max_partials = std::max(total_blocks_, 4096);
    for (size_t i = 0; i < c.windows.size(); ++i) {
      plans_.emplace_back(total_blocks_, max_partials, c.kv_heads, c.heads / c.kv_heads,
                          pool_.size());
    }
    partials_ = Buffer(partial_stride() * max_partials * sizeof(float));
    attend_scratch_ = Buffer(attend_scratch_floats(c.head_dim) * pool_.size() * sizeof(float));
  }

  std::span<float> logits_of(int row) {
    return {logits_.data() + static_cast<size_t>(row) * logits_stride_,
            static_cast<size_t>(adapters_.vocabulary_of(row, config_.vocabulary))};
  }

  // ---- one forward pass ------------------------------------------------------------------------

  /// A product of `x`, after `norm` if given and not empty, whose other arguments are still to be
  /// set.
  Gemm product_of(const Activations& x, const std::vector<float>* norm = nullptr) const {
    Gemm g;
    g.x = x.data.data();
    g.x_pairs = x.pairs;
    g.ldx = x.stride;
    g.norm = norm && !norm->empty() ? norm->data() : nullptr;
    g.epsilon = config_.norm_epsilon;
    return g;
  }

  /// This member's share of out = x · w.
  void multiply(const PackedLinear& w, Gemm g, int m, const Activations& out,
                const ThreadPool::Member& member) const {
    g.out = out.data.data();
    g.out_pairs = out.pairs;
    g.ldo = out.stride;
    multiply(w, g, m, member);
  }

  /// Whether something comes between a product and its addition to the residual stream.
  bool adds_separately() const { return config_.post_norms || config_.residual_scale != 1; }

  /// Rows [0, m) of x += w · g.x, after the norm and with the factor that the model has there.
  void add_to_residual(const PackedLinear& w, Gemm g, int m, const std::vector<float>& post_norm,
                       const Activations& x, ThreadPool::Member& member) const {
    if (!adds_separately()) {
      g.accumulate = true;
      return multiply(w, g, m, x, member);
    }
    multiply(w, g, m, added_, member);
    member.sync();
    const auto rows = member.share(m);
    for (int row = rows.first; row < rows.second; ++row) {
      float* const added = added_.row(row);
      float* const to = x.row(row);
      if (!post_norm.empty()) {
        kernels_.rms_norm(added, post_norm.data(), config_.hidden, config_.norm_epsilon, added);
      }
      for (int i = 0; i < config_.hidden; ++i) to[i] += config_.residual_scale * added[i];
    }
  }
  std::uint32_t* scratch_of(const ThreadPool::Member& member) const {
    return gemm_scratch_.words() + gemm_stride_ * member.index();
  }

  void multiply(const PackedLinear& w, Gemm g, int m, const ThreadPool::Member& member) const {
    const auto panels = w.share(member);
    g.m = m;
    g.k = w.k;
    g.format = w.format;
    g.w = w.data;
    g.n = w.n;
    g.first = panels.first;
    g.last = panels.second;
    g.bias = w.bias.empty() ? nullptr : w.bias.data();
    g.gated = w.gated;
    g.activation = config_.activation;
    g.scratch = scratch_of(member);
    kernels_.gemm(g);
  }

  /// The product's input with what adapters add to its sums. May wait for the other members.
  Gemm adapted(const AdaptedProduct& product, const PackedLinear& w, Gemm g,
               ThreadPool::Member& member) {
    if (!adapters_.has(product)) return g;
    g.scratch = scratch_of(member);
    adapters_.project(product, g, w.k, member);
    if (adapters_.is_shared(product)) member.sync();
    adapters_.expand(product, w, g, member);
    return g;
  }

  /// Beside int8 and int4 weights an embedding of floats has the values that it would have in eight
  /// bits, so that a model answers alike before and after `models quantize`.
  bool rounds_embedding() const {
    return (type_ == WeightType::kInt8 || type_ == WeightType::kInt4) && is_float(embedding_.dtype);
  }

  void embed_token(const Row& row, float* x) const {
    const size_t hidden = static_cast<size_t>(config_.hidden);
    const int trained = row.adapter ? row.adapter->embedding.find(row.token) : -1;
    if (trained >= 0) {
      std::copy_n(row.adapter->embedding.rows.data() + trained * hidden, hidden, x);
    } else {
      to_float(embedding_, row.token * hidden, hidden, x);
      if (type_ == WeightType::kBF16 && embedding_.dtype != Dtype::kBF16) {
        for (int i = 0; i < config_.hidden; ++i) x[i] = from_bf16(to_bf16(x[i]));
      } else if (rounds_embedding()) {
        round_to_eight_bits(x, config_.hidden);
      }
    }
    if (config_.embedding_scale != 1) {
      for (int i = 0; i < config_.hidden; ++i) x[i] *= config_.embedding_scale;
    }
  }

  void embed(const Row& row, float* x, float* cos_sin) const {
    embed_token(row, x);
    const int half = config_.head_dim / 2;
    for (const Rope& rope : config_.ropes) {
      for (int i = 0; i < half; ++i) {
        const float angle = rope.inverse_frequency[i] * static_cast<float>(row.position);
        cos_sin[i] = std::cos(angle) * rope.magnitude(i);
        cos_sin[half + i] = std::sin(angle) * rope.magnitude(i);
      }
      cos_sin += config_.head_dim;
    }
  }

  void rotate(float* head, const float* cos_sin) const {
    const int half = config_.head_dim / 2;
    for (int i = 0; i < half; ++i) {
      const float a = head[i], b = head[half + i];
      head[i] = a * cos_sin[i] - b * cos_sin[half + i];
      head[half + i] = b * cos_sin[i] + a * cos_sin[half + i];
    }
  }

  template <class T, class Convert>
  void write_kv(const Layer& layer, const Row& row, int head, const float* k, const float* v,
                Convert convert) const {
    const int dim = config_.head_dim;
    const size_t at =
        (static_cast<size_t>(row.block) * config_.kv_heads + head) * dim * kBlockTokens;
    T* keys = reinterpret_cast<T*>(layer.k.data()) + at + row.offset;
    T* values = reinterpret_cast<T*>(layer.v.data()) + at + static_cast<size_t>(row.offset) * dim;
    for (int d = 0; d < dim; ++d) keys[d * kBlockTokens] = convert(k[d]);
    for (int d = 0; d < dim; ++d) values[d] = convert(v[d]);
  }

  /// The QKV epilogue of one row and one head: q/k norm, RoPE, and scaling of q or the KV write.
  /// `which` counts the query heads of the KV head's group; the last one is the KV head itself.
  void apply_qkv_epilogue(const Layer& layer, const Row& row, int kv_head, int which, float* qkv,
                          const float* cos_sin) const {
    const int dim = config_.head_dim;
    const int group = config_.heads / config_.kv_heads;
    const bool query = which < group;
    float* head = qkv + (query ? kv_head * group + which : config_.heads + kv_head) * dim;
    if (config_.qk_norm == QkNorm::kPerHead) {
      kernels_.rms_norm(head, (query ? layer.q_norm : layer.k_norm).data(), dim,
                        config_.norm_epsilon, head);
    }
    rotate(head, cos_sin);
    if (query) {
      for (int d = 0; d < dim; ++d) head[d] *= config_.query_scale;
      return;
    }
    const float* v = head + config_.kv_heads * dim;
    if (type_ == WeightType::kF32) {
      write_kv<float>(layer, row, kv_head, head, v, [](float x) { return x; });
    } else {
      write_kv<std::uint16_t>(layer, row, kv_head, head, v, to_bf16);
    }
  }

  /// q/k norm over whole rows; then a barrier. Other models need neither.
  void norm_whole_rows(const Layer& layer, int m, ThreadPool::Member& member) const {
    if (config_.qk_norm != QkNorm::kWholeRow) return;
    const int q = config_.heads * config_.head_dim, k = config_.kv_heads * config_.head_dim;
    const auto rows = member.share(m);
    for (int row = rows.first; row < rows.second; ++row) {
      float* const qkv = qkv_.row(row);
      kernels_.rms_norm(qkv, layer.q_norm.data(), q, config_.norm_epsilon, qkv);
      kernels_.rms_norm(qkv + q, layer.k_norm.data(), k, config_.norm_epsilon, qkv + q);
    }
    member.sync();
  }

  /// Floats of a row's partial results for one chunk: [kv_heads, partial_size].
  size_t partial_stride() const { return config_.kv_heads * partial_floats(); }
  size_t partial_floats() const {
    return partial_size(config_.heads / config_.kv_heads, config_.head_dim);
  }
  float* partial(int index, int kv_head) const {
    return partials_.floats() + index * partial_stride() + kv_head * partial_floats();
  }

  const AttentionPlan& plan_of(const Layer& layer) const { return plans_[layer.attention.window]; }

  /// `next` is the item that this member attends to next; null: there is none.
  void attend(const Layer& layer, const AttentionPlan::WorkItem& item,
              const AttentionPlan::WorkItem* next, float* scratch,
              std::vector<ChunkQuery>& rows) const {
    const AttentionPlan& plan = plan_of(layer);
    const int dim = config_.head_dim;
    const int group = config_.heads / config_.kv_heads;
    const size_t head = static_cast<size_t>(item.kv_head) * group;
    rows.clear();
    for (int i = 0; i < item.count; ++i) {
      const AttentionPlan::QueryRead& read = plan.reads()[item.first + i];
      rows.push_back({qkv_.row(read.row) + head * dim, read.begin, read.tokens,
                      partial(read.partial, item.kv_head)});
    }
    AttendChunk chunk;
    chunk.rows = rows.data();
    chunk.row_count = item.count;
    chunk.group = group;
    chunk.head_dim = dim;
    chunk.blocks = item.blocks;
    chunk.k = layer.k.data();
    chunk.v = layer.v.data();
    chunk.kv_heads = config_.kv_heads;
    chunk.kv_head = item.kv_head;
    if (next) {
      const size_t block = static_cast<size_t>(kBlockTokens) * dim * element_bytes();
      const size_t index = static_cast<size_t>(*next->blocks) * config_.kv_heads + next->kv_head;
      chunk.next = layer.k.data() + index * block;
    }
    chunk.scratch = scratch;
    kernels_.attend(type_, chunk);
  }

  /// Merges one query head's partial results of a row into row `to` of the attention output.
  void merge(const AttentionPlan& plan, int row, int head, int to) const {
    const int dim = config_.head_dim;
    const int group = config_.heads / config_.kv_heads;
    const float* first = partial(plan.first_partial(row), head / group);
    Merge m;
    m.values = first + static_cast<size_t>(head % group) * dim;
    m.weights = first + static_cast<size_t>(group) * dim + 2 * (head % group);
    m.stride = static_cast<std::ptrdiff_t>(partial_stride());
    m.chunks = plan.num_partials(row);
    m.head_dim = dim;
    m.out = attended_.row(to) + static_cast<size_t>(head) * dim;
    kernels_.merge(m);
  }

  void run(const Batch& batch, float* logits, ThreadPool::Member& member) {
    const ModelConfig& c = config_;
    const int m = static_cast<int>(batch.rows.size());
    const auto rows = member.share(m);
    float* attend_scratch =
        attend_scratch_.floats() + attend_scratch_floats(c.head_dim) * member.index();
    std::vector<ChunkQuery> queries;

    for (int row = rows.first; row < rows.second; ++row) {
      embed(batch.rows[row], x_.row(row), rope_table_.row(row));
    }
    member.sync();
    for (const Layer& layer : layers_) {
      const bool last = &layer == &layers_.back();
      const auto adapted_product = [&](AdaptedProduct::Kind kind, const PackedLinear& w, Gemm g) {
        const int index = static_cast<int>(&layer - layers_.data());
        return adapted({kind, index, last && kind != AdaptedProduct::Kind::kQkv}, w, g, member);
      };
      using enum AdaptedProduct::Kind;
      multiply(layer.qkv, adapted_product(kQkv, layer.qkv, product_of(x_, &layer.attention_norm)),
               m, qkv_, member);
      member.sync();
      norm_whole_rows(layer, m, member);
      const int rope = layer.attention.rope * c.head_dim;
      // By KV head, as attention is, so that the rows stay in one core's cache.
      const int group = c.heads / c.kv_heads + 1;
      const auto heads = member.share(c.kv_heads * group * m);
      for (int task = heads.first; task < heads.second; ++task) {
        const int row = task % m, head = task / m;
        apply_qkv_epilogue(layer, batch.rows[row], head / group, head % group, qkv_.row(row),
                           rope_table_.row(row) + rope);
      }
      // After the last layer's K and V only the rows with logits continue, in their order.
      if (last && batch.logits_rows == 0) return;
      for (int row = rows.first; last && row < rows.second; ++row) {
        const int logits_row = batch.rows[row].logits_row;
        if (logits_row >= 0) std::copy_n(x_.row(row), c.hidden, last_x_.row(logits_row));
      }
      member.sync();
      const AttentionPlan& plan = plan_of(layer);
      for (const AttentionPlan::Wave& wave : plan.waves()) {
        const int* share = wave.thread_items.data() + member.index();
        for (int item = share[0]; item < share[1]; ++item) {
          const auto* next = item + 1 < share[1] ? &plan.item(item + 1) : nullptr;
          attend(layer, plan.item(item), next, attend_scratch, queries);
        }
        member.sync();
        const int wave_rows = wave.last_row - wave.first_row;
        const auto tasks = member.share(c.heads * wave_rows);
        for (int task = tasks.first; task < tasks.second; ++task) {
          const int row = wave.first_row + task % wave_rows;
          const int to = last ? batch.rows[row].logits_row : row;
          if (to >= 0) merge(plan, row, task / wave_rows, to);
        }
        member.sync();
      }
      const Activations& x = last ? last_x_ : x_;
      const int rows_left = last ? batch.logits_rows : m;
      add_to_residual(layer.output, adapted_product(kOutput, layer.output, product_of(attended_)),
                      rows_left, layer.attention_post_norm, x, member);
      member.sync();
      multiply(layer.gate_up,
               adapted_product(kGateUp, layer.gate_up, product_of(x, &layer.mlp_norm)), rows_left,
               gated_, member);
      member.sync();
      add_to_residual(layer.down, adapted_product(kDown, layer.down, product_of(gated_)), rows_left,
                      layer.mlp_post_norm, x, member);
      member.sync();
    }

    Gemm head = product_of(last_x_, &final_norm_);
    head.out = logits;
    head.ldo = static_cast<std::ptrdiff_t>(logits_stride_);
    multiply(head_, head, batch.logits_rows, member);
    if (!adapters_.has_head_rows()) return;
    member.sync();
    head.scratch = scratch_of(member);
    adapters_.replace_logits(head, c.hidden, logits, head.ldo, member);
  }

  ModelConfig config_;
  WeightType type_;
  const Kernels& kernels_;
  int max_rows_;
  ThreadPool pool_;
  Tensor embedding_;  // [vocabulary, hidden], in the mapped checkpoint
  Arena arena_;       // of packed weights
  std::vector<Layer> layers_;
  std::vector<float> final_norm_;  // [hidden]
  PackedLinear head_;              // [vocabulary, hidden]
  int total_blocks_ = 0;
  std::uint64_t weight_bytes_ = 0;

  std::vector<float> logits_;  // [logits rows, logits_stride_] of the last forward pass
  size_t logits_stride_ = 0;   // the widest vocabulary of its rows

  // Scratch of one forward pass.
  Activations x_, qkv_, attended_, gated_;
  Activations added_;       // what attention or MLP adds to x, if adds_separately()
  Activations last_x_;      // rows of x with logits, in their order
  Activations rope_table_;  // of each RoPE: cosines, then sines
  Buffer gemm_scratch_;     // [threads, gemm_stride_]
  size_t gemm_stride_ = 0;
  AdapterUpdates adapters_;
  std::vector<AttentionPlan> plans_;  // one per window
  Buffer partials_;                   // [partials of a wave, partial_stride()]
  Buffer attend_scratch_;             // [threads, attend_scratch_floats(head_dim)]
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const ModelConfig& config, const Checkpoint& weights,
                                          const BackendOptions& options) {
  return std::make_unique<CpuBackend>(config, weights, options);
}

}  // namespace anabranch
