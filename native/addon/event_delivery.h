// Calls from the engine thread into JavaScript.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

namespace anabranch {

/// Delivers events and faults. While a request is live, its callbacks keep the process alive; an
/// idle engine does not.
class EventDelivery {
 public:
  EventDelivery(Napi::Env env, Napi::Function on_events, Napi::Function on_fault);

  // On the engine thread.
  void deliver(std::vector<std::uint32_t> words);
  void report_fault(std::string message);

  // On JavaScript's thread.
  bool is_live(std::uint32_t id) const { return live_->ids.contains(id); }
  void add_live(Napi::Env env, std::uint32_t id);
  /// After the engine thread has ended.
  void release();

 private:
  /// Requests whose end JavaScript has not seen. Used on JavaScript's thread only. Shared with the
  /// calls in flight, which may outlive the engine object.
  struct LiveRequests {
    std::unordered_set<std::uint32_t> ids;
    Napi::ThreadSafeFunction events;

    void add(Napi::Env env, std::uint32_t id);
    void remove_finished(Napi::Env env, const std::vector<std::uint32_t>& words);
  };
  struct Delivery {
    std::vector<std::uint32_t> words;
    std::shared_ptr<LiveRequests> live;
  };

  static void call_back(napi_env env, napi_value callback, napi_value argument);

  Napi::ThreadSafeFunction events_;
  Napi::ThreadSafeFunction fault_;
  std::shared_ptr<LiveRequests> live_ = std::make_shared<LiveRequests>();
};

}  // namespace anabranch
