#include "requests.h"

#include <cmath>

#include "arguments.h"
#include "error.h"

namespace anabranch {
namespace {

constexpr int kMaxPriority = 1000;
constexpr double kMaxTimePerTokenMs = 1e6;
constexpr std::uint32_t kMaxBranches = 4096;  // of one parallel run
constexpr size_t kMaxTokenTable = 1 << 28;    // bytes of all tokens

}  // namespace

AdapterSource adapter_source(const Napi::Value& value) {
  if (!value.IsObject()) throw bad_argument("an adapter must be an object with name and path");
  const auto object = value.As<Napi::Object>();
  return {text(object, "name"), text(object, "path"), text(object, "dialect"),
          integer(object, "tokens", 0, 0, 1 << 28)};
}

namespace {

std::vector<std::string> strings(const Napi::Object& o, const char* name) {
  const Napi::Value value = o.Get(name);
  const std::string what = std::string("outline.") + name;
  if (!value.IsArray()) throw bad_argument(what + " must be a list");
  const auto list = value.As<Napi::Array>();
  const std::uint32_t length = length_of(list, what.c_str());
  std::vector<std::string> out;
  out.reserve(length);
  for (std::uint32_t i = 0; i < length; ++i) {
    const Napi::Value item = list.Get(i);
    if (!item.IsString()) throw bad_argument(what + " must hold strings");
    out.push_back(item.As<Napi::String>().Utf8Value());
  }
  return out;
}

/// {texts, sequentialTitles, closingTitles, procedureWords, continueProbability,
/// bodyLogProbability}
std::shared_ptr<const OutlineRules> outline_rules(const Napi::Value& value) {
  if (absent(value)) return nullptr;
  if (!value.IsObject()) throw bad_argument("outline must be an object");
  const auto object = value.As<Napi::Object>();
  auto rules = std::make_shared<OutlineRules>();
  rules->texts = std::make_shared<TokenTexts>(strings(object, "texts"));
  rules->sequential_titles = strings(object, "sequentialTitles");
  rules->closing_titles = strings(object, "closingTitles");
  rules->procedure_words = strings(object, "procedureWords");
  rules->continue_probability =
      number(object, "continueProbability", rules->continue_probability, 0, 1);
  rules->body_log_probability =
      number(object, "bodyLogProbability", rules->body_log_probability, -1000, 0);
  return rules;
}

/// tokenBytes: for each token by id, the number of its bytes in two bytes, little-endian, and they.
std::shared_ptr<const TokenTrie> token_trie(const Napi::Object& o) {
  if (absent(o.Get("tokenBytes"))) return nullptr;
  const auto packed = bytes(o, "tokenBytes", kMaxTokenTable);
  std::vector<std::string> out;
  for (size_t at = 0; at < packed.size();) {
    const size_t begin = at + 2;
    const size_t size = begin <= packed.size() ? packed[at] + 256u * packed[at + 1] : 0;
    if (begin + size > packed.size()) throw bad_argument("tokenBytes ends within a token");
    out.emplace_back(packed.begin() + static_cast<std::ptrdiff_t>(begin),
                     packed.begin() + static_cast<std::ptrdiff_t>(begin + size));
    at = begin + size;
  }
  return std::make_shared<TokenTrie>(std::move(out));
}

}  // namespace

EngineOptions engine_options(const Napi::Object& o) {
  EngineOptions options;
  options.model = text(o, "model");
  options.dialect = text(o, "dialect");
  options.outline = outline_rules(o.Get("outline"));
  options.trie = token_trie(o);
  options.max_context = integer(o, "maxContext", 0, 0, 1 << 24);
  const std::string dtype = text(o, "dtype");
  options.backend.stored_weight_type = dtype.empty() || dtype == "auto";
  if (!options.backend.stored_weight_type) options.backend.weight_type = weight_type_of(dtype);
  const std::string kv_dtype = text(o, "kvDtype");
  if (!kv_dtype.empty()) options.backend.kv_type = kv_type_of(kv_dtype);
  options.backend.device = text(o, "device");
  options.backend.threads = integer(o, "threads", 0, 0, 1024);
  options.backend.kv_bytes =
      static_cast<std::uint64_t>(number(o, "kvMib", 0, 0, 1 << 24) * (1 << 20));
  options.backend.max_rows = integer(o, "maxRows", 0, 0, 65536);
  if (options.backend.max_rows > 0 && options.backend.max_rows < 256) {
    throw bad_argument("maxRows must be 0 or at least 256");
  }
  options.backend.deterministic = boolean(o, "deterministic");
  options.backend.overlap_kernels = !boolean(o, "noOverlap");
  options.backend.cublaslt = !boolean(o, "noLibrary");
  options.backend.code_path = text(o, "codePath");
  options.scheduler.max_running = integer(o, "maxRunning", 64, 1, 65536);
  options.scheduler.max_queue = integer(o, "maxQueue", 256, 1, 1 << 20);
  options.scheduler.prefill_rows = integer(o, "prefillRows", 0, 0, 65536);
  options.scheduler.branches = branch_schedule_of(text(o, "branchSchedule"));
  options.scheduler.branches.max_time_per_token =
      number(o, "maxTimePerTokenMs", 0, 0, kMaxTimePerTokenMs) / 1e3;
  options.scheduler.validate = boolean(o, "validate");
  const Napi::Value adapters = o.Get("adapters");
  if (!absent(adapters)) {
    if (!adapters.IsArray()) throw bad_argument("adapters must be a list");
    const auto list = adapters.As<Napi::Array>();
    const std::uint32_t length = length_of(list, "adapters");
    for (std::uint32_t i = 0; i < length; ++i) {
      options.adapters.push_back(adapter_source(list.Get(i)));
    }
  }
  options.flush_interval = std::chrono::milliseconds(integer(o, "flushIntervalMs", 0, 0, 1000));
  return options;
}

std::vector<StructureRun> structure(const Napi::Value& value) {
  if (!value.IsArray()) throw bad_argument("runs must be a list");
  std::vector<StructureRun> out;
  const auto list = value.As<Napi::Array>();
  const std::uint32_t length = length_of(list, "runs");
  for (std::uint32_t i = 0; i < length; ++i) {
    const Napi::Value item = list.Get(i);
    const std::string where = "run " + std::to_string(i);
    if (!item.IsObject()) throw bad_argument(where + " must be an object");
    const auto object = item.As<Napi::Object>();
    auto& run = out.emplace_back();
    if (object.Has("serial")) {
      run.tokens.push_back(token_ids(object.Get("serial"), (where + ".serial").c_str()));
      continue;
    }
    const Napi::Value branches = object.Get("parallel");
    if (!branches.IsArray()) {
      throw bad_argument(where + " must have \"serial\" or \"parallel\"");
    }
    run.parallel = true;
    const auto listed = branches.As<Napi::Array>();
    const std::uint32_t count = listed.Length();
    if (count > kMaxBranches) {
      throw bad_argument(where + " has more than " + std::to_string(kMaxBranches) + " branches");
    }
    for (std::uint32_t b = 0; b < count; ++b) {
      run.tokens.push_back(token_ids(listed.Get(b), (where + ".parallel").c_str()));
    }
    const Napi::Value openings = object.Get("openings");
    if (!openings.IsUndefined()) run.openings = token_ids(openings, (where + ".openings").c_str());
  }
  return out;
}

ResumeRule resume_rule(const std::string& name) {
  if (name == "sum" || name.empty()) return ResumeRule::kSum;
  if (name == "max") return ResumeRule::kMax;
  throw bad_argument("resume must be \"sum\" or \"max\"");
}

namespace {

SamplingParams sampling_params(const Napi::Object& o) {
  SamplingParams out;
  out.temperature = static_cast<float>(number(o, "temperature", 0, 0, 100));
  out.top_p = static_cast<float>(number(o, "topP", 1, 0, 1));
  if (out.top_p <= 0) out.top_p = 1;
  out.top_k = integer(o, "topK", 0, 0, 1 << 24);
  out.min_p = static_cast<float>(number(o, "minP", 0, 0, 1));
  out.presence_penalty = static_cast<float>(number(o, "presencePenalty", 0, -100, 100));
  out.frequency_penalty = static_cast<float>(number(o, "frequencyPenalty", 0, -100, 100));
  out.repetition_penalty = static_cast<float>(number(o, "repetitionPenalty", 1, 0, 100));
  if (out.repetition_penalty <= 0) out.repetition_penalty = 1;
  out.logprobs = boolean(o, "logprobs");
  out.top_logprobs = integer(o, "topLogprobs", 0, 0, 64);
  const Napi::Value bias = o.Get("logitBias");
  if (bias.IsArray()) {
    const auto list = bias.As<Napi::Array>();
    const std::uint32_t length = length_of(list, "logitBias");
    for (std::uint32_t i = 0; i < length; ++i) {
      const Napi::Value item = list.Get(i);
      if (!item.IsArray()) throw bad_argument("logitBias must be a list of pairs");
      const auto pair = item.As<Napi::Array>();
      const Napi::Value bias = pair.Get(1u);
      const double value = bias.IsNumber() ? bias.As<Napi::Number>().DoubleValue() : INFINITY;
      if (!(std::abs(value) <= 1000)) throw bad_argument("logitBias is out of range");
      out.logit_bias.emplace_back(token_id(pair.Get(0u), "logitBias"), static_cast<float>(value));
    }
  } else if (!bias.IsUndefined() && !bias.IsNull()) {
    throw bad_argument("logitBias must be a list of pairs");
  }
  return out;
}

/// Token ids, or runs if the prompt contains structured answers.
std::vector<StructureRun> prompt_of(const Napi::Value& value) {
  if (value.IsArray()) {
    const auto list = value.As<Napi::Array>();
    if (list.Length() > 0 && list.Get(0u).IsObject()) return structure(value);
  }
  return {{false, {token_ids(value, "prompt")}}};
}

/// [{lane, tokens, closed: reason}, …]
std::vector<LoggedLane> log_of(const Napi::Value& value) {
  if (!value.IsArray()) throw bad_argument("log must be a list");
  const auto list = value.As<Napi::Array>();
  const std::uint32_t length = length_of(list, "log");
  std::vector<LoggedLane> out;
  for (std::uint32_t i = 0; i < length; ++i) {
    const Napi::Value item = list.Get(i);
    if (!item.IsObject()) throw bad_argument("log must hold objects");
    const auto object = item.As<Napi::Object>();
    auto& lane = out.emplace_back();
    lane.lane = integer(object, "lane", -1, 0, 1 << 24);
    lane.tokens = token_ids(object.Get("tokens"), "log.tokens");
    const int reason = integer(object, "closed", 0, 0, 4);
    if (reason > 0) lane.closed = static_cast<CloseReason>(reason);
    lane.accepted = boolean(object, "accepted");
  }
  return out;
}

}  // namespace

RequestSpec request_spec(const Napi::Object& o) {
  RequestSpec spec;
  if (absent(o.Get("id"))) throw bad_argument("id is missing");
  spec.id = static_cast<std::uint32_t>(whole_number(o, "id", 0, 0, kMaxWord));
  spec.prompt = prompt_of(o.Get("prompt"));
  const Napi::Value sampling = o.Get("sampling");
  if (sampling.IsObject()) {
    spec.sampling = sampling_params(sampling.As<Napi::Object>());
  } else if (!absent(sampling)) {
    throw bad_argument("sampling must be an object");
  }
  spec.parallel = boolean(o, "parallel");
  spec.max_branches = integer(o, "maxBranches", 0, 0, 1 << 16);
  spec.max_tokens = integer(o, "maxTokens", 0, 0, 1 << 30);
  spec.choice_index = static_cast<std::uint32_t>(whole_number(o, "choice", 0, 0, kMaxWord));
  const Napi::Value stops = o.Get("stopTokens");
  if (!absent(stops)) spec.stop_tokens = token_ids(stops, "stopTokens");
  spec.ignore_eos = boolean(o, "ignoreEos");
  spec.grammar = words(o, "grammar");
  spec.deadline = std::chrono::milliseconds(integer(o, "deadlineMs", 0, 0, 1 << 30));
  spec.max_time_per_token = number(o, "maxTimePerTokenMs", 0, 0, kMaxTimePerTokenMs) / 1e3;
  spec.sequential = boolean(o, "sequential");
  spec.return_logits = boolean(o, "returnLogits");
  const Napi::Value seed = o.Get("seed");
  if (seed.IsBigInt()) {
    bool lossless = false;
    spec.seed = seed.As<Napi::BigInt>().Uint64Value(&lossless);
    if (!lossless) throw bad_argument("seed must be between 0 and 2^64 - 1");
  } else {
    spec.seed = static_cast<std::uint64_t>(whole_number(o, "seed", 0, 0, 9007199254740991.0));
  }
  const Napi::Value script = o.Get("script");
  if (!absent(script)) spec.script = structure(script);
  const Napi::Value titles = o.Get("scriptTitles");
  if (titles.IsObject()) {
    const auto asked = titles.As<Napi::Object>();
    spec.script_titles = {token_ids(asked.Get("open"), "scriptTitles.open"),
                          token_ids(asked.Get("close"), "scriptTitles.close")};
  } else if (!absent(titles)) {
    throw bad_argument("scriptTitles must be an object");
  }
  if (!absent(o.Get("resume"))) spec.resume = resume_rule(text(o, "resume"));
  spec.priority = integer(o, "priority", 0, -kMaxPriority, kMaxPriority);
  spec.cache_salt = bytes(o, "cacheSalt");
  const Napi::Value log = o.Get("log");
  if (!absent(log)) spec.log = log_of(log);
  return spec;
}

}  // namespace anabranch
