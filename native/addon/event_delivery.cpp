#include "event_delivery.h"

#include <cstring>

#include "serving/events.h"

namespace anabranch {

EventDelivery::EventDelivery(Napi::Env env, Napi::Function on_events, Napi::Function on_fault)
    : events_(Napi::ThreadSafeFunction::New(env, on_events, "anabranch events", 0, 1)),
      fault_(Napi::ThreadSafeFunction::New(env, on_fault, "anabranch fault", 0, 1)) {
  live_->events = events_;
  events_.Unref(env);
  fault_.Unref(env);
}

void EventDelivery::release() {
  events_.Release();
  fault_.Release();
}

void EventDelivery::add_live(Napi::Env env, std::uint32_t id) { live_->add(env, id); }

void EventDelivery::LiveRequests::add(Napi::Env env, std::uint32_t id) {
  if (ids.empty()) events.Ref(env);
  ids.insert(id);
}

void EventDelivery::LiveRequests::remove_finished(Napi::Env env,
                                                  const std::vector<std::uint32_t>& words) {
  if (ids.empty()) return;
  for (size_t at = 0; at + 2 < words.size(); at += 3 + words[at + 2]) {
    if (words[at] == static_cast<std::uint32_t>(EventKind::kFinished)) ids.erase(words[at + 1]);
  }
  if (ids.empty()) events.Unref(env);
}

/// An exception in the callback is an uncaught exception, as in any event handler. Uses plain
/// Node-API: when a worker thread is being terminated every call fails, and must not throw.
void EventDelivery::call_back(napi_env env, napi_value callback, napi_value argument) {
  napi_value global = nullptr, error = nullptr;
  bool thrown = false;
  if (napi_get_global(env, &global) != napi_ok) return;
  if (napi_call_function(env, global, callback, 1, &argument, nullptr) == napi_ok) return;
  if (napi_is_exception_pending(env, &thrown) != napi_ok || !thrown) return;
  if (napi_get_and_clear_last_exception(env, &error) != napi_ok) return;
  napi_fatal_exception(env, error);
}

void EventDelivery::deliver(std::vector<std::uint32_t> words) {
  auto* delivery = new Delivery{std::move(words), live_};
  const auto call = [](Napi::Env env, Napi::Function callback, Delivery* delivery) {
    std::unique_ptr<Delivery> owned(delivery);
    delivery->live->remove_finished(env, delivery->words);
    const size_t bytes = delivery->words.size() * sizeof(std::uint32_t);
    void* data = nullptr;
    napi_value buffer = nullptr, array = nullptr;
    if (napi_create_arraybuffer(env, bytes, &data, &buffer) != napi_ok) return;
    std::memcpy(data, delivery->words.data(), bytes);
    if (napi_create_typedarray(env, napi_uint32_array, delivery->words.size(), buffer, 0, &array) !=
        napi_ok) {
      return;
    }
    call_back(env, callback, array);
  };
  if (events_.NonBlockingCall(delivery, call) != napi_ok) delete delivery;
}

void EventDelivery::report_fault(std::string message) {
  auto* data = new std::string(std::move(message));
  const auto call = [](Napi::Env env, Napi::Function callback, std::string* message) {
    std::unique_ptr<std::string> owned(message);
    napi_value text = nullptr;
    if (napi_create_string_utf8(env, message->data(), message->size(), &text) == napi_ok) {
      call_back(env, callback, text);
    }
  };
  if (fault_.NonBlockingCall(data, call) != napi_ok) delete data;
}

}  // namespace anabranch
