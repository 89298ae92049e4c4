#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings/register.hpp"
#include "simd/level.hpp"

namespace ds2fast::bindings {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

std::vector<std::string> available_level_names() {
  std::vector<std::string> names;
  for (const simd::Level level : simd::available_levels()) {
    names.emplace_back(simd::name(level));
  }
  return names;
}

}  // namespace

void register_build_info(pybind11::module_& module) {
  module.attr("__version__") = DS2FAST_VERSION;
  module.def("compiler", &compiler, "Compiler that built the kernels.");
  module.def(
      "simd_level", [] { return simd::name(simd::active_level()); },
      "Name of the SIMD level in use; DS2FAST_SIMD chooses another.");
  module.def("simd_levels", &available_level_names, "Names of the levels that run here.");
}

}  // namespace ds2fast::bindings
