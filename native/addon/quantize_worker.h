// Writes a quantized copy of a model without blocking JavaScript's thread.
#pragma once

#include <napi.h>

namespace anabranch {

/// writeQuantizedCopy({model, file, dtype, threads?}, onProgress(done, all)):
/// Promise<QuantizedCopy>, with the fields of native/src/index.ts. Rejects with an Error with a
/// `code`.
Napi::Value write_quantized_copy_of(const Napi::CallbackInfo& call);

}  // namespace anabranch
