#include "transition/assignment.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace ds2fast::transition {
namespace {

/// Assigns one row after the other along the cheapest alternating path. Row and column prices keep
/// every reduced cost weights-to-be-lost >= 0, and == 0 on assigned pairs. Column 0 is a stand-in
/// for the row that is being placed, so real columns count from 1 here.
class Hungarian {
 public:
  Hungarian(const std::vector<double>& weights, std::size_t size)
      : weights_(weights),
        size_(size),
        row_price_(size),
        column_price_(size + 1),
        row_of_(size + 1, size) {}

  std::vector<std::size_t> solve() {
    for (std::size_t row = 0; row < size_; ++row) {
      place(row);
    }
    return {row_of_.begin() + 1, row_of_.end()};
  }

 private:
  void place(std::size_t row) {
    row_of_[0] = row;
    slack_.assign(size_ + 1, std::numeric_limits<double>::infinity());
    previous_.assign(size_ + 1, 0);
    reached_.assign(size_ + 1, false);
    std::size_t column = 0;
    while (row_of_[column] != size_) {  // `size_` marks a free column
      reached_[column] = true;
      relax_from(column);
      column = nearest_unreached();
      move_prices(slack_[column]);
    }
    while (column != 0) {
      row_of_[column] = row_of_[previous_[column]];
      column = previous_[column];
    }
  }

  void relax_from(std::size_t column) {
    const std::size_t row = row_of_[column];
    for (std::size_t next = 1; next <= size_; ++next) {
      const double reduced =
          -weights_[row * size_ + next - 1] - row_price_[row] - column_price_[next];
      if (!reached_[next] && reduced < slack_[next]) {
        slack_[next] = reduced;
        previous_[next] = column;
      }
    }
  }

  std::size_t nearest_unreached() const {
    std::size_t nearest = 0;
    for (std::size_t column = 1; column <= size_; ++column) {
      if (!reached_[column] && (nearest == 0 || slack_[column] < slack_[nearest])) {
        nearest = column;
      }
    }
    return nearest;
  }

  void move_prices(double step) {
    for (std::size_t column = 0; column <= size_; ++column) {
      if (reached_[column]) {
        row_price_[row_of_[column]] += step;
        column_price_[column] -= step;
      } else {
        slack_[column] -= step;
      }
    }
  }

  const std::vector<double>& weights_;
  std::size_t size_;
  std::vector<double> row_price_;
  std::vector<double> column_price_;
  std::vector<std::size_t> row_of_;
  std::vector<double> slack_;
  std::vector<std::size_t> previous_;
  std::vector<bool> reached_;
};

}  // namespace

std::vector<std::size_t> assign_rows_to_columns(const std::vector<double>& weights,
                                                std::size_t size) {
  return Hungarian(weights, size).solve();
}

void order_hidden_levels(LatentClasses& classes) {
  const std::size_t k = classes.num_levels;
  std::vector<double> joint(classes.transition);  // P(true level i, given score a)
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t a = 0; a < k; ++a) {
      joint[i * k + a] *= classes.prior[i];
    }
  }
  const std::vector<std::size_t> chosen = assign_rows_to_columns(joint, k);
  LatentClasses ordered(k);
  for (std::size_t level = 0; level < k; ++level) {
    const double* row = &classes.transition[chosen[level] * k];
    std::copy(row, row + k, &ordered.transition[level * k]);
    ordered.prior[level] = classes.prior[chosen[level]];
  }
  classes = std::move(ordered);
}

}  // namespace ds2fast::transition
