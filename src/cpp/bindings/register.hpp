#pragma once

#include <pybind11/pybind11.h>

namespace ds2fast::bindings {

// One function an area, each in its bind_<area>.cpp.
void register_approximate(pybind11::module_& module);
void register_beliefs(pybind11::module_& module);
void register_build_info(pybind11::module_& module);
void register_curation(pybind11::module_& module);
void register_encoder(pybind11::module_& module);
void register_knn(pybind11::module_& module);
void register_panel(pybind11::module_& module);
void register_selection(pybind11::module_& module);
void register_sharing(pybind11::module_& module);
void register_static(pybind11::module_& module);
void register_transition(pybind11::module_& module);
void register_words(pybind11::module_& module);

}  // namespace ds2fast::bindings
