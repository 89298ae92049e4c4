#include "core/parallel_for.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ds2fast {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(50);

/// One call of parallel_for: the counter that hands out tasks, and how the workers ended.
class Crew {
 public:
  Crew(std::size_t num_tasks, const std::function<void(std::size_t, std::size_t)>& body)
      : num_tasks_(num_tasks), body_(body) {}

  /// Takes tasks until none is left or the crew is stopped; after each one, calls `after_task`.
  template <typename AfterTask>
  void work(std::size_t worker, AfterTask after_task) {
    try {
      while (!stopped()) {
        const std::size_t task = next_.fetch_add(1, std::memory_order_relaxed);
        if (task >= num_tasks_) {
          break;
        }
        body_(task, worker);
        done_.fetch_add(1, std::memory_order_relaxed);
        after_task();
      }
    } catch (...) {  // whatever it is, the calling thread rethrows it
      fail(std::current_exception());
    }
  }

  void fail(const std::exception_ptr& error) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!error_) {
      error_ = error;
    }
    stopped_.store(true, std::memory_order_relaxed);
  }

  void sign_off() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++signed_off_;
    all_signed_off_.notify_one();
  }

  /// True once `count` workers have signed off; false if that did not happen within one poll
  /// interval.
  bool wait_for_sign_off(std::size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    return all_signed_off_.wait_for(lock, kPollInterval, [&] { return signed_off_ == count; });
  }

  void rethrow() const {
    if (error_) {
      std::rethrow_exception(error_);
    }
  }

  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  std::size_t done() const { return done_.load(std::memory_order_relaxed); }

 private:
  const std::size_t num_tasks_;
  const std::function<void(std::size_t, std::size_t)>& body_;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::size_t> done_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::condition_variable all_signed_off_;
  std::size_t signed_off_ = 0;
  std::exception_ptr error_;
};

}  // namespace

void parallel_for(std::size_t num_tasks, std::size_t num_threads, Monitor& monitor,
                  const std::function<void(std::size_t, std::size_t)>& body) {
  Crew crew(num_tasks, body);
  const std::size_t wanted = std::min(num_threads, num_tasks);
  const std::size_t num_helpers = wanted > 1 ? wanted - 1 : 0;
  std::vector<std::thread> helpers;
  helpers.reserve(num_helpers);
  try {
    for (std::size_t worker = 1; worker <= num_helpers; ++worker) {
      helpers.emplace_back([&crew, worker] {
        crew.work(worker, [] {});
        crew.sign_off();
      });
    }
  } catch (...) {  // the system gives no further thread: end those that run, then report
    crew.fail(std::current_exception());
  }
  auto last_poll = std::chrono::steady_clock::now();
  crew.work(0, [&] {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_poll >= kPollInterval) {
      last_poll = now;
      monitor.poll(crew.done(), num_tasks);
    }
  });
  while (!crew.wait_for_sign_off(helpers.size())) {
    if (crew.stopped()) {
      continue;  // a monitor that threw is not asked again
    }
    try {
      monitor.poll(crew.done(), num_tasks);
    } catch (...) {  // the monitor's: rethrown below, once all threads have ended
      crew.fail(std::current_exception());
    }
  }
  for (std::thread& helper : helpers) {
    helper.join();
  }
  crew.rethrow();
  monitor.poll(num_tasks, num_tasks);
}

namespace {

/// Turns counts of chunks into counts of items.
class ItemMonitor final : public Monitor {
 public:
  ItemMonitor(Monitor& inner, std::size_t count, std::size_t chunk)
      : inner_(inner), count_(count), chunk_(chunk) {}
  void poll(std::size_t done, std::size_t /*total*/) override {
    inner_.poll(std::min(done * chunk_, count_), count_);
  }

 private:
  Monitor& inner_;
  std::size_t count_;
  std::size_t chunk_;
};

}  // namespace

void parallel_chunks(std::size_t count, std::size_t chunk, std::size_t num_threads,
                     Monitor& monitor,
                     const std::function<void(std::size_t, std::size_t, std::size_t)>& body) {
  ItemMonitor items(monitor, count, chunk);
  parallel_for((count + chunk - 1) / chunk, num_threads, items,
               [&](std::size_t task, std::size_t worker) {
                 const std::size_t begin = task * chunk;
                 body(begin, std::min(begin + chunk, count), worker);
               });
}

}  // namespace ds2fast
