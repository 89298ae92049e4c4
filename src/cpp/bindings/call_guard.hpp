#pragma once

#include <pybind11/pybind11.h>

#include "core/monitor.hpp"

namespace ds2fast::bindings {

namespace py = pybind11;

/// Takes the GIL, lets Python handle signals (Ctrl-C) and tells the progress callable (done,
/// total), or nothing where it is None. What either raises stops the kernel and reaches the caller.
class PythonMonitor final : public Monitor {
 public:
  explicit PythonMonitor(py::object progress) : progress_(std::move(progress)) {}
  void poll(std::size_t done, std::size_t total) override;

 private:
  py::object progress_;
};

/// Runs a kernel with the GIL released, once for the whole call: kernel(monitor).
template <typename Kernel>
void run_kernel(const py::object& progress, const Kernel& kernel) {
  PythonMonitor monitor(progress);
  const py::gil_scoped_release release;
  kernel(monitor);
}

}  // namespace ds2fast::bindings
