#include "team.hpp"

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

namespace ds2fast::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Holds every thread until all have come. Waiting threads turn: sleeping ones would start late.
class Barrier {
 public:
  explicit Barrier(std::size_t num_threads) : missing_(num_threads) {}

  void wait() {
    missing_.fetch_sub(1);
    while (missing_.load() != 0) {
      std::this_thread::yield();
    }
  }

 private:
  std::atomic<std::size_t> missing_;
};

double own_cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

Rate rate_for(double seconds, const std::function<void()>& work) {
  const double cpu_start = own_cpu_seconds();
  const Clock::time_point start = Clock::now();
  std::size_t runs = 0;
  std::chrono::duration<double> elapsed{};
  do {
    work();
    ++runs;
    elapsed = Clock::now() - start;
  } while (elapsed.count() < seconds);
  return {static_cast<double>(runs) / elapsed.count(),
          (own_cpu_seconds() - cpu_start) / elapsed.count()};
}

/// The sum of the threads' rates, and the mean of their shares.
Rate together(const std::vector<Rate>& rates) {
  Rate sum{0, 0};
  for (const Rate& rate : rates) {
    sum.per_second += rate.per_second;
    sum.cpu_share += rate.cpu_share / static_cast<double>(rates.size());
  }
  return sum;
}

}  // namespace

Rate rate_of_team(std::size_t num_threads, double seconds,
                  const std::function<void(std::size_t thread)>& work) {
  std::vector<Rate> rates(num_threads);
  Barrier barrier(num_threads);
  const auto measure = [&](std::size_t thread) {
    const auto own_work = [&] { work(thread); };
    rate_for(seconds / 10, own_work);
    barrier.wait();
    rates[thread] = rate_for(seconds, own_work);
  };
  std::vector<std::thread> others;
  for (std::size_t thread = 1; thread < num_threads; ++thread) {
    others.emplace_back(measure, thread);
  }
  measure(0);
  for (std::thread& other : others) {
    other.join();
  }
  return together(rates);
}

}  // namespace ds2fast::bench
