// What the benchmark measures on one backend.
#pragma once

#include <random>
#include <vector>

#include "backends/backend.h"
#include "serving/served_adapter.h"

namespace anabranch {

double median(std::vector<double> values);
double quantile(std::vector<double> values, double q);

class Measurements {
 public:
  Measurements(Backend& backend, int vocabulary) : backend_(backend), vocabulary_(vocabulary) {}

  struct Decode {
    double step = 0, fork = 0, join = 0;  // seconds
    double kv_bytes = 0;                  // read by the step half-way through the lanes
  };
  /// Decodes a prefix, a fork into lanes, their tokens, a join and some serial tokens.
  Decode decode(int prefix, int lanes, int tokens);

  /// Seconds per step of one lane whose tokens are sampled, not given.
  double sample(int prefix, int tokens, const SamplingParams& sampling);

  /// Seconds per step of requests of one lane and a prompt of `prompt` tokens each, which have
  /// these adapters in turn; a null one is the model itself.
  double decode_requests(int requests, int prompt, int tokens,
                         const std::vector<ServedAdapterPtr>& adapters);

  /// Seconds to prefill a prompt.
  double prefill(int prompt);

  struct Serving {
    double seconds = 0, tokens = 0;
    std::vector<double> gaps;  // seconds between steps that decode
    int missing = 0;           // KV blocks that were not freed
  };
  /// Serves requests with one stage each, all at once. With `abort`, each is cancelled after a
  /// random number of steps.
  Serving serve(int requests, bool abort);

 private:
  std::vector<int> random_tokens(int n);

  Backend& backend_;
  int vocabulary_;
  std::mt19937 random_{7};
};

}  // namespace anabranch
