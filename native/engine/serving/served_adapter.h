// An adapter that requests can ask for by name.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "dialect/dialect.h"
#include "model/adapter.h"

namespace anabranch {

/// Where an adapter comes from.
struct AdapterSource {
  std::string name;
  std::string path;     // a folder as PEFT writes it
  std::string dialect;  // JSON; empty: the folder's aspd.json, else the model's dialect
  int tokens = 0;  // that its tokenizer knows; refused if the vocabulary has fewer; 0: not known
};

/// Immutable. A request holds the adapter that it asked for until it ends.
struct ServedAdapter {
  std::string name;
  Adapter weights;
  std::optional<Dialect> dialect;
  std::string digest;  // of the model and the adapter: equal digests give equal answers
};

using ServedAdapterPtr = std::shared_ptr<const ServedAdapter>;

}  // namespace anabranch
