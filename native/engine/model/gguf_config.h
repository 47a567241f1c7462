// A model's shape, read from the metadata of a GGUF file.
#pragma once

#include "model/config.h"
#include "model/gguf.h"

namespace anabranch {

/// Throws Error naming the file and the key, also for architectures that the engine does not
/// support. `max_context` as for read_config().
ModelConfig read_gguf_config(const GgufModel& file, int max_context);

}  // namespace anabranch
