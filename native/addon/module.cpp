// The Node-API module: the Engine class and a few functions. The engine thread owns all engine
// state; JavaScript gets at most one call per step, with the events of all requests in one buffer.
// What JavaScript passes can't abort the process: a value that can't be used throws an Error with a
// `code`.
#include <napi.h>
#include <sys/file.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include "adapter_worker.h"
#include "arguments.h"
#include "backends/cpu/bandwidth.h"
#include "backends/cpu/kernels.h"
#include "event_delivery.h"
#include "model_inspection.h"
#include "quantize_worker.h"
#include "requests.h"
#include "score_worker.h"
#include "serving/engine.h"

namespace anabranch {
namespace {

class EngineObject final : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Engine",
        {InstanceMethod<&EngineObject::info>("info"),
         InstanceMethod<&EngineObject::submit>("submit"),
         InstanceMethod<&EngineObject::submit_group>("submitGroup"),
         InstanceMethod<&EngineObject::cancel>("cancel"),
         InstanceMethod<&EngineObject::load>("load"), InstanceMethod<&EngineObject::score>("score"),
         InstanceMethod<&EngineObject::load_adapter>("loadAdapter"),
         InstanceMethod<&EngineObject::unload_adapter>("unloadAdapter"),
         InstanceMethod<&EngineObject::adapters>("adapters"),
         InstanceMethod<&EngineObject::close>("close")});
  }

  /// new Engine(options, onEvents(words: Uint32Array), onFault(message: string))
  explicit EngineObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineObject>(info) {
    Napi::Env env = info.Env();
    try {
      if (info.Length() < 3 || !info[0].IsObject() || !info[1].IsFunction() ||
          !info[2].IsFunction()) {
        throw bad_argument("expected options, onEvents and onFault");
      }
      const EngineOptions options = engine_options(info[0].As<Napi::Object>());
      delivery_ = std::make_unique<EventDelivery>(env, info[1].As<Napi::Function>(),
                                                  info[2].As<Napi::Function>());
      open_ = true;
      engine_ = std::make_unique<Engine>(
          options,
          [this](std::vector<std::uint32_t> words) { delivery_->deliver(std::move(words)); },
          [this](std::string message) { delivery_->report_fault(std::move(message)); });
      napi_add_env_cleanup_hook(env, &EngineObject::clean_up, this);
      hooked_ = true;
    } catch (const std::exception& error) {
      shut();
      throw js_error(env, error);
    }
  }

  ~EngineObject() override { shut(); }

 private:
  static void clean_up(void* data) {
    auto* self = static_cast<EngineObject*>(data);
    self->hooked_ = false;
    self->shut();
  }

  /// Joins the engine thread first, so that nothing calls into JavaScript afterwards.
  void shut() {
    if (engine_) engine_->close();
    if (open_) {
      open_ = false;
      delivery_->release();
    }
    if (hooked_) {
      hooked_ = false;
      napi_remove_env_cleanup_hook(Env(), &EngineObject::clean_up, this);
    }
  }

  Napi::Value info(const Napi::CallbackInfo& call) {
    const EngineInfo& info = engine_->info();
    Napi::Object out = Napi::Object::New(call.Env());
    out.Set("backend", info.backend);
    out.Set("digest", info.digest);
    out.Set("dialect", info.dialect);
    out.Set("vocabulary", info.vocabulary);
    out.Set("context", info.context);
    out.Set("weightBytes", static_cast<double>(info.weight_bytes));
    return out;
  }

  Napi::Value submit(const Napi::CallbackInfo& call) {
    try {
      auto spec = asked_request(call.Length() > 0 ? call[0] : call.Env().Undefined());
      const std::uint32_t id = spec.id;
      engine_->submit(std::move(spec));
      delivery_->add_live(call.Env(), id);
    } catch (const Napi::Error&) {
      throw;
    } catch (const std::exception& error) {
      throw js_error(call.Env(), error);
    }
    return call.Env().Undefined();
  }

  Napi::Value submit_group(const Napi::CallbackInfo& call) {
    try {
      if (call.Length() < 1 || !call[0].IsArray()) throw bad_argument("expected requests");
      const auto list = call[0].As<Napi::Array>();
      const std::uint32_t length = length_of(list, "requests");
      if (length == 0) throw bad_argument("expected requests");
      std::vector<RequestSpec> specs;
      std::set<std::uint32_t> ids;
      for (std::uint32_t i = 0; i < length; ++i) {
        const auto id = specs.emplace_back(asked_request(list.Get(i))).id;
        if (!ids.insert(id).second) throw bad_argument("two requests have one id");
      }
      engine_->submit_group(std::move(specs));
      for (const std::uint32_t id : ids) delivery_->add_live(call.Env(), id);
    } catch (const Napi::Error&) {
      throw;
    } catch (const std::exception& error) {
      throw js_error(call.Env(), error);
    }
    return call.Env().Undefined();
  }

  Napi::Value cancel(const Napi::CallbackInfo& call) {
    const double id =
        call.Length() > 0 && call[0].IsNumber() ? call[0].As<Napi::Number>().DoubleValue() : -1;
    if (!(id >= 0 && id <= kMaxWord) || id != std::floor(id)) {
      throw js_error(call.Env(), bad_argument("id must be a whole number"));
    }
    engine_->cancel(static_cast<std::uint32_t>(id));
    return call.Env().Undefined();
  }

  Napi::Value load(const Napi::CallbackInfo& call) {
    const LoadSnapshot load = engine_->load();
    Napi::Object out = Napi::Object::New(call.Env());
    out.Set("running", load.running);
    out.Set("queued", load.queued);
    out.Set("liveLanes", load.live_lanes);
    out.Set("pendingPrefill", load.pending_prefill);
    out.Set("contextTokens", load.context_tokens);
    Napi::Object costs = Napi::Object::New(call.Env());
    costs.Set("step", load.step_costs.step);
    costs.Set("decodeRow", load.step_costs.decode_row);
    costs.Set("prefillRow", load.step_costs.prefill_row);
    costs.Set("kvToken", load.step_costs.kv_token);
    out.Set("stepCosts", costs);
    out.Set("kvFree", load.kv_free);
    out.Set("kvCached", load.kv_cached);
    out.Set("kvTotal", load.kv_total);
    out.Set("steps", static_cast<double>(load.steps));
    out.Set("decodeRows", static_cast<double>(load.decode_rows));
    out.Set("prefillRows", static_cast<double>(load.prefill_rows));
    out.Set("decodeSteps", static_cast<double>(load.decode_steps));
    out.Set("decodeSeconds", load.decode_seconds);
    out.Set("prefillSeconds", load.prefill_seconds);
    out.Set("bytesRead", load.bytes_read);
    out.Set("heldLanes", static_cast<double>(load.held_lanes));
    out.Set("predictedSeconds", load.predicted_seconds);
    out.Set("mispredictionSeconds", load.misprediction_seconds);
    out.Set("schedulingSeconds", load.scheduling_seconds);
    out.Set("preemptions", static_cast<double>(load.preemptions));
    out.Set("promptTokens", static_cast<double>(load.prompt_tokens));
    out.Set("cachedTokens", static_cast<double>(load.cached_tokens));
    out.Set("finished", static_cast<double>(load.finished));
    out.Set("queueWaitSeconds", load.queue_wait_seconds);
    return out;
  }

  /// A request whose id is free.
  RequestSpec asked_request(const Napi::Value& value) const {
    if (!value.IsObject()) throw bad_argument("expected a request");
    auto spec = request_spec(value.As<Napi::Object>());
    spec.adapter = asked_adapter(value.As<Napi::Object>().Get("adapter"));
    if (delivery_->is_live(spec.id)) {
      throw bad_argument("id " + std::to_string(spec.id) + " is in use");
    }
    return spec;
  }

  ServedAdapterPtr asked_adapter(const Napi::Value& name) const {
    if (absent(name)) return nullptr;
    if (!name.IsString()) throw bad_argument("adapter must be a name");
    return engine_->adapter(name.As<Napi::String>().Utf8Value());
  }

  /// loadAdapter({name, path, dialect?}): Promise<{name, digest, dialect, vocabulary}>
  Napi::Value load_adapter(const Napi::CallbackInfo& call) {
    try {
      auto source = adapter_source(call.Length() > 0 ? call[0] : call.Env().Undefined());
      auto* worker = new AdapterWorker(call.This().As<Napi::Object>(), *engine_, std::move(source));
      worker->Queue();
      return worker->promise();
    } catch (const Napi::Error&) {
      throw;
    } catch (const std::exception& error) {
      throw js_error(call.Env(), error);
    }
  }

  Napi::Value unload_adapter(const Napi::CallbackInfo& call) {
    try {
      if (call.Length() < 1 || !call[0].IsString()) throw bad_argument("expected a name");
      engine_->unload_adapter(call[0].As<Napi::String>().Utf8Value());
    } catch (const Error& error) {
      throw js_error(call.Env(), error);
    }
    return call.Env().Undefined();
  }

  Napi::Value adapters(const Napi::CallbackInfo& call) {
    const auto infos = engine_->adapters();
    Napi::Array out = Napi::Array::New(call.Env(), infos.size());
    for (std::uint32_t i = 0; i < out.Length(); ++i) {
      out.Set(i, adapter_object(call.Env(), infos[i]));
    }
    return out;
  }

  /// score(runs, resume, {logits?, topLogprobs?, adapter?, id?}): Promise<{runs, logits?, top?}>
  Napi::Value score(const Napi::CallbackInfo& call) {
    try {
      if (call.Length() < 2) throw bad_argument("expected runs and a resume rule");
      auto runs = structure(call[0]);
      const auto rule =
          resume_rule(call[1].IsString() ? call[1].As<Napi::String>().Utf8Value() : "?");
      Napi::Object options = Napi::Object::New(call.Env());
      if (call.Length() > 2 && !absent(call[2])) {
        if (!call[2].IsObject()) throw bad_argument("the options of a score must be an object");
        options = call[2].As<Napi::Object>();
      }
      const ScoreWanted wanted = {.logits = boolean(options, "logits"),
                                  .top_logprobs = integer(options, "topLogprobs", 0, 0, 64)};
      const auto id = static_cast<std::uint32_t>(whole_number(options, "id", 0, 1, kMaxWord));
      if (id != 0 && delivery_->is_live(id)) {
        throw bad_argument("id " + std::to_string(id) + " is in use");
      }
      auto future = engine_->score(runs, rule, wanted, asked_adapter(options.Get("adapter")), id);
      auto* worker = new ScoreWorker(call.Env(), std::move(future), std::move(runs));
      worker->Queue();
      return worker->promise();
    } catch (const Napi::Error&) {
      throw;
    } catch (const std::exception& error) {
      throw js_error(call.Env(), error);
    }
  }

  Napi::Value close(const Napi::CallbackInfo& call) {
    shut();
    return call.Env().Undefined();
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<EventDelivery> delivery_;
  bool open_ = false;    // delivery_ is not released
  bool hooked_ = false;  // the cleanup hook is set
};

