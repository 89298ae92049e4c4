#include "simd/level.hpp"

#include <cstdlib>
#include <stdexcept>

namespace ds2fast::simd {

const char* name(Level level) {
  switch (level) {
    case Level::kAvx512Vnni:
      return "avx512vnni";
    case Level::kAvx512:
      return "avx512";
    case Level::kAvx2:
      return "avx2";
    case Level::kBaseline:
      break;
  }
  return "baseline";
}

std::vector<Level> available_levels() {
  std::vector<Level> levels{Level::kBaseline};
#ifdef DS2FAST_X86_UNITS
  // These ask the operating system as well (XGETBV): a processor's wide registers are of no use
  // where they are not saved.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    levels.push_back(Level::kAvx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      levels.push_back(Level::kAvx512);
      if (__builtin_cpu_supports("avx512vnni")) {
        levels.push_back(Level::kAvx512Vnni);
      }
    }
  }
#endif
  return levels;
}

Level active_level() {
  const std::vector<Level> levels = available_levels();
  const char* wanted = std::getenv("DS2FAST_SIMD");
  if (wanted == nullptr || *wanted == '\0') {
    return levels.back();
  }
  std::string known;
  for (const Level level : levels) {
    if (wanted == std::string(name(level))) {
      return level;
    }
    known += (known.empty() ? "" : ", ") + std::string(name(level));
  }
  throw UnknownLevel("DS2FAST_SIMD: expected one of the levels that run here (" + known +
                     "), got '" + wanted + "'");
}

}  // namespace ds2fast::simd
