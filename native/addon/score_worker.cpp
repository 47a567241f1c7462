#include "score_worker.h"

#include <algorithm>
#include <cmath>

#include "arguments.h"

namespace anabranch {

ScoreWorker::ScoreWorker(Napi::Env env, std::future<Score> future, std::vector<StructureRun> runs)
    : Napi::AsyncWorker(env),
      deferred_(Napi::Promise::Deferred::New(env)),
      future_(std::move(future)),
      runs_(std::move(runs)) {}

void ScoreWorker::Execute() {
  try {
    score_ = future_.get();
  } catch (const Error& error) {
    failure_ = error;
  } catch (const std::future_error&) {
    failure_ = Error(ErrorCode::kUnavailable, "the engine closed before the score was complete");
  } catch (const std::bad_alloc&) {
    failure_ = Error(ErrorCode::kResourceExhausted, "no memory for this many logits");
  } catch (const std::exception& error) {
    failure_ = Error(ErrorCode::kInternal, error.what());
  }
}

void ScoreWorker::OnOK() {
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
  if (!score_.top.empty()) {
    Napi::Object top = Napi::Object::New(Env());
    auto ids = Napi::Int32Array::New(Env(), score_.top.size());
    std::copy(score_.top.begin(), score_.top.end(), ids.Data());
    auto logprobs = Napi::Float32Array::New(Env(), score_.top_logprobs.size());
    std::copy(score_.top_logprobs.begin(), score_.top_logprobs.end(), logprobs.Data());
    top.Set("ids", ids);
    top.Set("logprobs", logprobs);
    out.Set("top", top);
  }
  deferred_.Resolve(out);
}

Napi::Array ScoreWorker::list(const std::vector<float>& values) {
  Napi::Array out = Napi::Array::New(Env(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    out.Set(static_cast<std::uint32_t>(i), std::isnan(values[i])
                                               ? Env().Null()
                                               : Napi::Value(Napi::Number::New(Env(), values[i])));
  }
  return out;
}

}  // namespace anabranch
