#include "model_inspection.h"

#include <string>

#include "arguments.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/memory_estimate.h"

namespace anabranch {
namespace {

Napi::Object object_of(Napi::Env env, const ModelConfig& config) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("hidden", config.hidden);
  out.Set("layers", config.layers);
  out.Set("heads", config.heads);
  out.Set("kvHeads", config.kv_heads);
  out.Set("headDim", config.head_dim);
  out.Set("intermediate", config.intermediate);
  out.Set("vocabulary", config.vocabulary);
  out.Set("context", config.context);
  out.Set("tiedEmbeddings", config.tied_embeddings);
  return out;
}

Napi::Object object_of(Napi::Env env, const MemoryEstimate& estimate) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("device", estimate.gpu ? "cuda" : "cpu");
  out.Set("dtype", name_of(estimate.weights));
  out.Set("kvDtype", estimate.kv == KvType::kFp8 ? "fp8" : "auto");
  out.Set("weightBytes", static_cast<double>(estimate.weight_bytes));
  out.Set("kvTokenBytes", static_cast<double>(estimate.kv_token_bytes));
  return out;
}

}  // namespace

Napi::Value inspect_model(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  try {
    if (call.Length() < 1 || !call[0].IsString()) throw bad_argument("expected a path");
    const std::string path = call[0].As<Napi::String>().Utf8Value();
    const ModelConfig config = read_config(path);
    const auto estimates = memory_estimates(config, Checkpoint(path));
    Napi::Array memory = Napi::Array::New(env, estimates.size());
    for (std::uint32_t i = 0; i < memory.Length(); ++i) {
      memory.Set(i, object_of(env, estimates[i]));
    }
    Napi::Object out = Napi::Object::New(env);
    out.Set("config", object_of(env, config));
    out.Set("memory", memory);
    return out;
  } catch (const std::exception& error) {
    throw js_error(env, error);
  }
}

}  // namespace anabranch
