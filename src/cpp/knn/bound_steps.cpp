#include "knn/bound_steps.hpp"

#include <cstring>

namespace ds2fast::knn {
namespace {

using Shorts = std::int16_t __attribute__((vector_size(2 * kStepsAtOnce)));

/// The sum of lanes that are less than 2^13 each.
std::size_t sum(Shorts lanes) {
  std::uint64_t halves[2];
  std::memcpy(halves, &lanes, sizeof halves);
  // Four sums of 16 bits side by side, added up in the uppermost.
  return static_cast<std::size_t>((halves[0] + halves[1]) * 0x0001000100010001U >> 48);
}

/// How many of `count` values, a multiple of kStepsAtOnce, are at least `least`.
std::size_t count_reaching(const std::int16_t* values, std::size_t count, std::int16_t least) {
  constexpr std::size_t kBlock = std::size_t{1} << 15;  // a lane counts 2^12 of them, a sum 2^15
  std::size_t total = 0;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    Shorts reached{};
    const std::size_t end = std::min(begin + kBlock, count);
    for (std::size_t i = begin; i < end; i += kStepsAtOnce) {
      Shorts some;
      std::memcpy(&some, values + i, sizeof some);
      reached -= some >= least - Shorts{};  // true is -1
    }
    total += sum(reached);
  }
  return total;
}

/// The least of the values that are at least `least`; one is.
std::int16_t smallest_reaching(const std::int16_t* values, std::size_t count, std::int16_t least) {
  Shorts smallest = kLastStep - Shorts{};
  for (std::size_t i = 0; i < count; i += kStepsAtOnce) {
    Shorts some;
    std::memcpy(&some, values + i, sizeof some);
    const Shorts above = some >= least - Shorts{} ? some : smallest;
    smallest = above < smallest ? above : smallest;
  }
  std::int16_t lanes[kStepsAtOnce];
  std::memcpy(lanes, &smallest, sizeof lanes);
  return *std::min_element(lanes, lanes + kStepsAtOnce);
}

}  // namespace

std::int16_t kth_largest(const std::int16_t* values, std::size_t count, std::size_t k) {
  std::int32_t found = kLeastStep;
  for (std::int32_t step = 1 << 15; step > 0; step /= 2) {
    const auto tried = static_cast<std::int16_t>(found + step);
    const std::size_t reaching = count_reaching(values, count, tried);
    if (reaching == k) {
      return smallest_reaching(values, count, tried);
    }
    found = reaching > k ? tried : found;
  }
  return static_cast<std::int16_t>(found);
}

}  // namespace ds2fast::knn
