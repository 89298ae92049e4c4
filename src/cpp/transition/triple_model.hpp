#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "transition/latent_classes.hpp"

namespace ds2fast::transition {

/// The third-order moments c3[a, b, c] = sum_i p_i T_ia T_ib T_ic that T and p imply, and their
/// derivative.
///
/// They do not change when the three views are exchanged, so only the cells a <= b <= c are kept:
/// K (K + 1) (K + 2) / 6 of them instead of K^3, in the order of the loops a, b, c.
/// Accumulator: float64, hidden levels in ascending order; every term is >= 0, so the relative
/// error of a cell is at most (K + 3) * 2^-53.
class TripleModel {
 public:
  explicit TripleModel(std::size_t num_levels);

  std::size_t num_levels() const { return num_levels_; }
  std::size_t num_cells() const { return num_cells_; }

  /// Calls visit(cell, place) for every place of a row-major (K, K, K) table that a cell stands
  /// for: 1, 3 or 6 of them, the orderings of its levels.
  template <typename Visit>
  void for_each_ordering(Visit visit) const;

  /// cells[m] = c3 of one ordering of cell m.
  void evaluate(const LatentClasses& classes, std::vector<double>& cells);

  /// Adds the derivative of sum_m weights[m] * c3[m] with respect to T and p to `gradient`.
  void pull_back(const LatentClasses& classes, const std::vector<double>& weights,
                 LatentClasses& gradient);

 private:
  void transpose(const std::vector<double>& transition);
  void pull_back_pair(const LatentClasses& classes, std::size_t a, std::size_t b,
                      const double* weights, LatentClasses& gradient);

  std::size_t num_levels_;
  std::size_t num_cells_;
  std::vector<double> by_level_;           ///< T transposed: the inner loops run over hidden levels
  std::vector<double> gradient_by_level_;  ///< of T, transposed
  std::vector<double> pair_;               ///< p_i T_ia T_ib
  std::vector<double> third_;              ///< sum_c weights[a, b, c] T_ic
};

template <typename Visit>
void TripleModel::for_each_ordering(Visit visit) const {
  const std::size_t k = num_levels_;
  std::size_t cell = 0;
  for (std::size_t a = 0; a < k; ++a) {
    for (std::size_t b = a; b < k; ++b) {
      for (std::size_t c = b; c < k; ++c, ++cell) {
        std::array<std::size_t, 3> order = {a, b, c};
        do {  // comes to equal orderings once
          visit(cell, (order[0] * k + order[1]) * k + order[2]);
        } while (std::next_permutation(order.begin(), order.end()));
      }
    }
  }
}

}  // namespace ds2fast::transition
