#include <pybind11/stl.h>

#include <exception>
#include <string>
#include <utility>
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

void translate_unknown_level(std::exception_ptr error) {
  try {
    std::rethrow_exception(std::move(error));
  } catch (const simd::UnknownLevel& unknown) {
    const auto errors = pybind11::module_::import("ds2fast.errors");
    pybind11::set_error(errors.attr("InputError"), unknown.what());
  }
}

}  // namespace

void register_build_info(pybind11::module_& module) {
  pybind11::register_local_exception_translator(&translate_unknown_level);
  module.attr("__version__") = DS2FAST_VERSION;
  module.def("compiler", &compiler, "Compiler that built the kernels.");
  module.def(
      "simd_level", [] { return simd::name(simd::active_level()); },
      "Name of the SIMD level in use; DS2FAST_SIMD chooses another.");
  module.def("simd_levels", &available_level_names, "Names of the levels that run here.");
}

}  // namespace ds2fast::bindings
