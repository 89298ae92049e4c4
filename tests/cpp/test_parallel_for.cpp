#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/parallel_for.hpp"

namespace {

using ds2fast::Monitor;
using ds2fast::parallel_chunks;
using ds2fast::parallel_for;
using ds2fast::SilentMonitor;

class Recorder final : public Monitor {
 public:
  void poll(std::size_t done, std::size_t total) override {
    last_done = done;
    last_total = total;
    ++polls;
  }
  std::size_t last_done = 0;
  std::size_t last_total = 0;
  int polls = 0;
};

class Canceller final : public Monitor {
 public:
  void poll(std::size_t, std::size_t) override { throw std::runtime_error("cancelled"); }
};

TEST(every_task_runs_once_for_any_number_of_threads) {
  for (const std::size_t threads : {1U, 2U, 7U, 40U}) {
    std::vector<std::atomic<int>> runs(1000);
    SilentMonitor monitor;
    parallel_for(runs.size(), threads, monitor, [&](std::size_t task, std::size_t worker) {
      CHECK(worker < threads);
      ++runs[task];
    });
    bool once = true;
    for (const auto& count : runs) {
      once = once && count == 1;
    }
    CHECK(once);
  }
}

TEST(no_task_runs_nothing_and_reports_the_end) {
  Recorder monitor;
  parallel_for(0, 4, monitor, [](std::size_t, std::size_t) { CHECK(false); });
  CHECK(monitor.polls == 1 && monitor.last_done == 0 && monitor.last_total == 0);
}

TEST(chunks_cover_the_range_and_progress_counts_items) {
  std::vector<std::atomic<int>> seen(1003);
  Recorder monitor;
  parallel_chunks(seen.size(), 100, 3, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    for (std::size_t i = begin; i < end; ++i) {
                      ++seen[i];
                    }
                  });
  bool once = true;
  for (const auto& count : seen) {
    once = once && count == 1;
  }
  CHECK(once);
  CHECK(monitor.last_done == 1003 && monitor.last_total == 1003);
}

TEST(the_exception_of_a_task_reaches_the_caller_and_ends_the_rest) {
  for (const std::size_t threads : {1U, 2U, 7U}) {
    std::atomic<int> runs{0};
    SilentMonitor monitor;
    CHECK_THROWS(parallel_for(100000, threads, monitor,
                              [&](std::size_t task, std::size_t) {
                                ++runs;
                                if (task == 10) {
                                  throw std::domain_error("task 10");
                                }
                                std::this_thread::sleep_for(std::chrono::microseconds(20));
                              }),
                 std::domain_error);
    CHECK(runs < 100000);
  }
}

TEST(a_monitor_that_throws_stops_the_work) {
  for (const std::size_t threads : {1U, 3U}) {
    std::atomic<int> runs{0};
    Canceller monitor;
    CHECK_THROWS(parallel_for(100000, threads, monitor,
                              [&](std::size_t, std::size_t) {
                                ++runs;
                                std::this_thread::sleep_for(std::chrono::milliseconds(1));
                              }),
                 std::runtime_error);
    CHECK(runs < 100000);
  }
}

TEST(a_monitor_is_polled_while_other_threads_finish) {
  // Each thread holds one of the two tasks; the helper's lasts 300 ms longer than the caller's.
  Recorder monitor;
  std::atomic<int> started{0};
  parallel_for(2, 2, monitor, [&](std::size_t, std::size_t worker) {
    ++started;
    while (started < 2) {
      std::this_thread::yield();
    }
    if (worker != 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
    }
  });
  CHECK(monitor.polls >= 2);
}

}  // namespace
