#include "core/sampling_keys.hpp"

namespace ds2fast {
namespace {

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ULL;

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31U);
}

}  // namespace

SamplingKeys::SamplingKeys(std::uint64_t seed, std::size_t round)
    : stream_(mix(seed + kGolden * (round + 1))) {}

std::uint64_t SamplingKeys::operator()(std::size_t row) const {
  return mix(stream_ + kGolden * (row + 1));
}

}  // namespace ds2fast
