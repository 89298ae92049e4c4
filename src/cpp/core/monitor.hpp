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

/// One phase of a kernel that has several: of the kernel's `total` units it is those from `first`
/// to `first + share`, whatever it counts itself. A phase that is a small part of the work has a
/// share of 0: it is polled, so that it can be stopped, and the count stands still.
class PhaseMonitor final : public Monitor {
 public:
  PhaseMonitor(Monitor& inner, std::size_t first, std::size_t share, std::size_t total)
      : inner_(inner), first_(first), share_(share), total_(total) {}

  void poll(std::size_t done, std::size_t of) override {
    inner_.poll(first_ + (of == 0 ? 0 : share_ * done / of), total_);
  }

 private:
  Monitor& inner_;
  std::size_t first_;
  std::size_t share_;
  std::size_t total_;
};

}  // namespace ds2fast
