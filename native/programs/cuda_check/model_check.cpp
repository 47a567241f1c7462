// Logits of whole models against fp32 weights on the CPU.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <future>
#include <map>
#include <optional>
#include <random>

#include "backends/cuda/backend.h"
#include "backends/cuda/runtime.h"
#include "cuda_check/checks.h"
#include "serving/scheduler.h"

namespace anabranch::ANABRANCH_CUDA {

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

double nmse(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size() || got.empty()) return INFINITY;
  double error = 0, power = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    power += double{want[i]} * want[i];
  }
  return error / power;
}

std::vector<StructureRun> random_text(int vocabulary, const std::array<int, 3>& sizes) {
  std::mt19937 random(11);
  const auto tokens = [&](int n) {
    std::vector<int> out(n);
    for (int& token : out) token = static_cast<int>(random() % static_cast<unsigned>(vocabulary));
    return out;
  };
  return {{false, {tokens(sizes[0])}},
          {true, {tokens(sizes[1]), tokens(1), tokens(sizes[1] / 2)}},
          {false, {tokens(sizes[2])}}};
}

std::vector<float> logits_of(Backend& backend, const std::vector<StructureRun>& runs,
                             ResumeRule resume, int prefill_rows) {
  SchedulerOptions options;
  options.prefill_rows = prefill_rows;
  options.validate = true;
  Scheduler scheduler(backend, std::nullopt, options);
  std::promise<Score> promise;
  auto score = promise.get_future();
  scheduler.submit(
      {scheduler.make_score(0, runs, resume, {.logits = true}, nullptr, std::move(promise))});
  EventBuffer events;
  while (score.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    scheduler.step(events);
  return score.get().logits;
}

namespace {

/// Accepted normalised mean squared errors of logits, against fp32 weights on the CPU. Activations
/// and KV are bf16. Four bits are few for the fixtures, whose queries and keys are large.
double accepted_nmse(WeightType type) {
  switch (type) {
    case WeightType::kBF16:
      return 1e-3;
    case WeightType::kInt8:
      return 3e-3;
    case WeightType::kInt4:
      return 4e-1;
    default:
      return 3e-2;
  }
}
/// Against the CPU's int8 and int4, which have the same weights, but inputs of 16 and 8 bits.
double accepted_nmse_between(WeightType type) { return type == WeightType::kInt8 ? 1e-3 : 3e-3; }
constexpr double kFp8KvNmse = 2e-2;  // with bf16 weights
/// Between two backends with fp8 KV. Their bf16 roundings differ, so some values of K and V are
/// quantized to the neighbouring fp8 number.
constexpr double kBetweenFp8KvNmse = 5e-3;

/// Serial text, forks and joins of odd lengths, some longer than a block or, if the context allows
/// it, a KV chunk.
std::vector<StructureRun> structured_text(int vocabulary, int context) {
  std::mt19937 random(11);
  const auto tokens = [&](int n) {
    std::vector<int> out(n);
    for (int& token : out) token = static_cast<int>(random() % static_cast<unsigned>(vocabulary));
    return out;
  };
  std::vector<StructureRun> runs = {{false, {tokens(21)}},
                                    {true, {tokens(17), tokens(1), tokens(33)}},
                                    {false, {tokens(5)}},
                                    {true, {tokens(2), tokens(16)}},
                                    {false, {tokens(9)}}};
  if (context >= 1024) runs[0].tokens[0] = tokens(290);
  return runs;
}

/// Checks of one model's logits under both resume rules.
class ModelCheck {
 public:
  ModelCheck(const std::string& folder, const BackendOptions& options, Report report)
      : name_(kName + (std::filesystem::path(folder) / "").parent_path().filename().string() + " "),
        config_(read_config(folder)),
        weights_(folder),
        options_(options),
        report_(report),
        runs_(structured_text(config_.vocabulary, config_.context)) {
    options_.kv_bytes = std::uint64_t{64} << 20;
    options_.max_rows = 128;
    compute_cpu_logits();
  }

  void check_type(WeightType type) {
    const std::string format = name_of(type);
    options_.weight_type = type;
    const auto fast = make(KvType::kAuto, false);
    const auto deterministic = make(KvType::kAuto, true);
    for (const Rule& rule : rules_) {
      for (int rows : {128, 7}) {  // in one or two tiled steps, and in skinny ones
        const std::string what = format + rule.name + std::to_string(rows) + " rows";
        const auto got = logits_of(*fast, runs_, rule.resume, rows);
        expect_near(what, got, rule.fp32, accepted_nmse(type));
        if (const auto cpu = rule.cpu.find(type); cpu != rule.cpu.end())
          expect_near(what + ", against the CPU's", got, cpu->second, accepted_nmse_between(type));
      }
    }
    if (type == WeightType::kBF16) check_fp8_kv(*deterministic);
    report_(name_ + format + ", deterministic",
            depends_on_batch(*deterministic, ResumeRule::kSum) ? "logits depend on the batch" : "");
  }

 private:
  struct Rule {
    ResumeRule resume;
    std::string name;
    std::vector<float> fp32;                       // logits of the CPU backend
    std::map<WeightType, std::vector<float>> cpu;  // and those with int8 and int4 weights
  };

  void compute_cpu_logits() {
    for (WeightType type : {WeightType::kF32, WeightType::kInt8, WeightType::kInt4}) {
      options_.weight_type = type;
      const auto cpu = make_cpu_backend(config_, weights_, options_);
      for (Rule& rule : rules_) {
        (type == WeightType::kF32 ? rule.fp32 : rule.cpu[type]) =
            logits_of(*cpu, runs_, rule.resume, 128);
      }
    }
  }

  std::unique_ptr<Backend> make(KvType kv_type, bool deterministic) const {
    BackendOptions options = options_;
    options.kv_type = kv_type;
    options.deterministic = deterministic;
    return make_backend(config_, weights_, options, 0);
  }

  /// Siblings share KV chunks, and rows read KV that the same step wrote.
  void check_fp8_kv(Backend& bf16_kv) {
    const auto by_chunks = make(KvType::kFp8, true);
    const auto by_spans = make(KvType::kFp8, false);
    for (const Rule& rule : rules_) {
      const std::string what = "fp8 KV" + rule.name;
      const auto got = logits_of(*by_chunks, runs_, rule.resume, 128);
      expect_near(what + "128 rows, against bf16 KV", got,
                  logits_of(bf16_kv, runs_, rule.resume, 128), kFp8KvNmse);
      expect_near(what + "128 rows", got, rule.fp32, kFp8KvNmse);
      expect_near(what + "128 rows, prefill attention against chunk attention",
                  logits_of(*by_spans, runs_, rule.resume, 128), got, kBetweenFp8KvNmse);
      report_(name_ + what + "deterministic", got == logits_of(*by_chunks, runs_, rule.resume, 7)
                                                  ? ""
                                                  : "logits depend on the batch");
    }
  }

  bool depends_on_batch(Backend& backend, ResumeRule resume) const {
    return logits_of(backend, runs_, resume, 128) != logits_of(backend, runs_, resume, 7);
  }

  void expect_near(const std::string& what, const std::vector<float>& got,
                   const std::vector<float>& want, double accepted) const {
    const double error = nmse(got, want);
    report_(name_ + what + ": NMSE " + short_number(error),
            error <= accepted ? "" : "above " + short_number(accepted));
  }

  std::string name_;
  ModelConfig config_;
  Checkpoint weights_;
  BackendOptions options_;
  Report report_;
  std::vector<StructureRun> runs_;
  Rule rules_[2] = {{ResumeRule::kSum, " sum, ", {}, {}}, {ResumeRule::kMax, " max, ", {}, {}}};
};

}  // namespace

void check_model(const std::string& folder, const BackendOptions& options, Report report) {
  try {
    ModelCheck model(folder, options, report);
    for (WeightType type :
         {WeightType::kBF16, WeightType::kInt8, WeightType::kInt4, WeightType::kFp8})
      model.check_type(type);
  } catch (const std::exception& error) {
    report(kName + folder, error.what());
  }
}

}  // namespace anabranch::ANABRANCH_CUDA
