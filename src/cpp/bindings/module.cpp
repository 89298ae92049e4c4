#include <pybind11/pybind11.h>

#include "bindings/register.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "Kernels of ds2fast; call them through the stages, which check their arguments.";
  ds2fast::bindings::register_approximate(module);
  ds2fast::bindings::register_beliefs(module);
  ds2fast::bindings::register_build_info(module);
  ds2fast::bindings::register_curation(module);
  ds2fast::bindings::register_encoder(module);
  ds2fast::bindings::register_knn(module);
  ds2fast::bindings::register_panel(module);
  ds2fast::bindings::register_selection(module);
  ds2fast::bindings::register_sharing(module);
  ds2fast::bindings::register_static(module);
  ds2fast::bindings::register_transition(module);
  ds2fast::bindings::register_words(module);
}
