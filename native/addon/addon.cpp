// The Node-API door to the engine. The engine thread owns all engine state; JavaScript gets at most
// one call a step with every request's events packed in one buffer. Nothing that JavaScript passes can
// abort the process: what can't be used is thrown as an Error with a `code`.
#include <napi.h>

#include <cmath>
#include <cstring>
#include <future>
#include <memory>
#include <optional>
#include <unordered_set>

#include "backends/cpu/bandwidth.h"
#include "backends/cpu/kernels.h"
#include "serving/engine.h"
#include "error.h"

namespace {

using anabranch::Error;
using anabranch::ErrorCode;

Napi::Error js_error(Napi::Env env, const std::exception& error) {
  const auto* typed = dynamic_cast<const Error*>(&error);
  Napi::Error out = Napi::Error::New(env, error.what());
  out.Set("code", anabranch::name_of(typed ? typed->code() : ErrorCode::kInternal));
  if (typed && typed->retry_after() > 0) out.Set("retryAfterSeconds", typed->retry_after());
  return out;
}

// ---- reading arguments: every field is checked for type and range --------------------------------

bool absent(const Napi::Value& value) { return value.IsUndefined() || value.IsNull(); }

double number(const Napi::Object& object, const char* key, double otherwise, double low,
              double high) {
  const Napi::Value value = object.Get(key);
  if (value.IsUndefined() || value.IsNull()) return otherwise;
  if (!value.IsNumber()) throw anabranch::bad_argument(std::string(key) + " must be a number");
  const double out = value.As<Napi::Number>().DoubleValue();
  if (!(out >= low && out <= high)) {
    throw anabranch::bad_argument(std::string(key) + " is out of range");
  }
  return out;
}

double whole(const Napi::Object& object, const char* key, double otherwise, double high,
             double low = 0) {
  const double out = number(object, key, otherwise, low, high);
  if (out != std::floor(out)) {
    throw anabranch::bad_argument(std::string(key) + " must be a whole number");
  }
  return out;
}

int integer(const Napi::Object& object, const char* key, int otherwise, int low, int high) {
  return static_cast<int>(whole(object, key, otherwise, high, low));
}

constexpr double kMaxWord = 4294967295.0;
constexpr int kMaxPriority = 1000;
constexpr size_t kMaxSalt = 256;           // bytes
constexpr std::uint32_t kMaxList = 1 << 24;  // tokens, runs or pairs in one list

std::uint32_t length_of(const Napi::Array& list, const char* what) {
  const std::uint32_t length = list.Length();
  if (length > kMaxList) throw anabranch::bad_argument(std::string(what) + " is too long");
  return length;
}

/// A token id. Whether the model has it is the engine's to check.
int token_id(const Napi::Value& value, const char* what) {
  const double id = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(id >= 0 && id <= 2147483647.0) || id != std::floor(id)) {
    throw anabranch::bad_argument(std::string(what) + " holds what is not a token id");
  }
  return static_cast<int>(id);
}

