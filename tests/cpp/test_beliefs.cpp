#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/monitor.hpp"
#include "curation/beliefs.hpp"
#include "curation/evidence_weights.hpp"

namespace {

namespace curation = ds2fast::curation;
using Values = std::vector<double>;

/// A random pool: rows without a pattern, padded neighbours, an absent level if `absent`.
struct Pool {
  Pool(std::size_t rows, std::size_t width, std::size_t bins, std::size_t patterns,
       std::size_t levels, unsigned seed = 5)
      : num_rows(rows),
        num_neighbours(width),
        num_bins(bins),
        num_patterns(patterns),
        num_levels(levels),
        codes(rows),
        ids(rows * width),
        bin_of(rows * width),
        messages(bins * patterns * levels),
        prior(levels),
        emission(patterns * levels),
        generator(seed) {
    std::uniform_real_distribution<double> uniform(0.0, 1.0);
    const auto below = [&](std::size_t size) { return generator() % size; };
    for (std::int32_t& code : codes) {
      code = below(10) == 0 ? -1 : static_cast<std::int32_t>(below(patterns));
    }
    for (std::size_t at = 0; at < ids.size(); ++at) {
      ids[at] = below(8) == 0 ? -1 : static_cast<std::int32_t>(below(rows));
      bin_of[at] = static_cast<std::uint8_t>(below(bins));
    }
    const auto draw = [&] { return uniform(generator); };
    std::generate(messages.begin(), messages.end(), [&] { return 2.0 * draw() - 1.0; });
    std::generate(prior.begin(), prior.end(), [&] { return draw() + 0.1; });
    std::generate(emission.begin(), emission.end(), draw);
  }

  curation::NeighbourEvidence evidence() const {
    return {{codes.data(), num_rows},
            {ids.data(), num_rows, num_neighbours},
            {bin_of.data(), num_rows, num_neighbours},
            {{messages.data(), messages.size()}, num_bins, num_patterns, num_levels},
            {prior.data(), num_levels}};
  }

  ds2fast::MatrixView<const double> emission_view() const {
    return {emission.data(), num_patterns, num_levels};
  }

  /// Rows that have a pattern.
  std::vector<std::int32_t> rated() const {
    std::vector<std::int32_t> rows;
    for (std::size_t row = 0; row < num_rows; ++row) {
      if (codes[row] >= 0) {
        rows.push_back(static_cast<std::int32_t>(row));
      }
    }
    return rows;
  }

  Values beliefs(std::size_t threads) const {
    Values out(num_rows * num_levels, -1.0);
    ds2fast::SilentMonitor monitor;
    curation::neighbour_beliefs(evidence(), threads, monitor, {out.data(), num_rows, num_levels});
    return out;
  }

  /// Products of probabilities, without logs or a largest value taken out.
  Values plain_belief(std::size_t row, const Values& weights) const {
    Values belief = prior;
    for (std::size_t at = row * num_neighbours; at < (row + 1) * num_neighbours; ++at) {
      if (ids[at] < 0 || codes[static_cast<std::size_t>(ids[at])] < 0) {
        continue;
      }
      const auto code = static_cast<std::size_t>(codes[static_cast<std::size_t>(ids[at])]);
      for (std::size_t level = 0; level < num_levels; ++level) {
        const double message = messages[(bin_of[at] * num_patterns + code) * num_levels + level];
        belief[level] *= std::exp(weights[bin_of[at]] * message);
      }
    }
    double total = 0.0;
    for (const double share : belief) {
      total += share;
    }
    for (double& share : belief) {
      share /= total;
    }
    return belief;
  }

  double plain_likelihood(const std::vector<std::int32_t>& rows, const Values& weights) const {
    double total = 0.0;
    for (const std::int32_t row : rows) {
      const Values belief = plain_belief(static_cast<std::size_t>(row), weights);
      const auto code = static_cast<std::size_t>(codes[static_cast<std::size_t>(row)]);
      double predicted = 0.0;
      for (std::size_t level = 0; level < num_levels; ++level) {
        predicted += belief[level] * emission[code * num_levels + level];
      }
      total += std::log(predicted);
    }
    return total;
  }

