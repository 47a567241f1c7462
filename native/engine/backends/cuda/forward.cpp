// One forward pass: the kernels of a step in order, launched directly or replayed as a CUDA graph.
#include <utility>
#include <vector>

#include "backends/cuda/model.h"

namespace anabranch::ANABRANCH_CUDA {

void CudaBackend::forward(const Batch& batch) {
  if (batch.rows.empty()) return;
  select_device();
  if (static_cast<int>(batch.rows.size()) > max_rows_) {
    throw Error(ErrorCode::kInternal, "a batch is larger than the backend takes");
  }
  // The previous step may still read the staging buffer, if nobody has asked for its results.
  check(cudaStreamSynchronize(queue_.stream), "running a step");
  make_room_for_adapters(batch);
  logits_vocabularies_.assign(static_cast<size_t>(batch.logits_rows), config_.vocabulary);
  for (const Row& row : batch.rows) {
    if (row.adapter && row.logits_row >= 0)
      logits_vocabularies_[static_cast<size_t>(row.logits_row)] = row.adapter->vocabulary;
  }
  steps_.plan(batch);
  if (steps_.reserve(batch)) drop_graphs();
  run(steps_.stage(batch, queue_.stream));
  check(cudaGetLastError(), "starting a step");
}

// ---- the kernels of a step ---------------------------------------------------------------------

void CudaBackend::launch_step(const Step& step) {
  embed(step);
  for (const Layer& layer : weights_.layers) {
    const bool last = &layer == &weights_.layers.back();
    project_qkv(step, layer);
    // A step without logits, as of a prompt's earlier chunks, ends with the last K and V.
    if (last && step.logits_rows == 0) return;
    attend(step, layer);
    Gemm output = product_of(layer.output, attended_.data(), step.rows);
    adapt(step, layer, AdaptedProduct::kOutput, output);
    add_to_residual(step, output, layer.attention_post_norm, layer.mlp_norm);
    mlp(step, layer, last ? weights_.final_norm : (&layer)[1].attention_norm);
  }
  compute_logits(step);
}

/// x = embeddings; the RoPE tables of the rows' positions.
void CudaBackend::embed(const Step& step) {
  EmbedArgs args;
  args.rows = step.step_rows;
  args.count = step.rows;
  args.table = weights_.embedding.weights();
  args.hidden = config_.hidden;
  args.x = x_.data();
  if (step.adapters.has_embeddings) args.trained = step.adapters.embeddings;
  args.norm_output = norm_output(step, weights_.layers.front().attention_norm);
  args.scale = config_.embedding_scale;
  args.ropes = static_cast<int>(config_.ropes.size());
  args.half_dim = config_.head_dim / 2;
  args.inverse_frequency = weights_.inverse_frequency.data();
  args.rope_magnitude = weights_.rope_magnitude.data();
  args.rope_tables = rope_tables_.data();
  ANABRANCH_CUDA::embed(args, queue_);
}

/// q, and K and V in the cache, from the normed x.
void CudaBackend::project_qkv(const Step& step, const Layer& layer) {
  QkvEpilogue epilogue;
  epilogue.rows = step.step_rows;
  epilogue.count = step.rows;
  epilogue.qkv = qkv_.data();
  epilogue.halves_interleaved = fuses_qkv_epilogue();
  epilogue.q_norm = layer.q_norm.data();
  epilogue.k_norm = layer.k_norm.data();
  epilogue.norms_whole_rows = config_.qk_norm == QkNorm::kWholeRow;
  epilogue.rope_table = rope_tables_.data() +
                        static_cast<size_t>(layer.attention.rope) * step.rows * config_.head_dim;
  epilogue.epsilon = config_.norm_epsilon;
  epilogue.query_scale = config_.query_scale;
  epilogue.heads = config_.heads;
  epilogue.kv_heads = config_.kv_heads;
  epilogue.dim = config_.head_dim;
  epilogue.q = q_.data();
  epilogue.kv = layer.kv;
  Gemm qkv = normed_product_of(step, layer.qkv, layer.attention_norm, step.rows, nullptr);
  adapt(step, layer, AdaptedProduct::kQkv, qkv);
  if (fuses_qkv_epilogue() && fuses_norms(step)) {
    qkv.qkv_epilogue = epilogue;
    multiply(qkv);
  } else {
    qkv.out = qkv_.data();
    multiply(qkv);
    apply_qkv_epilogue(epilogue, queue_);
  }
}

/// attended = attention of q over the rows' context.
void CudaBackend::attend(const Step& step, const Layer& layer) {
  const ModelConfig& c = config_;
  Attention args;
  args.q = q_.data();
  args.kv = layer.kv;
  args.heads = c.heads;
  args.kv_heads = c.kv_heads;
  args.dim = c.head_dim;
  args.window = c.windows[layer.attention.window];
  args.partials = partials_.data();
  const size_t width = round_up(static_cast<size_t>(c.heads) * c.head_dim, kQuantGroup);
  const StepAttention& attention = step.attention[layer.attention.window];
  for (const StepWave& wave : attention.waves) {
    if (wave.max_items == 0) continue;
    args.plan = wave.plan;
    args.items = wave.items;
    attend_chunks(args, wave.max_items, queue_);
    merge_partials(attention.row_partials + wave.first_row, wave.rows, partials_.data(), c.heads,
                   c.head_dim, attended_.data() + width * wave.first_row, queue_);
  }
  if (step.num_prefill_tiles == 0) return;
  PrefillAttention prefill = step.prefill;
  prefill.out = attended_.data();
  attend_prefill(args, prefill, step.num_prefill_tiles, queue_);
}

/// x += down · (activation(gate) · up) of the normed x. next_norm follows.
void CudaBackend::mlp(const Step& step, const Layer& layer, const Array<float>& next_norm) {
  Gemm gate_up = normed_product_of(step, layer.gate_up, layer.mlp_norm, step.rows, nullptr);
  adapt(step, layer, AdaptedProduct::kGateUp, gate_up);
  gate_up.gated_out = gated_.data();
  multiply(gate_up);
  Gemm down = product_of(layer.down, gated_.data(), step.rows);
  adapt(step, layer, AdaptedProduct::kDown, down);
  add_to_residual(step, down, layer.mlp_post_norm, next_norm);
}

void CudaBackend::compute_logits(const Step& step) {
  Gemm head = normed_product_of(step, weights_.head(), weights_.final_norm, step.logits_rows,
                                step.logits_source_rows);
  head.out = logits_.data();
  head.layer_n = logits_stride_;
  multiply(head);
  if (step.adapters.has_heads) replace_logits(head, step.adapters.heads, queue_);
}

/// Has the product add what adapters of the step's rows add to it.
void CudaBackend::adapt(const Step& step, const Layer& layer, AdaptedProduct product, Gemm& args) {
  const auto index = static_cast<int>(product);
  if ((step.adapters.products >> index & 1) == 0) return;
  args.low_rank = step.adapters.low_rank;
  args.low_rank.product =
      static_cast<int>(&layer - weights_.layers.data()) * kAdaptedProducts + index;
  args.low_rank.projected = projected_.data();
  args.low_rank.stride = projected_stride_;
  project(args, queue_);
}

// ---- matrix products and norms -----------------------------------------------------------------

/// A product whose epilogue is still to be set.
Gemm CudaBackend::product_of(const PackedLinear& w, const Bf16* x, int m) const {
  Gemm args;
  args.x = x;
  args.m = m;
  args.w = w.weights();
  args.activation = config_.activation;
  args.bias = w.bias.data();
  args.batch_invariant = deterministic_;
  args.split_k_workspace = split_k_workspace_.data();
  args.widened = widened_.data();
  args.widened_values = widened_.count();
  return args;
}

/// A product with the residual stream, normed if the model has that norm: rows source_rows[i], or
/// all in order if it is null.
Gemm CudaBackend::normed_product_of(const Step& step, const PackedLinear& w,
                                    const Array<float>& norm, int rows, const int* source_rows) {
  Gemm args = product_of(w, normed_.data(), rows);
  if (fuses_norms(step)) {
    if (norm.count() > 0) args.norm_squares = norm_squares_.data();
    args.norm_size = config_.hidden;
    args.norm_epsilon = config_.norm_epsilon;
    args.source_rows = source_rows;
  } else {
    rms_norm(x_.data(), source_rows, rows, norm.data(), config_.hidden, config_.norm_epsilon,
             normed_.data(), queue_);
  }
  return args;
}

void CudaBackend::multiply(const Gemm& args) {
#if defined(ANABRANCH_WITH_CUBLASLT)
  const bool gated = args.gated_out != nullptr;
  // cuBLASLt takes a bias in the type of its output, and ours is fp32: not for bf16 gates and ups.
  if (cublaslt_ && args.m > skinny_rows_ && !(gated && args.bias)) {
    return for_each_bf16_part(args, queue_, [&](const Gemm& part) {
      if (!cublaslt_->multiply(part, gated ? gate_up_.data() : nullptr, queue_.stream))
        gemm(part, queue_);
      else if (gated)
        activate_and_mul(part, gate_up_.data(), queue_);
      else if (args.low_rank.tables)
        add_low_rank(part, queue_);
    });
  }
#endif
  gemm(args, queue_);
}

/// x_ += the product, after the norm and with the factor that the model has there. The norm that
/// follows comes with it if it is fused.
void CudaBackend::add_to_residual(const Step& step, Gemm args, const Array<float>& post_norm,
                                  const Array<float>& next_norm) {
  if (!adds_separately()) {
    args.out = x_.data();
    args.accumulate = true;
    args.norm_output = norm_output(step, next_norm);
    return multiply(args);
  }
  args.out = added_.data();
  multiply(args);
  AddArgs add;
  add.added = added_.data();
  add.count = step.rows;
  add.n = config_.hidden;
  add.weight = post_norm.data();
  add.epsilon = config_.norm_epsilon;
  add.scale = config_.residual_scale;
  add.x = x_.data();
  add.norm_output = norm_output(step, next_norm);
  ANABRANCH_CUDA::add_to_residual(add, queue_);
}

FusedNormOutput CudaBackend::norm_output(const Step& step, const Array<float>& norm) const {
  if (!fuses_norms(step)) return {};
  return {norm.data(), normed_.data(), norm_squares_.data()};
}

// ---- CUDA graphs -------------------------------------------------------------------------------

#if defined(ANABRANCH_EMULATE)

void CudaBackend::run(const Step& step) { launch_step(step); }
void CudaBackend::drop_graphs() {}

#else

namespace {

/// Captures what `launch` queues on the stream.
template <class Launch>
cudaGraphExec_t captured(cudaStream_t stream, Launch launch) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capturing a step");
  launch();
  check(cudaStreamEndCapture(stream, &graph), "capturing a step");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(error, "instantiating a step's graph");
  return executable;
}

}  // namespace

