#pragma once

#include <cstddef>

namespace ds2fast {

/// Hears how far a kernel is, and may stop it by throwing. Only the thread that called the kernel
/// polls it.
class Monitor {
 public:
  Monitor() = default;
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  virtual ~Monitor() = default;

  /// `done` of `total` units of the kernel's work are finished.
  virtual void poll(std::size_t done, std::size_t total) = 0;
};

/// For callers that neither watch nor stop.
class SilentMonitor final : public Monitor {
 public:
  void poll(std::size_t /*done*/, std::size_t /*total*/) override {}
};

/// One phase of a kernel that has several: its tasks count from `first`, each as one unit of
/// `total`; a phase that is a small share of the work stands still at `first` (it is polled, so
/// that it can be stopped).
class PhaseMonitor final : public Monitor {
 public:
  enum class Counts { kTasks, kNothing };

  PhaseMonitor(Monitor& inner, std::size_t first, std::size_t total, Counts counts)
      : inner_(inner), first_(first), total_(total), counts_(counts) {}

  void poll(std::size_t done, std::size_t /*total*/) override {
    inner_.poll(first_ + (counts_ == Counts::kTasks ? done : 0), total_);
  }

 private:
  Monitor& inner_;
  std::size_t first_;
  std::size_t total_;
  Counts counts_;
};

}  // namespace ds2fast
