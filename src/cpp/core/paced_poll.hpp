#pragma once

#include <chrono>
#include <cstddef>

#include "core/monitor.hpp"

namespace ds2fast {

/// Polls a monitor at most every 50 ms, for steps of work that may take a microsecond only.
class PacedPoll {
 public:
  explicit PacedPoll(Monitor& monitor) : monitor_(monitor) {}

  void operator()(std::size_t done, std::size_t total) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ >= kInterval) {
      last_ = now;
      monitor_.poll(done, total);
    }
  }

  /// The work is over after `done` units.
  void finish(std::size_t done) { monitor_.poll(done, done); }

 private:
  static constexpr std::chrono::milliseconds kInterval{50};
  Monitor& monitor_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace ds2fast