bool boolean(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (value.IsUndefined() || value.IsNull()) return false;
  if (!value.IsBoolean()) throw anabranch::bad_argument(std::string(key) + " must be a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string text(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (value.IsUndefined() || value.IsNull()) return "";
  if (!value.IsString()) throw anabranch::bad_argument(std::string(key) + " must be a string");
  return value.As<Napi::String>().Utf8Value();
}

std::vector<int> ids(const Napi::Value& value, const char* what) {
  std::vector<int> out;
  const auto refuse = [&] {
    return anabranch::bad_argument(std::string(what) + " must be a list of token ids");
  };
  if (value.IsTypedArray()) {
    const auto typed = value.As<Napi::TypedArray>();
    if (typed.TypedArrayType() != napi_uint32_array) throw refuse();
    const auto words = value.As<Napi::Uint32Array>();
    if (words.ElementLength() > kMaxList) throw refuse();
    for (size_t i = 0; i < words.ElementLength(); ++i) {
      if (words[i] > 0x7fffffffu) throw refuse();
      out.push_back(static_cast<int>(words[i]));
    }
    return out;
  }
  if (!value.IsArray()) throw refuse();
  const auto list = value.As<Napi::Array>();
  const std::uint32_t length = length_of(list, what);
  for (std::uint32_t i = 0; i < length; ++i) out.push_back(token_id(list.Get(i), what));
  return out;
}

constexpr std::uint32_t kMaxBranches = 4096;  // of one group

/// [{serial: ids} | {parallel: [ids, …]}, …]
std::vector<anabranch::StructureRun> structure(const Napi::Value& value) {
  if (!value.IsArray()) throw anabranch::bad_argument("runs must be a list");
  std::vector<anabranch::StructureRun> out;
  const auto list = value.As<Napi::Array>();
  const std::uint32_t length = length_of(list, "runs");
  for (std::uint32_t i = 0; i < length; ++i) {
    const Napi::Value item = list.Get(i);
    const std::string where = "run " + std::to_string(i);
    if (!item.IsObject()) throw anabranch::bad_argument(where + " must be an object");
    const auto object = item.As<Napi::Object>();
    auto& run = out.emplace_back();
    if (object.Has("serial")) {
      run.tokens.push_back(ids(object.Get("serial"), (where + ".serial").c_str()));
      continue;
    }
    const Napi::Value branches = object.Get("parallel");
    if (!branches.IsArray()) {
      throw anabranch::bad_argument(where + " must have \"serial\" or \"parallel\"");
    }
    run.parallel = true;
    const auto listed = branches.As<Napi::Array>();
    const std::uint32_t count = listed.Length();
    if (count > kMaxBranches) {
      throw anabranch::bad_argument(where + " has more than " + std::to_string(kMaxBranches) +
                                    " branches");
    }
    for (std::uint32_t b = 0; b < count; ++b) {
      run.tokens.push_back(ids(listed.Get(b), (where + ".parallel").c_str()));
    }
    const Napi::Value openings = object.Get("openings");
    if (!openings.IsUndefined()) run.openings = ids(openings, (where + ".openings").c_str());
  }
  return out;
}

anabranch::ResumeRule resume_rule(const std::string& name) {
  if (name == "sum" || name.empty()) return anabranch::ResumeRule::kSum;
  if (name == "max") return anabranch::ResumeRule::kMax;
  throw anabranch::bad_argument("resume must be \"sum\" or \"max\"");
}

anabranch::SamplingParams sampling_of(const Napi::Object& o) {
  anabranch::SamplingParams out;
  out.temperature = static_cast<float>(number(o, "temperature", 0, 0, 100));
  out.top_p = static_cast<float>(number(o, "topP", 1, 0, 1));
  if (out.top_p <= 0) out.top_p = 1;
  out.top_k = integer(o, "topK", 0, 0, 1 << 24);
  out.min_p = static_cast<float>(number(o, "minP", 0, 0, 1));
  out.presence_penalty = static_cast<float>(number(o, "presencePenalty", 0, -100, 100));
  out.frequency_penalty = static_cast<float>(number(o, "frequencyPenalty", 0, -100, 100));
  out.repetition_penalty = static_cast<float>(number(o, "repetitionPenalty", 1, 0, 100));
  if (out.repetition_penalty <= 0) out.repetition_penalty = 1;
  out.logprobs = boolean(o, "logprobs");
  out.top_logprobs = integer(o, "topLogprobs", 0, 0, 64);
  const Napi::Value bias = o.Get("logitBias");
  if (bias.IsArray()) {
    const auto list = bias.As<Napi::Array>();
    const std::uint32_t length = length_of(list, "logitBias");
    for (std::uint32_t i = 0; i < length; ++i) {
      const Napi::Value item = list.Get(i);
      if (!item.IsArray()) throw anabranch::bad_argument("logitBias must be a list of pairs");
      const auto pair = item.As<Napi::Array>();
      const Napi::Value bias = pair.Get(1u);
      const double value = bias.IsNumber() ? bias.As<Napi::Number>().DoubleValue() : INFINITY;
      if (!(std::abs(value) <= 1000)) throw anabranch::bad_argument("logitBias is out of range");
      out.logit_bias.emplace_back(token_id(pair.Get(0u), "logitBias"), static_cast<float>(value));
    }
  } else if (!bias.IsUndefined() && !bias.IsNull()) {
    throw anabranch::bad_argument("logitBias must be a list of pairs");
  }
  return out;
}

std::vector<std::uint8_t> bytes(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (absent(value)) return {};
  if (!value.IsTypedArray() ||
      value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw anabranch::bad_argument(std::string(key) + " must be a Uint8Array");
  }
  const auto typed = value.As<Napi::Uint8Array>();
  if (typed.ElementLength() > kMaxSalt) {
    throw anabranch::bad_argument(std::string(key) + " is too long");
  }
  return {typed.Data(), typed.Data() + typed.ElementLength()};
}

/// Token ids, or runs where the prompt holds answers with structure.
std::vector<anabranch::StructureRun> prompt_of(const Napi::Value& value) {
  if (value.IsArray()) {
    const auto list = value.As<Napi::Array>();
    if (list.Length() > 0 && list.Get(0u).IsObject()) return structure(value);
  }
  return {{false, {ids(value, "prompt")}}};
}

/// [{lane, tokens, closed: reason}, …]
std::vector<anabranch::LoggedLane> log_of(const Napi::Value& value) {
  if (!value.IsArray()) throw anabranch::bad_argument("log must be a list");
  const auto list = value.As<Napi::Array>();
  const std::uint32_t length = length_of(list, "log");
  std::vector<anabranch::LoggedLane> out;
  for (std::uint32_t i = 0; i < length; ++i) {
    const Napi::Value item = list.Get(i);
    if (!item.IsObject()) throw anabranch::bad_argument("log must hold objects");
    const auto object = item.As<Napi::Object>();
    auto& lane = out.emplace_back();
    lane.lane = integer(object, "lane", -1, 0, 1 << 24);
    lane.tokens = ids(object.Get("tokens"), "log.tokens");
    const int reason = integer(object, "closed", 0, 0, 3);
    if (reason > 0) lane.closed = static_cast<anabranch::CloseReason>(reason);
  }
  return out;
}

anabranch::RequestSpec request_of(const Napi::Object& o) {
  anabranch::RequestSpec spec;
  if (absent(o.Get("id"))) throw anabranch::bad_argument("id is missing");
  spec.id = static_cast<std::uint32_t>(whole(o, "id", 0, kMaxWord));
  spec.prompt = prompt_of(o.Get("prompt"));
  const Napi::Value sampling = o.Get("sampling");
  if (sampling.IsObject()) {
    spec.sampling = sampling_of(sampling.As<Napi::Object>());
  } else if (!absent(sampling)) {
    throw anabranch::bad_argument("sampling must be an object");
  }
  spec.parallel = boolean(o, "parallel");
  spec.max_branches = integer(o, "maxBranches", 0, 0, 1 << 16);
  spec.max_tokens = integer(o, "maxTokens", 0, 0, 1 << 30);
  spec.choice_index = static_cast<std::uint32_t>(whole(o, "choice", 0, kMaxWord));
  const Napi::Value stops = o.Get("stopTokens");
  if (!absent(stops)) spec.stop_tokens = ids(stops, "stopTokens");
  spec.ignore_eos = boolean(o, "ignoreEos");
  spec.deadline = std::chrono::milliseconds(integer(o, "deadlineMs", 0, 0, 1 << 30));
  spec.sequential = boolean(o, "sequential");
  spec.return_logits = boolean(o, "returnLogits");
  const Napi::Value seed = o.Get("seed");
  if (seed.IsBigInt()) {
    bool lossless = false;
    spec.seed = seed.As<Napi::BigInt>().Uint64Value(&lossless);
    if (!lossless) throw anabranch::bad_argument("seed must be between 0 and 2^64 - 1");
  } else {
    spec.seed = static_cast<std::uint64_t>(whole(o, "seed", 0, 9007199254740991.0));
  }
  const Napi::Value script = o.Get("script");
  if (!absent(script)) spec.script = structure(script);
  const Napi::Value titles = o.Get("scriptTitles");
  if (titles.IsObject()) {
    const auto asked = titles.As<Napi::Object>();
    spec.script_titles = {ids(asked.Get("open"), "scriptTitles.open"),
                          ids(asked.Get("close"), "scriptTitles.close")};
  } else if (!absent(titles)) {
    throw anabranch::bad_argument("scriptTitles must be an object");
  }
  if (!absent(o.Get("resume"))) spec.resume = resume_rule(text(o, "resume"));
  spec.priority = integer(o, "priority", 0, -kMaxPriority, kMaxPriority);
  spec.cache_salt = bytes(o, "cacheSalt");
  const Napi::Value plan = o.Get("plan");
  if (plan.IsObject()) {
    const auto asked = plan.As<Napi::Object>();
    spec.plan = {integer(asked, "at", -1, 0, 1 << 30), ids(asked.Get("ids"), "plan.ids")};
  } else if (!absent(plan)) {
    throw anabranch::bad_argument("plan must be an object");
  }
  const Napi::Value log = o.Get("log");
  if (!absent(log)) spec.log = log_of(log);
  return spec;
}

// ---- results -------------------------------------------------------------------------------------

class ScoreWorker final : public Napi::AsyncWorker {
 public:
  ScoreWorker(Napi::Env env, std::future<anabranch::Score> future,
              std::vector<anabranch::StructureRun> runs)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        future_(std::move(future)),
        runs_(std::move(runs)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    try {
      score_ = future_.get();
    } catch (const Error& error) {
      failure_ = error;
    } catch (const std::future_error&) {
      failure_ = Error(ErrorCode::kUnavailable, "the engine closed before scoring was done");
    } catch (const std::bad_alloc&) {
      failure_ = Error(ErrorCode::kResourceExhausted, "no memory for this many logits");
    } catch (const std::exception& error) {
      failure_ = Error(ErrorCode::kInternal, error.what());
    }
  }

  void OnOK() override {
    if (failure_) return deferred_.Reject(js_error(Env(), *failure_).Value());
    Napi::Array runs = Napi::Array::New(Env(), runs_.size());
    for (size_t r = 0; r < runs_.size(); ++r) {
      Napi::Object run = Napi::Object::New(Env());
      if (runs_[r].parallel) {
        Napi::Array lists = Napi::Array::New(Env(), runs_[r].tokens.size());
        for (size_t l = 0; l < runs_[r].tokens.size(); ++l) {
          lists.Set(static_cast<std::uint32_t>(l), list(score_.logprobs[r][l]));
        }
        run.Set("parallel", lists);
      } else {
        run.Set("serial", list(score_.logprobs[r][0]));
      }
      runs.Set(static_cast<std::uint32_t>(r), run);
    }
    Napi::Object out = Napi::Object::New(Env());
    out.Set("runs", runs);
    if (!score_.logits.empty()) {
      auto logits = Napi::Float32Array::New(Env(), score_.logits.size());
      std::copy(score_.logits.begin(), score_.logits.end(), logits.Data());
      out.Set("logits", logits);
    }
    deferred_.Resolve(out);
  }

 private:
  Napi::Array list(const std::vector<float>& values) {
    Napi::Array out = Napi::Array::New(Env(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      out.Set(static_cast<std::uint32_t>(i),
              std::isnan(values[i]) ? Env().Null()
                                    : Napi::Value(Napi::Number::New(Env(), values[i])));
    }
    return out;
  }

  Napi::Promise::Deferred deferred_;
  std::future<anabranch::Score> future_;
  std::vector<anabranch::StructureRun> runs_;
  anabranch::Score score_;
  std::optional<Error> failure_;
};

// ---- the engine ----------------------------------------------------------------------------------

class EngineObject final : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Engine",
                       {InstanceMethod<&EngineObject::info>("info"),
                        InstanceMethod<&EngineObject::submit>("submit"),
                        InstanceMethod<&EngineObject::cancel>("cancel"),
                        InstanceMethod<&EngineObject::load>("load"),
                        InstanceMethod<&EngineObject::score>("score"),
                        InstanceMethod<&EngineObject::close>("close")});
  }

  /// new Engine(options, onEvents(words: Uint32Array), onFault(message: string))
  explicit EngineObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineObject>(info) {
    Napi::Env env = info.Env();
    try {
      if (info.Length() < 3 || !info[0].IsObject() || !info[1].IsFunction() ||
          !info[2].IsFunction()) {
        throw anabranch::bad_argument("expected options, onEvents and onFault");
      }
      const auto o = info[0].As<Napi::Object>();
      anabranch::EngineOptions options;
      options.model = text(o, "model");
      options.dialect = text(o, "dialect");
      const std::string dtype = text(o, "dtype");
      if (!dtype.empty()) options.backend.weight_type = anabranch::weight_type_of(dtype);
      const std::string kv_dtype = text(o, "kvDtype");
      if (!kv_dtype.empty()) options.backend.kv_type = anabranch::kv_type_of(kv_dtype);
      options.backend.device = text(o, "device");
      options.backend.threads = integer(o, "threads", 0, 0, 1024);
      options.backend.kv_bytes =
          static_cast<std::uint64_t>(number(o, "kvMib", 0, 0, 1 << 24) * (1 << 20));
      options.backend.max_rows = integer(o, "maxRows", 0, 0, 65536);
      if (options.backend.max_rows > 0 && options.backend.max_rows < 256) {
        throw anabranch::bad_argument("maxRows must be 0 or at least 256");
      }
      options.backend.deterministic = boolean(o, "deterministic");
      options.backend.code_path = text(o, "codePath");
      options.scheduler.max_running = integer(o, "maxRunning", 64, 1, 65536);
      options.scheduler.max_queue = integer(o, "maxQueue", 256, 1, 1 << 20);
      options.scheduler.prefill_rows = integer(o, "prefillRows", 0, 0, 65536);
      options.scheduler.validate = boolean(o, "validate");
      options.flush_interval = std::chrono::milliseconds(integer(o, "flushIntervalMs", 0, 0, 1000));

      events_ = Napi::ThreadSafeFunction::New(env, info[1].As<Napi::Function>(),
                                              "anabranch events", 0, 1);
      live_->events = events_;
      fault_ = Napi::ThreadSafeFunction::New(env, info[2].As<Napi::Function>(),
                                             "anabranch fault", 0, 1);
      open_ = true;
      // An engine with nothing to do keeps no process alive.
      events_.Unref(env);
      fault_.Unref(env);
      engine_ = std::make_unique<anabranch::Engine>(
          options, [this](std::vector<std::uint32_t> words) { deliver(std::move(words)); },
          [this](std::string message) { report(std::move(message)); });
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

  /// Joins the engine thread first, so that nobody calls into JavaScript after it.
  void shut() {
    if (engine_) engine_->close();
    if (open_) {
      open_ = false;
      events_.Release();
      fault_.Release();
    }
    if (hooked_) {
      hooked_ = false;
      napi_remove_env_cleanup_hook(Env(), &EngineObject::clean_up, this);
    }
  }

  /// Requests whose end JavaScript has not seen. Used on JavaScript's thread only, and kept by the
  /// calls under way, which may outlive the engine object.
  struct Live {
    std::unordered_set<std::uint32_t> ids;
    Napi::ThreadSafeFunction events;

    void begin(Napi::Env env, std::uint32_t id) {
      if (ids.empty()) events.Ref(env);
      ids.insert(id);
    }
    void end_finished(Napi::Env env, const std::vector<std::uint32_t>& words) {
      if (ids.empty()) return;
      for (size_t at = 0; at + 2 < words.size(); at += 3 + words[at + 2]) {
        if (words[at] == static_cast<std::uint32_t>(anabranch::EventKind::kFinished)) {
          ids.erase(words[at + 1]);
        }
      }
      if (ids.empty()) events.Unref(env);
    }
  };
  struct Step {
    std::vector<std::uint32_t> words;
    std::shared_ptr<Live> live;
  };

  /// What a callback throws is an uncaught exception, as from any other event. Plain Node-API here:
  /// where a worker thread is being terminated every call fails, and none of that may be thrown.
  static void call_back(napi_env env, napi_value callback, napi_value argument) {
    napi_value global = nullptr, error = nullptr;
    bool thrown = false;
    if (napi_get_global(env, &global) != napi_ok) return;
    if (napi_call_function(env, global, callback, 1, &argument, nullptr) == napi_ok) return;
    if (napi_is_exception_pending(env, &thrown) != napi_ok || !thrown) return;
    if (napi_get_and_clear_last_exception(env, &error) != napi_ok) return;
    napi_fatal_exception(env, error);
  }

  // On the engine thread.
  void deliver(std::vector<std::uint32_t> words) {
    auto* step = new Step{std::move(words), live_};
    const auto call = [](Napi::Env env, Napi::Function callback, Step* step) {
      std::unique_ptr<Step> owned(step);
      step->live->end_finished(env, step->words);
      const size_t bytes = step->words.size() * sizeof(std::uint32_t);
      void* data = nullptr;
      napi_value buffer = nullptr, array = nullptr;
      if (napi_create_arraybuffer(env, bytes, &data, &buffer) != napi_ok) return;
      std::memcpy(data, step->words.data(), bytes);
      if (napi_create_typedarray(env, napi_uint32_array, step->words.size(), buffer, 0, &array) !=
          napi_ok) {
        return;
      }
      call_back(env, callback, array);
    };
    if (events_.NonBlockingCall(step, call) != napi_ok) delete step;
  }
  void report(std::string message) {
    auto* data = new std::string(std::move(message));
    const auto call = [](Napi::Env env, Napi::Function callback, std::string* message) {
      std::unique_ptr<std::string> owned(message);
      napi_value text = nullptr;
      if (napi_create_string_utf8(env, message->data(), message->size(), &text) == napi_ok) {
        call_back(env, callback, text);
      }
    };
    if (fault_.NonBlockingCall(data, call) != napi_ok) delete data;
  }

  Napi::Value info(const Napi::CallbackInfo& call) {
    const anabranch::EngineInfo& info = engine_->info();
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
      if (call.Length() < 1 || !call[0].IsObject()) {
        throw anabranch::bad_argument("expected a request");
      }
      auto spec = request_of(call[0].As<Napi::Object>());
      const std::uint32_t id = spec.id;
      if (live_->ids.contains(id)) {
        throw anabranch::bad_argument("id " + std::to_string(id) + " is in use");
      }
      engine_->submit(std::move(spec));
      live_->begin(call.Env(), id);
    } catch (const Napi::Error&) {
      throw;
    } catch (const std::exception& error) {
      throw js_error(call.Env(), error);
    }
    return call.Env().Undefined();
  }

  Napi::Value cancel(const Napi::CallbackInfo& call) {
    const double id = call.Length() > 0 && call[0].IsNumber()
                          ? call[0].As<Napi::Number>().DoubleValue()
                          : -1;
    if (!(id >= 0 && id <= kMaxWord) || id != std::floor(id)) {
      throw js_error(call.Env(), anabranch::bad_argument("id must be a whole number"));
    }
    engine_->cancel(static_cast<std::uint32_t>(id));
    return call.Env().Undefined();
  }

  Napi::Value load(const Napi::CallbackInfo& call) {
    const anabranch::LoadSnapshot load = engine_->load();
    Napi::Object out = Napi::Object::New(call.Env());
    out.Set("running", load.running);
    out.Set("queued", load.queued);
    out.Set("liveLanes", load.live_lanes);
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
    out.Set("preemptions", static_cast<double>(load.preemptions));
    out.Set("promptTokens", static_cast<double>(load.prompt_tokens));
    out.Set("cachedTokens", static_cast<double>(load.cached_tokens));
    out.Set("finished", static_cast<double>(load.finished));
    out.Set("queueWaitSeconds", load.queue_wait_seconds);
    return out;
  }

  /// score(runs, resume, wantLogits): Promise<{runs, logits?}>
  Napi::Value score(const Napi::CallbackInfo& call) {
    try {
      if (call.Length() < 2) throw anabranch::bad_argument("expected runs and a resume rule");
      auto runs = structure(call[0]);
      const auto rule = resume_rule(call[1].IsString() ? call[1].As<Napi::String>().Utf8Value()
                                                       : "?");
      const bool logits = call.Length() > 2 && call[2].ToBoolean().Value();
      auto* worker = new ScoreWorker(call.Env(), engine_->score(runs, rule, logits), runs);
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

  std::unique_ptr<anabranch::Engine> engine_;
  Napi::ThreadSafeFunction events_;
  Napi::ThreadSafeFunction fault_;
  std::shared_ptr<Live> live_ = std::make_shared<Live>();
  bool open_ = false;
  bool hooked_ = false;
};

Napi::Value code_paths(const Napi::CallbackInfo& call) {
  const auto names = anabranch::runnable_kernels();
  Napi::Array out = Napi::Array::New(call.Env(), names.size());
  for (size_t i = 0; i < names.size(); ++i) out.Set(static_cast<std::uint32_t>(i), names[i]);
  return out;
}

/// readBandwidth(threads, mib, passes): bytes a second
Napi::Value read_bandwidth(const Napi::CallbackInfo& call) {
  try {
    const auto argument = [&](size_t index, double high) {
      const double value = call.Length() > index && call[index].IsNumber()
                               ? call[index].As<Napi::Number>().DoubleValue()
                               : 0;
      if (!(value >= 1 && value <= high) || value != std::floor(value)) {
        throw anabranch::bad_argument("expected threads, MiB and passes");
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

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", EngineObject::define(env));
  exports.Set("cudaDevices", Napi::Function::New(env, [](const Napi::CallbackInfo& call) {
                return Napi::Number::New(call.Env(), anabranch::cuda_devices());
              }));
  exports.Set("codePaths", Napi::Function::New(env, code_paths));
  exports.Set("readBandwidth", Napi::Function::New(env, read_bandwidth));
  return exports;
}

}  // namespace

NODE_API_MODULE(anabranch, init)
