// How fast the engine decodes, forks, joins and prefills, in a program without Node. Random weights in a
// known model's shape; what is written is given, so that random weights serve. Prints one JSON value.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "backends/cpu/bandwidth.h"
#if defined(ANABRANCH_WITH_CUDA)
#include "backends/cuda/backend.h"
#endif
#include "error.h"
#include "number_formats.h"
#include "serving/scheduler.h"

namespace anabranch {
namespace {

const char kHelp[] =
    "engine-bench [options]\n\n"
    "Decoding in lanes after a common prefix, prefill, and many branching requests at once, with random\n"
    "weights in a known model's shape. One JSON value on stdout, progress on stderr.\n\n"
    "  --shape NAME    tiny, qwen2.5-0.5b, qwen2.5-7b (default tiny)\n"
    "  --device NAME   auto, cpu or cuda:N (default auto)\n"
    "  --dtype TYPE    of the weights: bf16, int8, fp8 (GPU) or fp32 (CPU) (default bf16)\n"
    "  --kv-dtype TYPE of K and V: auto (with the weights) or fp8 (GPU) (default auto)\n"
    "  --no-overlap    on a GPU: start each kernel when the one before it has ended\n"
    "  --no-library    on a GPU: prompts' products by our own kernels, also where cuBLASLt is built in\n"
    "  --folder DIR    where the weights are written, once (default /dev/shm/anabranch-SHAPE)\n"
    "  --write-only    write the weights and end\n"
    "  --lanes LIST    lanes decoded together (default 1,8,32)\n"
    "  --prefix N      tokens before the fork (default 512)\n"
    "  --tokens N      tokens of each lane (default 64)\n"
    "  --repeat N      runs, of which the median counts (default 3)\n"
    "  --prompt N      tokens of the prefill that is timed (default 4096)\n"
    "  --requests N    branching requests served together (default 64)\n"
    "  --aborts N      requests that are cut off at some step, after which nothing may be held (default 0)\n";

struct Shape {
  const char* name;
  int hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary, context;
  bool tied;
};

// Published shapes of Qwen2.5 (arXiv:2412.15115); all have biases on q, k and v.
constexpr Shape kShapes[] = {
    {"tiny", 256, 4, 4, 2, 64, 704, 2048, 8192, true},
    {"qwen2.5-0.5b", 896, 24, 14, 2, 64, 4864, 151936, 32768, true},
    {"qwen2.5-7b", 3584, 28, 28, 4, 128, 18944, 152064, 32768, false},
};

struct TensorSpec {
  std::string name;
  std::vector<int> shape;
  bool norm = false;  // about 1 instead of about 0
};

std::vector<TensorSpec> tensors_of(const Shape& s) {
  const int q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  std::vector<TensorSpec> out;
  const auto matrix = [&](const std::string& name, int n, int k) {
    out.push_back({name, {n, k}});
  };
  const auto norm = [&](const std::string& name) { out.push_back({name, {s.hidden}, true}); };
  matrix("model.embed_tokens.weight", s.vocabulary, s.hidden);
  for (int i = 0; i < s.layers; ++i) {
    const std::string at = "model.layers." + std::to_string(i) + ".";
    norm(at + "input_layernorm.weight");
    norm(at + "post_attention_layernorm.weight");
    for (const auto& [name, n] : {std::pair{"q", q}, std::pair{"k", kv}, std::pair{"v", kv}}) {
      matrix(at + "self_attn." + name + "_proj.weight", n, s.hidden);
      out.push_back({at + "self_attn." + name + "_proj.bias", {n}});
    }
    matrix(at + "self_attn.o_proj.weight", s.hidden, q);
    matrix(at + "mlp.gate_proj.weight", s.intermediate, s.hidden);
    matrix(at + "mlp.up_proj.weight", s.intermediate, s.hidden);
    matrix(at + "mlp.down_proj.weight", s.hidden, s.intermediate);
  }
  norm("model.norm.weight");
  if (!s.tied) matrix("lm_head.weight", s.vocabulary, s.hidden);
  return out;
}

/// Writes config.json and model.safetensors in bf16, each tensor out of a table of random values.
void write_model(const Shape& s, const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "config.json")) return;
  std::filesystem::create_directories(folder);
  constexpr size_t kTable = size_t{1} << 22;
  std::vector<std::uint16_t> weights(kTable), norms(1 << 14);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (auto& value : weights) value = to_bf16(normal(random) * 0.02f);
  for (auto& value : norms) value = to_bf16(1 + normal(random) * 0.1f);

