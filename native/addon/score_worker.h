// Waits for a score without blocking JavaScript's thread.
#pragma once

#include <napi.h>

#include <future>
#include <optional>
#include <vector>

#include "error.h"
#include "kv/structure.h"
#include "serving/score.h"

namespace anabranch {

class ScoreWorker final : public Napi::AsyncWorker {
 public:
  ScoreWorker(Napi::Env env, std::future<Score> future, std::vector<StructureRun> runs);

  /// Resolves with {runs, logits?, top?}, in the structure of the scored runs.
  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override;
  void OnOK() override;
  Napi::Array list(const std::vector<float>& values);

  Napi::Promise::Deferred deferred_;
  std::future<Score> future_;
  std::vector<StructureRun> runs_;
  Score score_;
  std::optional<Error> failure_;
};

}  // namespace anabranch