/// Small steps are many short kernels, so they are replayed as a graph. The first step of a size is
/// launched directly, which also loads its kernels; the second one is captured.
void CudaBackend::run(const Step& step) {
  const StepAdapters& adapters = step.adapters;
  std::vector<int> key = {step.rows,
                          step.logits_rows,
                          static_cast<int>(adapters.products),
                          adapters.low_rank.num_tiles,
                          adapters.has_embeddings,
                          adapters.has_heads};
  for (const StepAttention& attention : step.attention) {
    if (attention.waves.size() != 1) return launch_step(step);
    key.push_back(attention.waves[0].max_items);
  }
  if (step.rows > kMaxGraphRows || step.num_prefill_tiles > 0) return launch_step(step);
  const auto [entry, first] = graphs_.try_emplace(std::move(key), nullptr);
  if (first) return launch_step(step);
  if (!entry->second) {
    entry->second = captured(queue_.stream, [&] { launch_step(step); });
  }
  check(cudaGraphLaunch(entry->second, queue_.stream), "launching a step's graph");
}

void CudaBackend::drop_graphs() {
  for (const auto& [key, graph] : graphs_) {
    if (graph) cudaGraphExecDestroy(graph);
  }
  graphs_.clear();
}

#endif

}  // namespace anabranch::ANABRANCH_CUDA
