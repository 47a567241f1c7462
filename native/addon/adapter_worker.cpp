#include "adapter_worker.h"

#include <utility>

#include "arguments.h"

namespace anabranch {

Napi::Object adapter_object(Napi::Env env, const AdapterInfo& info) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("name", info.name);
  out.Set("digest", info.digest);
  out.Set("dialect", info.dialect);
  out.Set("vocabulary", info.vocabulary);
  return out;
}

AdapterWorker::AdapterWorker(Napi::Object owner, Engine& engine, AdapterSource source)
    : Napi::AsyncWorker(owner.Env()),
      deferred_(Napi::Promise::Deferred::New(owner.Env())),
      owner_(Napi::Persistent(owner)),
      engine_(engine),
      source_(std::move(source)) {}

void AdapterWorker::Execute() {
  try {
    info_ = engine_.load_adapter(source_);
  } catch (const Error& error) {
    failure_ = error;
  } catch (const std::bad_alloc&) {
    failure_ = Error(ErrorCode::kResourceExhausted, "no memory for " + source_.path);
  } catch (const std::exception& error) {
    failure_ = Error(ErrorCode::kInternal, error.what());
  }
}

void AdapterWorker::OnOK() {
  if (failure_) return deferred_.Reject(js_error(Env(), *failure_).Value());
  deferred_.Resolve(adapter_object(Env(), info_));
}

}  // namespace anabranch
