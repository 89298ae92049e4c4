#include "knn/reservoirs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "core/round_up.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::knn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// As many candidates a row as 32 k + 64 bytes leave room for beside all else that a search holds
/// for a row (36 bytes, and codes that fill up the last group); where the results take more than
/// the codes that they follow, they count too.
std::size_t choose_capacity(std::size_t k, std::size_t depth, std::size_t code_depth,
                            std::size_t num_rows) {
  const std::size_t results = 8 * k;
  const std::size_t room = 32 * k + 28 + depth - std::max(code_depth, results);
  const auto needed = [](std::size_t capacity) {
    return capacity * (sizeof(std::int32_t) + sizeof(std::int16_t)) +
           round_up_to(capacity, simd::kStepsAtOnce) * sizeof(std::int16_t);
  };
  std::size_t capacity = 4 * k + 2;
  while (needed(capacity) > room) {
    --capacity;
  }
  return std::min(capacity, num_rows);
}

}  // namespace

Reservoirs::Reservoirs(std::size_t num_rows, std::size_t k, std::size_t depth,
                       std::size_t code_depth, const ExactRanking& ranking,
                       const simd::KernelTable& kernels)
    : k_(k),
      capacity_(choose_capacity(k, depth, code_depth, num_rows)),
      pushes_to_tighten_(std::max<std::size_t>(16, k)),
      lowers_stride_(round_up_to(capacity_, simd::kStepsAtOnce)),
      ranking_(ranking),
      kernels_(kernels),
      places_(new std::int32_t[num_rows * capacity_]),
      uppers_(new std::int16_t[num_rows * capacity_]),
      lowers_(num_rows * lowers_stride_, kLeastStep),
      sizes_(num_rows),
      thresholds_(round_up_to(num_rows, simd::kPanelRows), kInfinity) {
  std::fill_n(thresholds_.begin(), num_rows, -kInfinity);
}

void Reservoirs::make_room(std::size_t row, ExactRanking::Desk& desk) {
  tighten(row);
  // Ties, exact or nearly so: only the exact similarities tell which ones stay.
  if (sizes_[row] + capacity_ / 8 >= capacity_ && sizes_[row] > k_) {
    settle(row, desk);
  }
}

void Reservoirs::tighten(std::size_t row) {
  const std::size_t size = sizes_[row];
  if (size < k_) {
    return;
  }
  std::int32_t* places = places_.get() + row * capacity_;
  std::int16_t* uppers = uppers_.get() + row * capacity_;
  std::int16_t* lowers = lowers_.data() + row * lowers_stride_;
  const std::int16_t kth = kernels_.kth_largest(lowers, round_up_to(size, simd::kStepsAtOnce), k_);
  if (kth == kLeastStep) {
    return;
  }
  const float threshold = std::max(thresholds_[row], step_value(kth));
  thresholds_[row] = threshold;
  const std::int16_t least = step_above(threshold);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < size; ++i) {
    places[kept] = places[i];
    uppers[kept] = uppers[i];
    lowers[kept] = lowers[i];
    kept += static_cast<std::size_t>(uppers[i] >= least);
  }
  std::fill(lowers + kept, lowers + size, kLeastStep);
  sizes_[row] = static_cast<std::uint32_t>(kept);
}

void Reservoirs::settle(std::size_t row, ExactRanking::Desk& desk) {
  rank(row, desk);
  const auto exact_kth = static_cast<float>(desk.nearest.back().similarity);
  thresholds_[row] = std::max(thresholds_[row], std::nextafter(exact_kth, -kInfinity));
  std::int16_t* lowers = lowers_.data() + row * lowers_stride_;
  for (std::size_t i = 0; i < k_; ++i) {
    const auto exact = static_cast<float>(desk.nearest[i].similarity);
    places_[row * capacity_ + i] = desk.nearest[i].place;
    uppers_[row * capacity_ + i] = step_above(std::nextafter(exact, kInfinity));
    lowers[i] = step_below(std::nextafter(exact, -kInfinity));
  }
  std::fill(lowers + k_, lowers + sizes_[row], kLeastStep);
  sizes_[row] = static_cast<std::uint32_t>(k_);
}

void Reservoirs::finish(std::size_t row, std::size_t expected, ExactRanking::Desk& desk) {
  tighten(row);
  rank(row, desk);
  if (desk.nearest.size() < expected) {  // the bound is wrong, or the rows were changed meanwhile
    throw std::logic_error("k-NN search: a row is left with fewer candidates than it must have");
  }
}

void Reservoirs::rank(std::size_t row, ExactRanking::Desk& desk) const {
  desk.candidates.clear();
  for (std::size_t i = row * capacity_; i < row * capacity_ + sizes_[row]; ++i) {
    desk.candidates.emplace_back(uppers_[i], places_[i]);
  }
  ranking_.rank(row, k_, desk);
}

}  // namespace ds2fast::knn
