// Reads an adapter without blocking JavaScript's thread.
#pragma once

#include <napi.h>

#include <optional>

#include "serving/engine.h"

namespace anabranch {

/// {name, digest, dialect, vocabulary}
Napi::Object adapter_object(Napi::Env env, const AdapterInfo& info);

/// `owner` is the JavaScript object that owns `engine`, which it keeps alive.
class AdapterWorker final : public Napi::AsyncWorker {
 public:
  AdapterWorker(Napi::Object owner, Engine& engine, AdapterSource source);

  /// Resolves with adapter_object().
  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override;
  void OnOK() override;

  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference owner_;
  Engine& engine_;
  AdapterSource source_;
  AdapterInfo info_;
  std::optional<Error> failure_;
};

}  // namespace anabranch