  const auto tensors = tensors_of(s);
  std::string header = "{";
  size_t size = 0;
  for (const TensorSpec& tensor : tensors) {
    size_t bytes = 2;
    std::string shape;
    for (int extent : tensor.shape) {
      bytes *= static_cast<size_t>(extent);
      shape += (shape.empty() ? "" : ",") + std::to_string(extent);
    }
    header += (header.size() > 1 ? "," : "") + ("\"" + tensor.name) +
              "\":{\"dtype\":\"BF16\",\"shape\":[" + shape + "],\"data_offsets\":[" +
              std::to_string(size) + "," + std::to_string(size + bytes) + "]}";
    size += bytes;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::ofstream file(folder / "model.safetensors", std::ios::binary);
  const std::uint64_t length = header.size();
  file.write(reinterpret_cast<const char*>(&length), 8);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  for (const TensorSpec& tensor : tensors) {
    size_t left = 1;
    for (int extent : tensor.shape) left *= static_cast<size_t>(extent);
    const auto& table = tensor.norm ? norms : weights;
    // Another stretch of the table each time: no two rows of a matrix are the same.
    while (left > 0) {
      const size_t count = std::min(left, table.size() - 1024), first = random() % 1024;
      file.write(reinterpret_cast<const char*>(table.data() + first),
                 static_cast<std::streamsize>(2 * count));
      left -= count;
    }
  }
  file.close();
  if (!file) throw bad_file((folder / "model.safetensors").string(), "can't be written");
  std::ofstream config(folder / "config.json");
  config << "{\"model_type\":\"qwen2\",\"architectures\":[\"Qwen2ForCausalLM\"],\"hidden_size\":" << s.hidden
         << ",\"num_hidden_layers\":" << s.layers << ",\"num_attention_heads\":" << s.heads
         << ",\"num_key_value_heads\":" << s.kv_heads << ",\"intermediate_size\":" << s.intermediate
         << ",\"vocab_size\":" << s.vocabulary << ",\"max_position_embeddings\":" << s.context
         << ",\"rope_theta\":1000000.0,\"rms_norm_eps\":1e-06,\"hidden_act\":\"silu\","
            "\"tie_word_embeddings\":" << (s.tied ? "true" : "false")
         << ",\"eos_token_id\":0,\"torch_dtype\":\"bfloat16\"}\n";
}

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}
double quantile(std::vector<double> values, double q) {
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(q * static_cast<double>(values.size())))];
}

std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

class Bench {
 public:
  Bench(Backend& backend, const Shape& shape) : backend_(backend), shape_(shape) {}

  struct Decoded {
    double step = 0, fork = 0, join = 0;  // seconds
    double kv_bytes = 0;                  // that a step read half-way through the lanes
  };

  /// A prefix, a fork into lanes, their tokens, a join and some serial tokens.
  Decoded decode(int prefix, int lanes, int tokens) {
    SchedulerOptions options;
    Scheduler scheduler(backend_, std::nullopt, options);
    RequestSpec spec;
    spec.id = 1;
    spec.prompt = {{false, {text(prefix)}}};
    spec.script = {{false, {spec.prompt[0].tokens[0]}}, {true, {}}, {false, {text(8)}}};
    for (int lane = 0; lane < lanes; ++lane) spec.script[1].tokens.push_back(text(tokens));
    scheduler.submit(scheduler.make(std::move(spec)));
    std::vector<double> steps;
    Decoded out;
    for (;;) {
      const LoadSnapshot before = scheduler.load();
      const auto began = std::chrono::steady_clock::now();
      EventBuffer events;
      scheduler.step(events);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
      const LoadSnapshot after = scheduler.load();
      const bool decoded = after.steps > before.steps && after.prefill_rows == before.prefill_rows;
      if (decoded) steps.push_back(took.count());
      if (decoded && steps.size() == static_cast<size_t>(tokens) / 2) {
        out.kv_bytes = static_cast<double>(backend_.kv_bytes());
      }
      if (after.finished > 0) break;
    }
    const auto in_lanes = static_cast<size_t>(tokens);
    if (steps.size() < in_lanes) throw Error(ErrorCode::kInternal, "too few steps");
    out.step = median({steps.begin() + 1, steps.begin() + static_cast<std::ptrdiff_t>(in_lanes)});
    out.fork = steps[0];
    out.join = steps.size() > in_lanes ? steps[in_lanes] : NAN;
    return out;
  }