  std::size_t num_rows;
  std::size_t num_neighbours;
  std::size_t num_bins;
  std::size_t num_patterns;
  std::size_t num_levels;
  std::vector<std::int32_t> codes;
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> bin_of;
  Values messages;
  Values prior;
  Values emission;
  std::mt19937 generator;
};

curation::PredictiveLikelihood::Sums sums_at(const Pool& pool,
                                             const std::vector<std::int32_t>& rows,
                                             const Values& weights, std::size_t threads = 1) {
  const curation::NeighbourEvidence evidence = pool.evidence();
  ds2fast::SilentMonitor monitor;
  return curation::PredictiveLikelihood(evidence, pool.emission_view(), {rows.data(), rows.size()},
                                        threads)
      .at(weights, monitor);
}

curation::EvidenceWeights fit(const Pool& pool, const std::vector<std::int32_t>& rows,
                              std::size_t threads = 1) {
  ds2fast::SilentMonitor monitor;
  return curation::fit_weights(pool.evidence(), pool.emission_view(), {rows.data(), rows.size()},
                               threads, monitor);
}

TEST(beliefs_are_products_of_probabilities) {
  for (const std::size_t levels : {1U, 2U, 6U, 20U}) {
    const Pool pool(300, 7, 3, 5, levels);
    const Values beliefs = pool.beliefs(2);
    for (std::size_t row = 0; row < pool.num_rows; ++row) {
      const Values expected = pool.plain_belief(row, Values(3, 1.0));
      for (std::size_t level = 0; level < levels; ++level) {
        // A handful of roundings of values up to 1, each of 1.1e-16; logs up to 7 in size.
        CHECK(std::abs(beliefs[row * levels + level] - expected[level]) < 1e-13);
      }
    }
  }
}

TEST(beliefs_survive_messages_beyond_the_range_of_exp) {
  Pool pool(50, 20, 1, 1, 3);
  std::fill(pool.codes.begin(), pool.codes.end(), 0);
  std::fill(pool.ids.begin(), pool.ids.end(), 7);
  pool.messages = {-100.0, -101.0, -150.0};
  pool.prior = {0.0, 0.5, 0.5};  // a level that is not there stays so
  const Values beliefs = pool.beliefs(1);
  for (std::size_t row = 0; row < 50; ++row) {
    CHECK(beliefs[row * 3] == 0.0);
    CHECK(beliefs[row * 3 + 1] == 1.0);  // e^-980 beside it is below every double
    CHECK(beliefs[row * 3 + 2] < 1e-300);
  }
}

TEST(a_row_that_nobody_speaks_for_believes_the_prior) {
  Pool pool(64, 4, 2, 2, 2);
  pool.prior = {0.25, 0.75};
  std::fill(pool.ids.begin(), pool.ids.begin() + 32 * 4, -1);
  pool.codes.assign(64, -1);
  const Values beliefs = pool.beliefs(3);
  for (std::size_t row = 0; row < 64; ++row) {
    CHECK(std::abs(beliefs[row * 2] - 0.25) < 1e-15);
    CHECK(std::abs(beliefs[row * 2 + 1] - 0.75) < 1e-15);
  }
}

TEST(likelihood_and_its_gradient_are_those_of_the_definition) {
  const Pool pool(400, 6, 4, 5, 3);
  const std::vector<std::int32_t> rows = pool.rated();
  const Values weights{0.3, 0.0, 1.2, 0.7};
  const auto sums = sums_at(pool, rows, weights);
  CHECK(std::abs(sums.value - pool.plain_likelihood(rows, weights)) < 1e-9);
  for (std::size_t bin = 0; bin < weights.size(); ++bin) {
    constexpr double kStep = 1e-5;
    Values up = weights;
    Values down = weights;
    up[bin] += kStep;
    down[bin] -= kStep;
    const double slope =
        (pool.plain_likelihood(rows, up) - pool.plain_likelihood(rows, down)) / (2.0 * kStep);
    // Central differences: some 400 * kStep^2 of the third derivative, and 1e-13 * 400 / kStep of
    // rounding.
    CHECK(std::abs(sums.gradient[bin] - slope) < 1e-5);
  }
}

TEST(curvature_is_the_sum_of_the_rows_outer_products) {
  const Pool pool(60, 6, 3, 4, 3);
  const Values weights{0.4, 0.9, 0.1};
  Values expected(9);
  for (const std::int32_t row : pool.rated()) {
    const auto alone = sums_at(pool, {row}, weights);
    for (std::size_t a = 0; a < 3; ++a) {
      for (std::size_t b = 0; b < 3; ++b) {
        expected[a * 3 + b] += alone.gradient[a] * alone.gradient[b];
      }
    }
  }
  const auto sums = sums_at(pool, pool.rated(), weights);
  for (std::size_t at = 0; at < 9; ++at) {
    CHECK(std::abs(sums.curvature[at] - expected[at]) < 1e-10);
  }
}

TEST(a_row_whose_pattern_no_level_shows_counts_nothing) {
  Pool pool(100, 5, 2, 3, 2);
  std::fill_n(pool.emission.begin(), 2, 0.0);  // pattern 0
  std::vector<std::int32_t> others = pool.rated();
  others.erase(std::remove_if(others.begin(), others.end(),
                              [&](std::int32_t row) {
                                return pool.codes[static_cast<std::size_t>(row)] == 0;
                              }),
               others.end());
  CHECK(others.size() < pool.rated().size());
  const auto all = sums_at(pool, pool.rated(), {0.5, 0.5});
  const auto some = sums_at(pool, others, {0.5, 0.5});
  CHECK(all.value == some.value);
  CHECK(all.gradient == some.gradient);
}

/// Rows of two levels whose neighbours all repeat one rating: the message counts once, not V times.
TEST(neighbours_that_repeat_each_other_count_once) {
  constexpr std::size_t kWidth = 4;
  constexpr std::size_t kRows = 20000;
  Pool pool(kRows, kWidth, 1, 2, 2);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  const auto rate = [&](int level) { return uniform(pool.generator) < 0.8 ? level : 1 - level; };
  for (std::size_t row = 0; row < kRows; row += 2) {  // pairs share a level, each has its rating
    const int level = uniform(pool.generator) < 0.5 ? 0 : 1;
    pool.codes[row] = rate(level);
    pool.codes[row + 1] = rate(level);
    std::fill_n(&pool.ids[row * kWidth], kWidth, static_cast<std::int32_t>(row + 1));
    std::fill_n(&pool.ids[(row + 1) * kWidth], kWidth, static_cast<std::int32_t>(row));
  }
  std::fill(pool.bin_of.begin(), pool.bin_of.end(), std::uint8_t{0});
  pool.prior = {0.5, 0.5};
  pool.emission = {0.8, 0.2, 0.2, 0.8};
  pool.messages = {std::log(0.8), std::log(0.2), std::log(0.2), std::log(0.8)};
  const auto found = fit(pool, pool.rated());
  // The one rating counts fully where the four weigh 1 in all: 0.25. Its standard error: the share
  // of agreeing pairs, 0.68, has one of sqrt(0.68 * 0.32 / 10 000) = 0.0047; it is
  // 0.2 + 0.6 q(w), and q = 1 / (1 + exp(-4 w log 4)) has the slope 5.5 * 0.16 = 0.89 there, so w
  // has 0.0047 / (0.6 * 0.89) = 0.009. Four of these.
  CHECK(std::abs(found.values[0] - 0.25) < 0.036);
}

TEST(the_fit_is_a_peak_within_its_bounds) {
  for (const unsigned seed : {1U, 2U, 3U, 4U}) {
    Pool pool(500, 6, 2, 3, 3, seed);
    const std::vector<std::int32_t> rows = pool.rated();
    const auto found = fit(pool, rows);
    CHECK(std::abs(found.log_likelihood - pool.plain_likelihood(rows, found.values)) < 1e-9);
    CHECK(found.steps >= 1 && found.steps <= 50);
    for (double first = 0.0; first <= 4.0; first += 0.125) {
      for (double second = 0.0; second <= 4.0; second += 0.125) {
        // The fit ends where a step gains less than 1e-7 a row; all that is left is a few such.
        CHECK(pool.plain_likelihood(rows, {first, second}) <= found.log_likelihood + 5e-4);
      }
    }
  }
}

TEST(bins_that_mislead_get_no_weight_and_silent_ones_keep_theirs) {
  Pool pool(8000, 4, 3, 2, 2);
  pool.prior = {0.5, 0.5};
  pool.emission = {0.8, 0.2, 0.2, 0.8};
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  for (std::size_t row = 0; row < pool.num_rows; ++row) {  // blocks of 200 share a level
    const int level = row / 200 % 2 == 0 ? 0 : 1;
    pool.codes[row] = uniform(pool.generator) < 0.8 ? level : 1 - level;
    for (std::size_t rank = 0; rank < 4; ++rank) {
      pool.ids[row * 4 + rank] = static_cast<std::int32_t>((row + rank + 1) % pool.num_rows);
      pool.bin_of[row * 4 + rank] = static_cast<std::uint8_t>(rank / 2);
    }
  }
  // Bin 0 says what is so, bin 1 its opposite, bin 2 nothing: no neighbour is in it.
  const double right = 0.5 * std::log(0.8 / 0.2);
  pool.messages = {right, -right, -right, right, -right, right, right, -right, 9.0, -9.0, 0.0, 0.0};
  const auto found = fit(pool, pool.rated());
  // The two neighbours of bin 0 are independent, and each says just what is so: 1, less what the
  // blocks' ends spoil (a row in a hundred hears the other level). Its standard error is 0.063: the
  // two agree in 0.68 of 8 000 rows, where a row's slope is 0.12 if it agrees with them (0.765), or
  // else -0.39, a mean square of 0.046; where they differ it is 0. Four of these.
  CHECK(std::abs(found.values[0] - 1.0) < 0.26);
  CHECK(found.values[1] == 0.0);
  CHECK(found.values[2] == 0.5);
}

TEST(nothing_to_fit_leaves_the_weights) {
  const Pool pool(20, 3, 2, 2, 2);
  CHECK(fit(pool, {}).values == Values(2, 0.5));
  Pool alone = pool;
  std::fill(alone.ids.begin(), alone.ids.end(), -1);
  CHECK(fit(alone, alone.rated()).values == Values(2, 0.5));
  CHECK(fit(alone, alone.rated()).steps == 0);
  const Pool one_level(50, 3, 2, 2, 1);
  CHECK(fit(one_level, one_level.rated()).values == Values(2, 0.5));
}

TEST(threads_change_no_bit) {
  const Pool pool(9000, 8, 5, 7, 6);
  const std::vector<std::int32_t> rows = pool.rated();
  const Values beliefs = pool.beliefs(1);
  const auto weights = fit(pool, rows, 1);
  for (const std::size_t threads : {2U, 5U, 16U}) {
    CHECK(pool.beliefs(threads) == beliefs);
    const auto same = fit(pool, rows, threads);
    CHECK(same.values == weights.values);
    CHECK(same.log_likelihood == weights.log_likelihood);
  }
}

}  // namespace
