#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/matrix_view.hpp"
#include "knn/bound_steps.hpp"
#include "knn/row_source.hpp"

namespace ds2fast::knn {

/// A row that may be a neighbour, by its place in the order of work, and an upper bound of its
/// cosine. One number, so that many are quickly sorted by their bounds.
class Candidate {
 public:
  Candidate(std::int16_t upper, std::int32_t place)
      : key_(static_cast<std::int64_t>(upper) * kPlaces + place) {}

  std::int32_t place() const { return static_cast<std::int32_t>(key_ & (kPlaces - 1)); }
  double upper() const {
    const auto step = static_cast<std::int16_t>(key_ >> 32);
    // The last step stands for all bounds above it.
    return step == kLastStep ? std::numeric_limits<double>::infinity() : step_value(step);
  }
  bool operator>(const Candidate& other) const { return key_ > other.key_; }

 private:
  static constexpr std::int64_t kPlaces = std::int64_t{1} << 32;
  std::int64_t key_;
};

/// A neighbour and its cosine similarity in float64.
struct RankedNeighbour {
  double similarity;
  std::int32_t id;
  std::int32_t place;
};

/// The order of all results: more similar first, ties by the smaller id.
inline bool ranks_before(const RankedNeighbour& x, const RankedNeighbour& y) {
  return x.similarity > y.similarity || (x.similarity == y.similarity && x.id < y.id);
}

/// The similarity that decides: <x, y> / (|x| |y|) in float64 on the input rows, by simd::ExactDot.
class ExactRanking {
 public:
  /// What one worker ranks with.
  struct Desk {
    explicit Desk(std::size_t depth);
    std::vector<float> row;                        ///< room for one that must be widened
    std::vector<float> others[simd::kDotsAtOnce];  ///< the same
    std::vector<Candidate> candidates;
    std::vector<RankedNeighbour> nearest;
  };

  ExactRanking(const RowSource& rows, VectorView<const double> norms,
               VectorView<const std::int32_t> order)
      : rows_(rows), norms_(norms), order_(order) {}

  /// Row at a place of the order of work.
  std::int32_t row_at(std::size_t place) const { return order_[place]; }

  Desk make_desk() const { return Desk(rows_.depth()); }

  /// The k nearest of `desk.candidates` to the row at `place`, best first, into `desk.nearest`; all
  /// of them where they are fewer. Leaves out candidates that their bounds rule out.
  void rank(std::size_t place, std::size_t k, Desk& desk) const;

  /// All of `others` by their similarity to a row, best first, into `desk.nearest`.
  void rank_rows(std::int32_t row, const std::vector<std::int32_t>& others, Desk& desk) const;

 private:
  void compare(std::size_t row, const float* values, const std::int32_t* others, std::size_t count,
               Desk& desk, double* similarities) const;

  const RowSource& rows_;
  VectorView<const double> norms_;
  VectorView<const std::int32_t> order_;
};

}  // namespace ds2fast::knn