  /// Seconds of a step of one lane whose tokens are chosen, not given.
  double sample(int prefix, int tokens, const SamplingParams& sampling) {
    Scheduler scheduler(backend_, std::nullopt, SchedulerOptions());
    RequestSpec spec;
    spec.id = 1;
    spec.prompt = {{false, {text(prefix)}}};
    spec.max_tokens = tokens;
    spec.ignore_eos = true;
    spec.sampling = sampling;
    scheduler.submit(scheduler.make(std::move(spec)));
    std::vector<double> steps;
    while (scheduler.load().finished == 0) {
      const std::uint64_t prefilled = scheduler.load().prefill_rows;
      const auto began = std::chrono::steady_clock::now();
      EventBuffer events;
      scheduler.step(events);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
      if (scheduler.load().prefill_rows == prefilled) steps.push_back(took.count());
    }
    return median(steps);
  }

  double prefill(int prompt) {
    SchedulerOptions options;
    Scheduler scheduler(backend_, std::nullopt, options);
    RequestSpec spec;
    spec.id = 1;
    spec.prompt = {{false, {text(prompt)}}};
    spec.max_tokens = 1;
    scheduler.submit(scheduler.make(std::move(spec)));
    const auto began = std::chrono::steady_clock::now();
    while (scheduler.load().finished == 0) {
      EventBuffer events;
      scheduler.step(events);
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  }

  struct Served {
    double seconds = 0, tokens = 0;
    std::vector<double> gaps;  // between steps that decode
    int missing = 0;           // blocks that were not given back
  };

  /// Requests with a stage each, all at once. Each is cut off after a random number of steps where
  /// `abort` says so.
  Served serve(int requests, bool abort) {
    SchedulerOptions options;
    options.max_running = requests;
    options.max_queue = requests;
    Scheduler scheduler(backend_, std::nullopt, options);
    std::vector<int> patience(requests, -1);
    for (int i = 0; i < requests; ++i) {
      RequestSpec spec;
      spec.id = static_cast<std::uint32_t>(i);
      spec.prompt = {{false, {text(64 + static_cast<int>(random_() % 448))}}};
      spec.script = {{false, {spec.prompt[0].tokens[0]}}, {false, {text(16)}}, {true, {}}, {false, {text(16)}}};
      const int lanes = 2 + static_cast<int>(random_() % 5);
      for (int lane = 0; lane < lanes; ++lane) {
        spec.script[2].tokens.push_back(text(24 + static_cast<int>(random_() % 104)));
      }
      if (abort) patience[i] = static_cast<int>(random_() % 160);
      scheduler.submit(scheduler.make(std::move(spec)));
    }
    Served out;
    const auto began = std::chrono::steady_clock::now();
    auto last = began;
    std::uint64_t rows = 0;
    while (scheduler.load().finished < static_cast<std::uint64_t>(requests)) {
      for (int i = 0; i < requests; ++i) {
        if (patience[i]-- == 0) scheduler.cancel(static_cast<std::uint32_t>(i));
      }
      EventBuffer events;
      scheduler.step(events);
      const auto now = std::chrono::steady_clock::now();
      const LoadSnapshot load = scheduler.load();
      if (load.decode_rows > rows) out.gaps.push_back(std::chrono::duration<double>(now - last).count());
      rows = load.decode_rows;
      last = now;
    }
    const LoadSnapshot load = scheduler.load();
    out.seconds = std::chrono::duration<double>(last - began).count();
    out.tokens = static_cast<double>(load.decode_rows);
    out.missing = load.kv_total - load.kv_free;
    return out;
  }

 private:
  std::vector<int> text(int n) {
    std::vector<int> out(n);
    for (int& token : out) token = static_cast<int>(random_() % static_cast<unsigned>(shape_.vocabulary));
    return out;
  }

  Backend& backend_;
  const Shape& shape_;
  std::mt19937 random_{7};
};

int run(int count, char** arguments) {
  std::string shape_name = "tiny", folder;
  BackendOptions options;
  options.device = "auto";
  std::vector<int> lanes = {1, 8, 32};
  int prefix = 512, tokens = 64, repeat = 3, prompt = 4096, requests = 64, aborts = 0;
  bool write_only = false;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--help") return std::fputs(kHelp, stdout), 0;
    if (name == "--write-only" || name == "--no-overlap" || name == "--no-library") {
      if (name == "--write-only") write_only = true;
      else (name == "--no-overlap" ? options.overlap_kernels : options.cublaslt) = false;
      continue;
    }
    if (i + 1 == count) throw bad_argument(name + " needs a value; see --help");
    const std::string value = arguments[++i];
    const auto whole = [&](int least) {
      char* end = nullptr;
      const long number = std::strtol(value.c_str(), &end, 10);
      if (value.empty() || *end || number < least || number > 1 << 20) {
        throw bad_argument(name + " must be a whole number of at least " + std::to_string(least));
      }
      return static_cast<int>(number);
    };
    if (name == "--shape") shape_name = value;
    else if (name == "--device") options.device = value;
    else if (name == "--dtype") options.weight_type = weight_type_of(value);
    else if (name == "--kv-dtype") options.kv_type = kv_type_of(value);
    else if (name == "--folder") folder = value;
    else if (name == "--prefix") prefix = whole(1);
    else if (name == "--tokens") tokens = whole(2);
    else if (name == "--repeat") repeat = whole(1);
    else if (name == "--prompt") prompt = whole(1);
    else if (name == "--requests") requests = whole(1);
    else if (name == "--aborts") aborts = whole(0);
    else if (name == "--lanes") {
      lanes.clear();
      for (const char* at = value.c_str(); *at;) {
        char* end = nullptr;
        const long number = std::strtol(at, &end, 10);
        if (end == at || number < 1 || number > 256) throw bad_argument("--lanes is a list of numbers");
        lanes.push_back(static_cast<int>(number));
        at = *end == ',' ? end + 1 : end;
      }
    } else throw bad_argument("no option " + name + "; see --help");
  }
  const auto shape = std::find_if(std::begin(kShapes), std::end(kShapes),
                                  [&](const Shape& s) { return s.name == shape_name; });
  if (shape == std::end(kShapes)) throw bad_argument("no shape " + shape_name + "; see --help");
  if (folder.empty()) folder = "/dev/shm/anabranch-" + shape_name;
  std::fprintf(stderr, "weights in %s\n", folder.c_str());
  write_model(*shape, folder);
  if (write_only) return 0;

