#include "bindings/call_guard.hpp"

namespace ds2fast::bindings {

void PythonMonitor::poll(std::size_t done, std::size_t total) {
  const py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) {
    throw py::error_already_set();
  }
  if (!progress_.is_none()) {
    progress_(done, total);
  }
}

}  // namespace ds2fast::bindings
