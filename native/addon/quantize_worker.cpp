#include "quantize_worker.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "arguments.h"
#include "error.h"
#include "model/quantized_copy.h"

namespace anabranch {
namespace {

struct Progress {
  std::uint64_t done = 0, all = 0;
};

Napi::Object object_of(Napi::Env env, const QuantizedPart& part) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("tensors", static_cast<double>(part.tensors));
  out.Set("weights", static_cast<double>(part.weights));
  out.Set("error", part.error);
  return out;
}

class QuantizeWorker final : public Napi::AsyncProgressWorker<Progress> {
 public:
  QuantizeWorker(Napi::Env env, QuantizedCopyOptions options, Napi::Function on_progress)
      : Napi::AsyncProgressWorker<Progress>(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        options_(std::move(options)),
        on_progress_(Napi::Persistent(on_progress)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute(const ExecutionProgress& progress) override {
    try {
      options_.progress = [&](std::uint64_t done, std::uint64_t all) {
        const Progress now{done, all};
        progress.Send(&now, 1);
      };
      copy_ = write_quantized_copy(options_);
    } catch (const Error& error) {
      failure_ = error;
    } catch (const std::bad_alloc&) {
      failure_ = Error(ErrorCode::kResourceExhausted, "no memory to quantize " + options_.model);
    } catch (const std::exception& error) {
      failure_ = Error(ErrorCode::kInternal, error.what());
    }
  }

  void OnProgress(const Progress* progress, size_t count) override {
    if (count == 0) return;
    on_progress_.Call({Napi::Number::New(Env(), static_cast<double>(progress->done)),
                       Napi::Number::New(Env(), static_cast<double>(progress->all))});
  }

  void OnOK() override {
    if (failure_) return deferred_.Reject(js_error(Env(), *failure_).Value());
    Napi::Object out = Napi::Object::New(Env());
    out.Set("fourBit", object_of(Env(), copy_.four_bit));
    out.Set("eightBit", object_of(Env(), copy_.eight_bit));
    out.Set("kept", object_of(Env(), copy_.kept));
    out.Set("bytes", static_cast<double>(copy_.bytes));
    out.Set("inexactScales", static_cast<double>(copy_.inexact_scales));
    out.Set("fourBitGroup", copy_.four_bit_group);
    out.Set("eightBitGroup", copy_.eight_bit_group);
    Napi::Array layers = Napi::Array::New(Env(), copy_.eight_bit_layers.size());
    for (std::uint32_t i = 0; i < layers.Length(); ++i) layers.Set(i, copy_.eight_bit_layers[i]);
    out.Set("eightBitLayers", layers);
    deferred_.Resolve(out);
  }

  Napi::Promise::Deferred deferred_;
  QuantizedCopyOptions options_;
  Napi::FunctionReference on_progress_;
  QuantizedCopy copy_;
  std::optional<Error> failure_;
};

}  // namespace

Napi::Value write_quantized_copy_of(const Napi::CallbackInfo& call) {
  try {
    if (call.Length() < 2 || !call[0].IsObject() || !call[1].IsFunction()) {
      throw bad_argument("expected options and onProgress");
    }
    const auto given = call[0].As<Napi::Object>();
    QuantizedCopyOptions options;
    options.model = text(given, "model");
    options.file = text(given, "file");
    const std::string dtype = text(given, "dtype");
    if (dtype != "int4" && dtype != "int8") {
      throw bad_argument("dtype must be \"int4\" or \"int8\", not \"" + dtype + "\"");
    }
    options.type = dtype == "int4" ? WeightType::kInt4 : WeightType::kInt8;
    options.threads = integer(given, "threads", 0, 0, 1024);
    auto* worker = new QuantizeWorker(call.Env(), std::move(options), call[1].As<Napi::Function>());
    worker->Queue();
    return worker->promise();
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw js_error(call.Env(), error);
  }
}

}  // namespace anabranch