  const ModelConfig config = read_config(folder);
  const auto began = std::chrono::steady_clock::now();
  const Checkpoint weights(folder);
  const std::unique_ptr<Backend> backend = make_backend(config, weights, options);
  const double load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::fprintf(stderr, "on %s, loaded in %.1f s\n", backend->name().c_str(), load_seconds);
  double bandwidth = 0;
#if defined(ANABRANCH_WITH_CUDA)
  if (backend->name().starts_with("cuda")) {
    bandwidth = cuda::copy_bandwidth(std::atoi(backend->name().c_str() + 5), std::uint64_t{2} << 30, 10);
  }
#endif
  if (bandwidth == 0) {
    bandwidth = read_bandwidth(static_cast<int>(std::thread::hardware_concurrency()), std::uint64_t{1} << 30, 3);
  }

  Bench bench(*backend, *shape);
  std::string decoded;
  double one = NAN;
  bench.decode(64, 2, 4);  // graphs and caches
  for (int n : lanes) {
    std::vector<double> steps, forks, joins;
    double kv_bytes = 0;
    for (int i = -2; i < repeat; ++i) {
      const Bench::Decoded run = bench.decode(prefix, n, tokens);
      if (i < 0) continue;  // the graphs of this many rows are made, when one is met again
      steps.push_back(run.step);
      forks.push_back(run.fork);
      joins.push_back(run.join);
      kv_bytes = run.kv_bytes;
    }
    const double step = median(steps);
    if (n == 1) one = step;
    const double bytes = static_cast<double>(backend->weight_bytes()) + kv_bytes;
    decoded += std::string(decoded.empty() ? "" : ",") + "{\"lanes\":" + std::to_string(n) +
               ",\"tokens_s\":" + number(n / step) + ",\"step_ms\":" + number(step * 1e3) +
               ",\"gb_s\":" + number(bytes / step / 1e9) +
               ",\"of_bandwidth\":" + number(bytes / step / bandwidth) +
               ",\"over_one_lane\":" + number(n * one / step) +
               ",\"fork_steps\":" + number(median(forks) / step) +
               ",\"join_steps\":" + number(median(joins) / step) + "}";
    std::fprintf(stderr, "%d lanes: %.3f ms a step, %.0f GB/s\n", n, step * 1e3, bytes / step / 1e9);
  }
  std::string chosen;
  SamplingParams top_p, top_k, logprobs;
  top_p.temperature = top_k.temperature = 0.7f;
  top_p.top_p = top_k.top_p = 0.8f;
  top_k.top_k = 20;
  logprobs.logprobs = true;
  logprobs.top_logprobs = 5;
  for (const auto& [name, sampling] : {std::pair{"greedy", SamplingParams()}, {"top_p", top_p}, {"top_k_top_p", top_k},
                                       {"logprobs", logprobs}}) {
    chosen += std::string(chosen.empty() ? "" : ",") + "\"" + name + "\":" +
              number(bench.sample(prefix, tokens, sampling) * 1e3);
  }
  std::fprintf(stderr, "a step whose token is chosen, ms: %s\n", chosen.c_str());
  std::vector<double> prefills;
  for (int i = 0; i <= repeat; ++i) {
    const double took = bench.prefill(prompt);
    if (i > 0) prefills.push_back(took);
  }
  const double prefill = median(prefills);
  // Multiply-adds of the layers, and of attention over half of the prompt on average.
  const double q = static_cast<double>(config.heads) * config.head_dim;
  const double kv = static_cast<double>(config.kv_heads) * config.head_dim;
  const double layer = (2 * (q + kv) + 3.0 * config.intermediate) * config.hidden + q * prompt;
  const double flops = 2.0 * prompt * config.layers * layer;
  std::fprintf(stderr, "prefill of %d: %.1f ms, %.1f TFLOP/s\n", prompt, prefill * 1e3, flops / prefill / 1e12);
  bench.serve(requests, false);
  const Bench::Served served = bench.serve(requests, false);
  std::fprintf(stderr, "%d requests: %.0f tokens/s\n", requests, served.tokens / served.seconds);
  int missing = served.missing, aborted = 0;
  for (; aborted < aborts; aborted += requests) missing += bench.serve(requests, true).missing;

