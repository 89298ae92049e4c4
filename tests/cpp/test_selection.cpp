#include <cmath>
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "selection/dual_sort.hpp"
#include "selection/long_tail.hpp"

namespace {

namespace selection = ds2fast::selection;

TEST(dual_sort_orders_by_score_then_rarity_then_index) {
  const std::vector<double> scores{3, 5, 5, -1, 5, NAN, 0};
  const std::vector<double> rarity{0.9, 0.1, 0.2, 0.9, 0.2, 0.9, 0.5};
  ds2fast::SilentMonitor monitor;
  const auto rows = [&](std::size_t count) {
    return selection::dual_sort({scores.data(), scores.size()}, {rarity.data(), rarity.size()},
                                count, monitor);
  };
  CHECK((rows(5) == std::vector<std::int64_t>{2, 4, 1, 0, 6}));
  CHECK((rows(2) == std::vector<std::int64_t>{2, 4}));
  CHECK((rows(99) == std::vector<std::int64_t>{2, 4, 1, 0, 6}));
  CHECK(rows(0).empty());
}

TEST(long_tail_is_the_formula_for_any_number_of_threads) {
  const std::size_t n = 20000;
  std::vector<float> similarities(n * 2);
  for (std::size_t i = 0; i < similarities.size(); ++i) {
    similarities[i] = 1.0F - static_cast<float>(i % 1999) / 1000.0F;
  }
  for (const std::size_t threads : {1U, 2U, 7U}) {
    std::vector<float> scores(n);
    ds2fast::SilentMonitor monitor;
    selection::long_tail_scores({similarities.data(), n, 2}, 2, threads, monitor,
                                {scores.data(), n});
    bool right = true;
    for (std::size_t row = 0; row < n; ++row) {
      const double distance =
          0.5 * ((1.0 - similarities[2 * row]) + (1.0 - similarities[2 * row + 1]));
      const double expected = 2.0 / (1.0 + std::exp(-distance)) - 1.0;
      right = right && std::abs(scores[row] - expected) <= 1e-7;
    }
    CHECK(right);
  }
}

}  // namespace
