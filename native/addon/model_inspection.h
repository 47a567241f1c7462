// What the engine makes of a model's files, without loading its weights.
#pragma once

#include <napi.h>

namespace anabranch {

/// inspectModel(path): {config, memory}. Throws an Error with a `code` that says why the engine
/// can't run the model.
Napi::Value inspect_model(const Napi::CallbackInfo& call);

}  // namespace anabranch