  std::printf(
      "{\"shape\":\"%s\",\"backend\":\"%s\",\"overlap\":%s,\"weight_bytes\":%llu,\"load_s\":%s,\"bandwidth_gb_s\":%s,"
      "\"prefix\":%d,\"tokens\":%d,\"decode\":[%s],\"chosen_step_ms\":{%s},"
      "\"prefill\":{\"tokens\":%d,\"ms\":%s,\"tokens_s\":%s,"
      "\"tflop_s\":%s},\"serving\":{\"requests\":%d,\"tokens_s\":%s,\"itl_p50_ms\":%s,\"itl_p99_ms\":%s},"
      "\"aborted\":%d,\"blocks_missing\":%d}\n",
      shape->name, backend->name().c_str(), options.overlap_kernels ? "true" : "false",
      static_cast<unsigned long long>(backend->weight_bytes()),
      number(load_seconds).c_str(), number(bandwidth / 1e9).c_str(), prefix, tokens, decoded.c_str(),
      chosen.c_str(), prompt, number(prefill * 1e3).c_str(), number(prompt / prefill).c_str(),
      number(flops / prefill / 1e12).c_str(), requests, number(served.tokens / served.seconds).c_str(),
      number(quantile(served.gaps, 0.5) * 1e3).c_str(), number(quantile(served.gaps, 0.99) * 1e3).c_str(),
      aborted, missing);
  return missing == 0 ? 0 : 1;
}

}  // namespace
}  // namespace anabranch

int main(int count, char** arguments) {
  try {
    return anabranch::run(count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "engine-bench: %s\n", error.what());
    return 2;
  }
}
