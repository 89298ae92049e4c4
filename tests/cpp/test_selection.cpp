#include <cmath>
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "knn/row_norms.hpp"
#include "selection/dual_sort.hpp"
#include "selection/long_tail.hpp"
#include "selection/near_selected.hpp"
#include "selection/walk.hpp"
#include "simd/level.hpp"

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

struct Walked {
  std::vector<selection::Outcome> outcomes;
  std::vector<std::int64_t> because;
  std::vector<float> similarities;
};

Walked walk(const std::vector<std::int64_t>& order, std::size_t count,
            const selection::GroupLimits& groups, selection::NearSelected* near) {
  Walked walked;
  walked.outcomes.resize(order.size());
  walked.because.resize(order.size());
  walked.similarities.resize(order.size());
  ds2fast::SilentMonitor monitor;
  selection::walk_down({order.data(), order.size()}, count, groups, near, monitor,
                       {{walked.outcomes.data(), order.size()},
                        {walked.because.data(), order.size()},
                        {walked.similarities.data(), order.size()}});
  return walked;
}

TEST(walk_gives_what_a_group_cannot_fill_to_others_within_their_caps) {
  using selection::Outcome;
  const std::vector<std::int64_t> order{4, 3, 2, 1, 0};
  const std::vector<std::int64_t> codes{0, 1, 0, 0, 0};
  const std::vector<std::int64_t> quotas{1, 3};
  const std::vector<std::int64_t> caps{3, 3};
  const Walked walked =
      walk(order, 5, {{codes.data(), 5}, {quotas.data(), 2}, {caps.data(), 2}}, nullptr);
  CHECK((walked.outcomes == std::vector<Outcome>{Outcome::kSelected, Outcome::kSelected,
                                                 Outcome::kSelected, Outcome::kSelected,
                                                 Outcome::kGroupFull}));
  CHECK(walk({}, 3, {}, nullptr).outcomes.empty());
  CHECK(walk(order, 2, {}, nullptr).outcomes[2] == Outcome::kNotReached);
}

/// Rows on the circle in steps of one in a thousand of it; each list names the next row only, so
/// that vectors must tell the rest.
TEST(walk_compares_vectors_alike_on_any_number_of_threads) {
  constexpr std::size_t n = 1000;
  std::vector<float> rows(2 * n);
  std::vector<std::int32_t> indices(n);
  std::vector<float> similarities(n);
  std::vector<std::int64_t> order(n);
  const double step = 2.0 * std::acos(-1.0) / static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) {
    rows[2 * i] = static_cast<float>(std::cos(step * static_cast<double>(i)));
    rows[2 * i + 1] = static_cast<float>(std::sin(step * static_cast<double>(i)));
    indices[i] = static_cast<std::int32_t>((i + 1) % n);
    similarities[i] = static_cast<float>(std::cos(step));
    order[i] = static_cast<std::int64_t>(i);
  }
  const ds2fast::MatrixView<const float> view{rows.data(), n, 2};
  const ds2fast::knn::RowSource source(view, ds2fast::simd::kernels(ds2fast::simd::active_level()));
  std::vector<double> norms(n);
  ds2fast::SilentMonitor monitor;
  ds2fast::knn::row_norms(source, 1, monitor, {norms.data(), n});
  const selection::Nearness nearness{
      {indices.data(), n, 1}, {similarities.data(), n, 1}, &source, {norms.data(), n}};
  const auto least = static_cast<float>(std::cos(9.5 * step));  // nine steps are near, ten not
  for (const std::size_t threads : {1U, 2U, 7U}) {
    selection::NearSelected near(nearness, least, threads);
    const Walked walked = walk(order, n, {}, &near);
    bool right = true;
    for (std::size_t i = 0; i < n; ++i) {
      right = right && (walked.outcomes[i] == selection::Outcome::kSelected) == (i % 10 == 0);
      if (i % 10 != 0 && i < n - 10) {  // the last ten are near row 0 too
        right = right && walked.because[i] == static_cast<std::int64_t>(i - i % 10);
      }
    }
    CHECK(right);
    CHECK(near.num_unsettled() == 0);
  }
  const selection::Nearness blind{nearness.indices, nearness.similarities, nullptr, {}};
  selection::NearSelected near(blind, least, 1);
  walk(order, n, {}, &near);
  CHECK(near.num_unsettled() == n / 2 - 1);  // every second row, but for the first
}

}  // namespace
