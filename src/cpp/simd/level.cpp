#include "simd/level.hpp"

#include <cstdlib>
#include <stdexcept>

#if defined(DS2FAST_X86_UNITS)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace ds2fast::simd {
namespace {

#if defined(DS2FAST_X86_UNITS)
// Asked by CPUID: not every compiler that has these instructions has a name for the question.
bool has_f16c() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1U << 29)) != 0;
}

/// A bit of EAX of leaf 7, subleaf 1.
bool has_leaf_7_1(unsigned bit) {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1U << bit)) != 0;
}

[[maybe_unused]] bool has_avx_vnni() {
  return has_leaf_7_1(4);
}
#endif

#if defined(__aarch64__) && defined(__linux__)
[[maybe_unused]] bool has_neon_dot() {
  constexpr unsigned long kAsimdDp = 1UL << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kAsimdDp) != 0;
}

[[maybe_unused]] bool has_neon_i8mm() {
  constexpr unsigned long kI8mm = 1UL << 13;  // HWCAP2_I8MM
  return (getauxval(AT_HWCAP2) & kI8mm) != 0;
}
#elif defined(__aarch64__) && defined(__APPLE__)
[[maybe_unused]] bool has_feature(const char* feature) {
  int has = 0;
  std::size_t size = sizeof has;
  return sysctlbyname(feature, &has, &size, nullptr, 0) == 0 && has != 0;
}

[[maybe_unused]] bool has_neon_dot() {
  return has_feature("hw.optional.arm.FEAT_DotProd");
}

[[maybe_unused]] bool has_neon_i8mm() {
  return has_feature("hw.optional.arm.FEAT_I8MM");
}
#else
[[maybe_unused]] bool has_neon_dot() {
  return false;
}

[[maybe_unused]] bool has_neon_i8mm() {
  return false;
}
#endif

}  // namespace

bool has_avx512_bf16() {
#if defined(DS2FAST_X86_UNITS)
  return has_leaf_7_1(5);
#else
  return false;
#endif
}

const char* name(Level level) {
  switch (level) {
    case Level::kAvx2:
      return "avx2";
    case Level::kAvx512:
      return "avx512";
    case Level::kAvxVnni:
      return "avxvnni";
    case Level::kAvx512Vnni:
      return "avx512vnni";
    case Level::kNeonDot:
      return "neondot";
    case Level::kNeonI8mm:
      return "neoni8mm";
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
  const bool has_avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has_avx2) {
    levels.push_back(Level::kAvx2);
  }
  if (has_avx512) {
    levels.push_back(Level::kAvx512);
  }
#ifdef DS2FAST_AVX_VNNI_UNIT
  if (has_avx2 && has_avx_vnni()) {
    levels.push_back(Level::kAvxVnni);
  }
#endif
  if (has_avx512 && __builtin_cpu_supports("avx512vnni")) {
    levels.push_back(Level::kAvx512Vnni);
  }
#endif
#ifdef DS2FAST_NEON_DOT_UNIT
  if (has_neon_dot()) {
    levels.push_back(Level::kNeonDot);
  }
#endif
#ifdef DS2FAST_NEON_I8MM_UNIT
  if (has_neon_i8mm()) {
    levels.push_back(Level::kNeonI8mm);
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