Napi::Value code_paths(const Napi::CallbackInfo& call) {
  const auto names = runnable_kernels();
  Napi::Array out = Napi::Array::New(call.Env(), names.size());
  for (size_t i = 0; i < names.size(); ++i) out.Set(static_cast<std::uint32_t>(i), names[i]);
  return out;
}

/// readBandwidth(threads, mib, passes): bytes per second
Napi::Value read_bandwidth(const Napi::CallbackInfo& call) {
  try {
    const auto argument = [&](size_t index, double max) {
      const double value = call.Length() > index && call[index].IsNumber()
                               ? call[index].As<Napi::Number>().DoubleValue()
                               : 0;
      if (!(value >= 1 && value <= max) || value != std::floor(value)) {
        throw bad_argument("expected threads, MiB and passes");
      }
      return static_cast<int>(value);
    };
    const int threads = argument(0, 1024), mib = argument(1, 1 << 20), passes = argument(2, 1000);
    const double rate =
        anabranch::read_bandwidth(threads, static_cast<std::uint64_t>(mib) << 20, passes);
    return Napi::Number::New(call.Env(), rate);
  } catch (const Error& error) {
    throw js_error(call.Env(), error);
  }
}

/// lockFile(fd): whether this process now holds the file's exclusive lock, which closing it
/// releases.
Napi::Value lock_file(const Napi::CallbackInfo& call) {
  try {
    if (call.Length() < 1 || !call[0].IsNumber()) throw bad_argument("expected a file descriptor");
    const int fd = call[0].As<Napi::Number>().Int32Value();
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return Napi::Boolean::New(call.Env(), true);
    if (errno == EWOULDBLOCK) return Napi::Boolean::New(call.Env(), false);
    throw Error(ErrorCode::kUnavailable, std::string("can't be locked: ") + std::strerror(errno));
  } catch (const Error& error) {
    throw js_error(call.Env(), error);
  }
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", EngineObject::define(env));
  exports.Set("cudaDevices", Napi::Function::New(env, [](const Napi::CallbackInfo& call) {
                return Napi::Number::New(call.Env(), cuda_devices());
              }));
  exports.Set("codePaths", Napi::Function::New(env, code_paths));
  exports.Set("inspectModel", Napi::Function::New(env, inspect_model));
  exports.Set("lockFile", Napi::Function::New(env, lock_file));
  exports.Set("readBandwidth", Napi::Function::New(env, read_bandwidth));
  exports.Set("writeQuantizedCopy", Napi::Function::New(env, write_quantized_copy_of));
  return exports;
}

}  // namespace
}  // namespace anabranch

using anabranch::init;
NODE_API_MODULE(anabranch, init)
