// The engine's options and requests, from JavaScript objects (native/src/index.ts has their types).
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "serving/engine.h"

namespace anabranch {

EngineOptions engine_options(const Napi::Object& options);
/// {name, path, dialect?}
AdapterSource adapter_source(const Napi::Value& value);
/// The request, but for its adapter.
RequestSpec request_spec(const Napi::Object& request);

/// [{serial: ids} | {parallel: [ids, …]}, …]
std::vector<StructureRun> structure(const Napi::Value& value);
ResumeRule resume_rule(const std::string& name);

}  // namespace anabranch
