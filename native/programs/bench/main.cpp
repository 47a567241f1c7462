// Measures how fast the engine decodes, forks, joins and prefills, without Node. The weights are
// random, in a known model's shape, and the decoded tokens are given. Prints one JSON value.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "backends/cpu/bandwidth.h"
#if defined(ANABRANCH_WITH_CUDA)
#include "backends/cuda/backend.h"
#endif
#include "bench/host_backend.h"
#include "bench/measurements.h"
#include "bench/random_checkpoint.h"
#include "bench/random_adapter.h"
#include "error.h"

namespace anabranch {
namespace {

const char kHelp[] =
    "engine-bench [options]\n\n"
    "Measures decoding in lanes after a common prefix, prefill, and many branching requests at "
    "once, with\n"
    "random weights in a known model's shape. Prints one JSON value on stdout, progress on "
    "stderr.\n\n"
    "  --shape NAME    tiny, qwen2.5-0.5b, qwen2.5-7b (default tiny)\n"
    "  --device NAME   auto, cpu or cuda:N (default auto)\n"
    "  --dtype TYPE    weights: bf16, int8, int4, fp8 (GPU) or fp32 (CPU) (default bf16)\n"
    "  --kv-dtype TYPE K and V: auto (follows the weights) or fp8 (GPU) (default auto)\n"
    "  --no-overlap    GPU: start each kernel only after the previous one has ended\n"
    "  --no-library    GPU: our own kernels for prefill GEMMs, even if cuBLASLt is built in\n"
    "  --prefetch-mib N  GPU, with overlap: weights of a product that are fetched into L2 ahead of "
    "the\n"
    "                  previous kernel's end (default 4)\n"
    "  --kv-mib N      memory for KV (default: 90% of a GPU's free memory, else as the worker's)\n"
    "  --folder DIR    where the weights are written once (default /dev/shm/anabranch-SHAPE)\n"
    "  --write-only    write the weights and exit\n"
    "  --parts LIST    what to measure (default decode,sampling,prefill,serving; also adapters: as "
    "many\n"
    "                  requests as the most lanes, with and without four of rank 16, in turn; and "
    "host: what\n"
    "                  steps cost beside the computation, up to 1,000 lanes and 128k tokens of "
    "context)\n"
    "  --lanes LIST    numbers of lanes to decode (default 1,8,32)\n"
    "  --prefix LIST   numbers of tokens before the fork (default 512)\n"
    "  --tokens N      tokens per lane (default 64)\n"
    "  --repeat N      runs; the median counts (default 3)\n"
    "  --prompt N      tokens of the timed prefill (default 4096)\n"
    "  --requests N    branching requests served together (default 64)\n"
    "  --aborts N      requests that are cancelled at a random step; all KV must be freed (default "
    "0)\n";

struct Options {
  std::string shape = "tiny", folder;
  BackendOptions backend;
  std::vector<int> lanes = {1, 8, 32}, prefixes = {512};
  std::set<std::string> parts = {"decode", "sampling", "prefill", "serving"};
  int tokens = 64, repeat = 3, prompt = 4096, requests = 64, aborts = 0;
  bool write_only = false, help = false;
};

int whole_number(const std::string& name, const std::string& value, int min) {
  char* end = nullptr;
  const long number = std::strtol(value.c_str(), &end, 10);
  if (value.empty() || *end || number < min || number > 1 << 20) {
    throw bad_argument(name + " must be a whole number from " + std::to_string(min) + " to " +
                       std::to_string(1 << 20));
  }
  return static_cast<int>(number);
}

std::vector<std::string> list(const std::string& value) {
  std::vector<std::string> out;
  std::istringstream in(value);
  for (std::string item; std::getline(in, item, ',');) out.push_back(item);
  return out;
}

std::vector<int> numbers(const std::string& name, const std::string& value, int max) {
  std::vector<int> out;
  for (const std::string& item : list(value)) {
    out.push_back(whole_number(name, item, 1));
    if (out.back() > max) throw bad_argument(name + " takes numbers up to " + std::to_string(max));
  }
  if (out.empty()) throw bad_argument(name + " is a list of numbers, such as 1,8,32");
  return out;
}

std::set<std::string> parts_of(const std::string& value) {
  std::set<std::string> all = Options().parts;
  all.insert({"adapters", "host"});
  std::set<std::string> out;
  for (const std::string& part : list(value)) {
    if (!all.contains(part)) throw bad_argument("--parts has no " + part + "; see --help");
    out.insert(part);
  }
  return out;
}

Options parse(int count, char** arguments) {
  Options out;
  out.backend.device = "auto";
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--help")
      out.help = true;
    else if (name == "--write-only")
      out.write_only = true;
    else if (name == "--no-overlap")
      out.backend.overlap_kernels = false;
    else if (name == "--no-library")
      out.backend.cublaslt = false;
    else {
      if (i + 1 == count) throw bad_argument(name + " needs a value; see --help");
      const std::string value = arguments[++i];
      if (name == "--shape")
        out.shape = value;
      else if (name == "--device")
        out.backend.device = value;
      else if (name == "--dtype")
        out.backend.weight_type = weight_type_of(value);
      else if (name == "--kv-dtype")
        out.backend.kv_type = kv_type_of(value);
      else if (name == "--folder")
        out.folder = value;
      else if (name == "--kv-mib")
        out.backend.kv_bytes = static_cast<std::uint64_t>(whole_number(name, value, 1)) << 20;
      else if (name == "--prefetch-mib")
        out.backend.prefetch_bytes = static_cast<std::uint64_t>(whole_number(name, value, 0)) << 20;
      else if (name == "--parts")
        out.parts = parts_of(value);
      else if (name == "--prefix")
        out.prefixes = numbers(name, value, 1 << 20);
      else if (name == "--tokens")
        out.tokens = whole_number(name, value, 2);
      else if (name == "--repeat")
        out.repeat = whole_number(name, value, 1);
      else if (name == "--prompt")
        out.prompt = whole_number(name, value, 1);
      else if (name == "--requests")
        out.requests = whole_number(name, value, 1);
      else if (name == "--aborts")
        out.aborts = whole_number(name, value, 0);
      else if (name == "--lanes")
        out.lanes = numbers(name, value, 256);
      else
        throw bad_argument("unknown option " + name + "; see --help");
    }
  }
  if (out.folder.empty()) out.folder = "/dev/shm/anabranch-" + out.shape;
  return out;
}

std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// Bytes per second that the device, or this machine's memory, can move.
double bandwidth_of(const Backend& backend) {
#if defined(ANABRANCH_WITH_CUDA)
  const std::string name = backend.name();
  if (name.starts_with("cuda")) {
    const int device = std::atoi(name.c_str() + 5);
    if (const double rate = cuda::copy_bandwidth(device)) return rate;
  }
#else
  (void)backend;
#endif
  const auto threads = static_cast<int>(std::thread::hardware_concurrency());
  return read_bandwidth(threads, std::uint64_t{1} << 30, 3);
}

/// Entries of the "decode" list of the report: one for each number of lanes.
std::string measure_lanes(Measurements& measurements, const Backend& backend, double bandwidth,
                          int prefix, const Options& options) {
  std::string out;
  double one_lane = NAN;
  for (int n : options.lanes) {
    std::vector<double> steps, forks, joins;
    double kv_bytes = 0;
    for (int i = -2; i < options.repeat; ++i) {
      const Measurements::Decode run = measurements.decode(prefix, n, options.tokens);
      if (i < 0) continue;  // CUDA graphs for this many rows are captured in the second run
      steps.push_back(run.step);
      forks.push_back(run.fork);
      joins.push_back(run.join);
      kv_bytes = run.kv_bytes;
    }
    const double step = median(steps);
    if (n == 1) one_lane = step;
    const double bytes = static_cast<double>(backend.weight_bytes()) + kv_bytes;
    out += std::string(out.empty() ? "" : ",") + "{\"prefix\":" + std::to_string(prefix) +
           ",\"lanes\":" + std::to_string(n) + ",\"tokens_s\":" + number(n / step) +
           ",\"step_ms\":" + number(step * 1e3) + ",\"gb_s\":" + number(bytes / step / 1e9) +
           ",\"of_bandwidth\":" + number(bytes / step / bandwidth) +
           ",\"over_one_lane\":" + number(n * one_lane / step) +
           ",\"fork_steps\":" + number(median(forks) / step) +
           ",\"join_steps\":" + number(median(joins) / step) + "}";
    std::fprintf(stderr, "prefix %d, %d lanes: %.3f ms per step, %.0f GB/s\n", prefix, n,
                 step * 1e3, bytes / step / 1e9);
  }
  return out;
}

/// The "decode" list of the report.
std::string measure_decode(Measurements& measurements, const Backend& backend, double bandwidth,
                           const Options& options) {
  std::string out;
  measurements.decode(64, 2, 4);  // warms up graphs and caches
  for (int prefix : options.prefixes) {
    out +=
        (out.empty() ? "" : ",") + measure_lanes(measurements, backend, bandwidth, prefix, options);
  }
  return out;
}

/// The "chosen_step_ms" object of the report: steps whose tokens are sampled.
std::string measure_sampling(Measurements& measurements, const Options& options) {
  SamplingParams top_p, top_k, logprobs;
  top_p.temperature = top_k.temperature = 0.7f;
  top_p.top_p = top_k.top_p = 0.8f;
  top_k.top_k = 20;
  logprobs.logprobs = true;
  logprobs.top_logprobs = 5;
  std::string out;
  for (const auto& [name, params] : {std::pair{"greedy", SamplingParams()},
                                     {"top_p", top_p},
                                     {"top_k_top_p", top_k},
                                     {"logprobs", logprobs}}) {
    out += std::string(out.empty() ? "" : ",") + "\"" + name +
           "\":" + number(measurements.sample(options.prefixes[0], options.tokens, params) * 1e3);
  }
  std::fprintf(stderr, "steps with sampled tokens, ms: %s\n", out.c_str());
  return out;
}

/// The "adapters" object of the report.
std::string measure_adapters(Measurements& measurements, Backend& backend, const Options& options) {
  constexpr int kAdapters = 4, kRank = 16, kPrompt = 16;
  std::vector<ServedAdapterPtr> adapters;
  for (int i = 1; i <= kAdapters; ++i) {
    const auto adapter = random_adapter(backend.config(), static_cast<std::uint64_t>(i),
                                        {kRank, kRank, kRank, kRank, kRank, kRank, kRank}, false);
    backend.prepare(adapter->weights);
    adapters.push_back(adapter);
  }
  const int requests = *std::max_element(options.lanes.begin(), options.lanes.end());
  std::vector<double> with, without;
  for (int i = -2; i < options.repeat; ++i) {
    const double plain = measurements.decode_requests(requests, kPrompt, options.tokens, {nullptr});
    const double adapted =
        measurements.decode_requests(requests, kPrompt, options.tokens, adapters);
    if (i < 0) continue;
    without.push_back(plain);
    with.push_back(adapted);
  }
  std::fprintf(stderr, "%d requests: %.3f ms per step, with adapters %.3f\n", requests,
               median(without) * 1e3, median(with) * 1e3);
  return "{\"requests\":" + std::to_string(requests) +
         ",\"step_ms\":" + number(median(with) * 1e3) +
         ",\"step_ms_without\":" + number(median(without) * 1e3) + "}";
}

/// Multiply-adds of a prefill, times two. On average attention covers half of the prompt.
double prefill_flops(const ModelConfig& config, int prompt) {
  const double q = static_cast<double>(config.heads) * config.head_dim;
  const double kv = static_cast<double>(config.kv_heads) * config.head_dim;
  const double layer = (2 * (q + kv) + 3.0 * config.intermediate) * config.hidden + q * prompt;
  return 2.0 * prompt * config.layers * layer;
}

/// The "prefill" object of the report.
std::string measure_prefill(Measurements& measurements, const ModelConfig& config,
                            const Options& options) {
  std::vector<double> runs;
  for (int i = 0; i <= options.repeat; ++i) {
    const double seconds = measurements.prefill(options.prompt);
    if (i > 0) runs.push_back(seconds);
  }
  const double seconds = median(runs),
               tflops = prefill_flops(config, options.prompt) / seconds / 1e12;
  std::fprintf(stderr, "prefill of %d: %.1f ms, %.1f TFLOP/s\n", options.prompt, seconds * 1e3,
               tflops);
  return "{\"tokens\":" + std::to_string(options.prompt) + ",\"ms\":" + number(seconds * 1e3) +
         ",\"tokens_s\":" + number(options.prompt / seconds) + ",\"tflop_s\":" + number(tflops) +
         "}";
}

/// The "serving" object of the report. Counts KV blocks that were not freed in `missing`.
std::string measure_serving(Measurements& measurements, const Options& options, int& missing) {
  measurements.serve(options.requests, false);
  const Measurements::Serving run = measurements.serve(options.requests, false);
  missing += run.missing;
  const double rate = run.tokens / run.seconds;
  std::fprintf(stderr, "%d requests: %.0f tokens/s\n", options.requests, rate);
  return "{\"requests\":" + std::to_string(options.requests) + ",\"tokens_s\":" + number(rate) +
         ",\"itl_p50_ms\":" + number(quantile(run.gaps, 0.5) * 1e3) +
         ",\"itl_p99_ms\":" + number(quantile(run.gaps, 0.99) * 1e3) + "}";
}

/// The "host" list of the report: steps that compute nothing.
std::string measure_host(const ModelConfig& config, int vocabulary, const Options& options) {
  struct Load {
    int requests, lanes, context;  // each request has so many lanes
  };
  std::string out;
  for (const Load& load : {Load{1, 1, 512}, Load{1, 8, 4096}, Load{1, 1000, 4096},
                           Load{1, 1000, 131072}, Load{256, 1, 4096}}) {
    const int tokens = 24 + load.requests;  // prompts are computed one after another
    ModelConfig roomy = config;
    roomy.context = load.context + load.lanes * tokens + 64;
    HostBackend backend(
        roomy, load.requests * load.lanes * (tokens / 16 + 4) + load.requests * load.context / 16);
    Measurements measurements(backend, vocabulary);
    std::vector<double> steps;
    for (int i = 0; i < options.repeat; ++i) {
      steps.push_back(
          load.requests == 1
              ? measurements.decode(load.context, load.lanes, tokens).step
              : measurements.decode_requests(load.requests, load.context, tokens, {nullptr}));
    }
    const double step = median(steps);
    std::fprintf(stderr, "host, %d requests with %d lanes after %d tokens: %.3f ms per step\n",
                 load.requests, load.lanes, load.context, step * 1e3);
    out += std::string(out.empty() ? "" : ",") + "{\"requests\":" + std::to_string(load.requests) +
           ",\"lanes\":" + std::to_string(load.lanes) +
           ",\"context\":" + std::to_string(load.context) + ",\"step_ms\":" + number(step * 1e3) +
           "}";
  }
  return out;
}

int run(const Options& options) {
  const ModelShape& shape = find_shape(options.shape);
  std::fprintf(stderr, "weights in %s\n", options.folder.c_str());
  write_random_checkpoint(shape, options.folder);
  if (options.write_only) return 0;

  const ModelConfig config = read_config(options.folder);
  const auto began = std::chrono::steady_clock::now();
  const Checkpoint weights(options.folder);
  const std::unique_ptr<Backend> backend = make_backend(config, weights, options.backend);
  const double load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::fprintf(stderr, "on %s, loaded in %.1f s\n", backend->name().c_str(), load_seconds);
  const double bandwidth = bandwidth_of(*backend);

  Measurements measurements(*backend, shape.vocabulary);
  std::string parts;
  int missing = 0, aborted = 0;
  const auto measure = [&](const char* name, const char* key, auto measured) {
    if (options.parts.contains(name)) parts += std::string(",\"") + key + "\":" + measured();
  };
  measure("decode", "decode",
          [&] { return "[" + measure_decode(measurements, *backend, bandwidth, options) + "]"; });
  measure("sampling", "chosen_step_ms",
          [&] { return "{" + measure_sampling(measurements, options) + "}"; });
  measure("prefill", "prefill", [&] { return measure_prefill(measurements, config, options); });
  measure("adapters", "adapters",
          [&] { return measure_adapters(measurements, *backend, options); });
  measure("host", "host",
          [&] { return "[" + measure_host(config, shape.vocabulary, options) + "]"; });
  measure("serving", "serving", [&] { return measure_serving(measurements, options, missing); });
  for (; aborted < options.aborts; aborted += options.requests) {
    missing += measurements.serve(options.requests, true).missing;
  }
  std::printf(
      "{\"shape\":\"%s\",\"backend\":\"%s\",\"overlap\":%s,\"weight_bytes\":%llu,\"load_s\":%s,"
      "\"bandwidth_gb_s\":%s,\"tokens\":%d%s,\"aborted\":%d,\"blocks_missing\":%d}\n",
      shape.name, backend->name().c_str(), options.backend.overlap_kernels ? "true" : "false",
      static_cast<unsigned long long>(backend->weight_bytes()), number(load_seconds).c_str(),
      number(bandwidth / 1e9).c_str(), options.tokens, parts.c_str(), aborted, missing);
  return missing == 0 ? 0 : 1;
}

}  // namespace
}  // namespace anabranch

int main(int count, char** arguments) {
  using namespace anabranch;
  try {
    const Options options = parse(count, arguments);
    if (options.help) return std::fputs(kHelp, stdout), 0;
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "engine-bench: %s\n", error.what());
    return 2;
  }
}
