#pragma once

#include <cstddef>
#include <cstdint>

namespace ds2fast {

/// Pseudo-random keys of one round, one a row: splitmix64 started at a mix of seed and round.
class SamplingKeys {
 public:
  SamplingKeys(std::uint64_t seed, std::size_t round);
  std::uint64_t operator()(std::size_t row) const;

 private:
  std::uint64_t stream_;
};

}  // namespace ds2fast
