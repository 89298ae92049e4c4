#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "check.hpp"
#include "core/monitor.hpp"
#include "neighbours/independent.hpp"
#include "transition/alpha.hpp"
#include "transition/resample.hpp"
#include "transition/sharing.hpp"
#include "transition/sharing_counts.hpp"
#include "transition/sharing_model.hpp"

namespace {

namespace transition = ds2fast::transition;
using ds2fast::MatrixView;
using ds2fast::SilentMonitor;
using ds2fast::VectorView;
using transition::BinnedNeighbours;
using transition::LatentClasses;
using transition::SharingLayout;
using transition::Signal;
using Counts = std::vector<std::int64_t>;

/// Rows of random levels with random neighbours, some lists shorter than others.
struct Pool {
  Pool(std::size_t num_rows, std::size_t width, std::size_t num_levels, std::size_t num_bins)
      : levels(num_rows), ids(num_rows * width), bins(num_rows * width), is_copy(num_rows) {
    std::mt19937 generator(3);
    for (std::size_t row = 0; row < num_rows; ++row) {
      levels[row] = static_cast<std::int8_t>(generator() % num_levels);
      is_copy[row] = generator() % 10 == 0 ? 1 : 0;
      const std::size_t size = generator() % (width + 1);
      for (std::size_t at = 0; at < width; ++at) {
        ids[row * width + at] = at < size ? static_cast<std::int32_t>(generator() % num_rows) : -1;
        bins[row * width + at] = static_cast<std::uint8_t>(generator() % num_bins);
      }
    }
    rows = {{levels.data(), num_rows},
            {ids.data(), num_rows, width},
            {bins.data(), num_rows, width},
            {is_copy.data(), num_rows},
            num_levels,
            num_bins};
  }

  std::vector<std::int8_t> levels;
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> bins;
  std::vector<std::uint8_t> is_copy;
  BinnedNeighbours rows{};
};

Counts count_sharing(const BinnedNeighbours& rows, std::size_t threads) {
  Counts counts(transition::num_triple_cells(rows.num_levels, rows.num_bins), -1);
  SilentMonitor monitor;
  transition::count_sharing(rows, {counts.data(), counts.size()}, threads, monitor);
  return counts;
}

/// T right in `diagonal` of the cases, the rest even; p falling with the level.
LatentClasses planted(std::size_t k, double diagonal) {
  LatentClasses classes(k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t a = 0; a < k; ++a) {
      classes.transition[i * k + a] =
          a == i ? diagonal : (1.0 - diagonal) / static_cast<double>(k - 1);
    }
    classes.prior[i] = 2.0 * static_cast<double>(k - i) / static_cast<double>(k * (k + 1));
  }
  return classes;
}

/// What 10^12 triples a pair of bins would count, by the definition of the model.
Counts exact_counts(const LatentClasses& classes, double own, const std::vector<double>& shares) {
  const std::size_t k = classes.num_levels;
  std::vector<double> pool(k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t a = 0; a < k; ++a) {
      pool[a] += classes.prior[i] * classes.transition[i * k + a];
    }
  }
  Counts counts;
  for (std::size_t pair = 0; pair < shares.size() / 4; ++pair) {
    const double* w = &shares[4 * pair];
    for (std::size_t place = 0; place < k * k * k; ++place) {
      const std::size_t a = place / (k * k);
      const std::size_t b = place / k % k;
      const std::size_t c = place % k;
      double share = 0.0;
      for (std::size_t i = 0; i < k; ++i) {
        const double* row = &classes.transition[i * k];
        const double neighbours = w[0] * row[b] * row[c] + w[1] * row[b] * pool[c] +
                                  w[2] * pool[b] * row[c] + w[3] * pool[b] * pool[c];
        share += classes.prior[i] * ((1.0 - own) * row[a] + own * pool[a]) * neighbours;
      }
      counts.push_back(std::llround(share * 1e12));
    }
  }
  return counts;
}

double largest_difference(const std::vector<double>& x, const std::vector<double>& y) {
  double largest = 0.0;
  for (std::size_t at = 0; at < x.size(); ++at) {
    largest = std::max(largest, std::abs(x[at] - y[at]));
  }
  return largest;
}

TEST(independent_neighbours_leave_out_unrated_rows_and_copies) {
  const std::vector<std::int8_t> levels{0, 1, -1, 1, 0};
  const std::vector<std::int32_t> indices{1, 2, 3, 4,   // 1 is a later copy, 4 one of 3
                                          0, 2, 3, 4,   // 0 is an earlier copy
                                          0, 1, 3, 4,   // unrated, has neighbours all the same
                                          2, 0, 1, 4,   // 2 is a copy, but unrated
                                          0, 1, 2, 3};  // all apart
  const std::vector<float> similarities{0.9995F, 0.99F, 0.5F, 0.5F,  //
                                        0.9995F, 0.9F,  0.5F, 0.4F,  //
                                        0.7F,    0.7F,  0.6F, 0.1F,  //
                                        1.0F,    0.8F,  0.7F, 0.6F,  //
                                        0.4F,    0.3F,  0.2F, 0.1F};
  std::vector<std::int32_t> ids(5 * 2, 7);
  std::vector<float> kept(5 * 2, 7.0F);
  std::vector<std::uint8_t> is_copy(5, 7);
  SilentMonitor monitor;
  ds2fast::neighbours::find_independent(
      {levels.data(), 5}, {indices.data(), 5, 4}, {similarities.data(), 5, 4},
      {{ids.data(), 5, 2}, {kept.data(), 5, 2}, {is_copy.data(), 5}}, 2, monitor);
  CHECK((ids == std::vector<std::int32_t>{3, -1, 3, 4, 0, 3, 0, 1, 0, 1}));
  CHECK((kept == std::vector<float>{0.5F, 0.0F, 0.5F, 0.4F, 0.7F, 0.6F, 0.8F, 0.7F, 0.4F, 0.3F}));
  CHECK((is_copy == std::vector<std::uint8_t>{0, 1, 0, 0, 0}));
}

TEST(a_pair_of_neighbours_is_turned_to_ascending_bins) {
  // Row 0 of level 1; neighbours of levels 0, 1, 0 in bins 2, 0, 2 of 3.
  const std::vector<std::int8_t> levels{1, 0, 1, 0};
  std::vector<std::int32_t> ids(4 * 3, -1);
  std::vector<std::uint8_t> bins(4 * 3, 0);
  const std::vector<std::uint8_t> is_copy(4, 0);
  for (std::size_t at = 0; at < 3; ++at) {
    ids[at] = static_cast<std::int32_t>(at + 1);
    bins[at] = at == 1 ? 0 : 2;
  }
  const Counts counts = count_sharing(
      {{levels.data(), 4}, {ids.data(), 4, 3}, {bins.data(), 4, 3}, {is_copy.data(), 4}, 2, 3}, 1);
  // Pairs of bins in order: 00 01 02 11 12 22. The nearest two: 02 with levels (1; 1, 0), the
  // outer two: 22 with (1; 0, 0), the last two: 02 with (1; 1, 0).
  Counts expected(6 * 8);
  expected[2 * 8 + 4 + 2] = 2;
  expected[5 * 8 + 4] = 1;
  CHECK(counts == expected);
}

TEST(counts_do_not_depend_on_threads) {
  const Pool pool(20000, 5, 6, 5);
  const Counts one = count_sharing(pool.rows, 1);
  CHECK(std::accumulate(one.begin(), one.end(), std::int64_t{0}) > 20000);
  CHECK(one == count_sharing(pool.rows, 2));
  CHECK(one == count_sharing(pool.rows, 7));
}

TEST(weighted_counts_of_opposite_signs_add_up_to_twice_the_counts) {
  const Pool pool(3000, 5, 4, 3);
  const Counts counts = count_sharing(pool.rows, 1);
  const transition::TripleList triples(pool.rows);
  CHECK(static_cast<std::int64_t>(triples.num_triples()) ==
        std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  std::mt19937 generator(5);
  std::vector<std::uint8_t> signs(3000);
  std::vector<std::uint8_t> opposite(3000);
  for (std::size_t row = 0; row < signs.size(); ++row) {
    signs[row] = static_cast<std::uint8_t>(generator());
    opposite[row] = static_cast<std::uint8_t>(~signs[row]);
  }
  std::vector<std::int32_t> sums;
  std::vector<std::int32_t> opposite_sums;
  triples.count({signs.data(), signs.size()}, sums);
  triples.count({opposite.data(), opposite.size()}, opposite_sums);
  bool adds_up = true;
  bool differs = false;
  for (std::size_t at = 0; at < sums.size(); ++at) {
    const std::int64_t count = counts[at / transition::TripleList::kLanes];
    adds_up = adds_up && sums[at] + opposite_sums[at] == 2 * count;
    differs = differs || sums[at] != count;
  }
  CHECK(adds_up);
  CHECK(differs);
}

/// So many rows that the few which the model supposes move nothing by more than 1e-6.
constexpr double kEndlessRows = 1e9;

TEST(the_solver_finds_what_was_planted_in_exact_counts) {
  const std::vector<double> any{0.3, 0.1, 0.2, 0.4, 0.5, 0.2, 0.1, 0.2, 0.8, 0.1, 0.05, 0.05};
  // Of two levels, shares are those of independent neighbours: .5 .4, .7 .6, .9 .8.
  const std::vector<double> apart{0.2,  0.3,  0.2,  0.3,  0.42, 0.28,
                                  0.18, 0.12, 0.72, 0.18, 0.08, 0.02};
  for (const std::size_t k : {2U, 6U, 10U}) {
    const std::vector<double>& shares = k == 2 ? apart : any;
    const LatentClasses truth = planted(k, 0.7);
    const Counts counts = exact_counts(truth, 0.0, shares);
    SilentMonitor monitor;
    const transition::SharingFit fit = transition::solve_sharing(
        {counts.data(), counts.size()}, {k, 3}, {}, kEndlessRows, false, monitor);
    CHECK(fit.converged);
    CHECK(fit.own == 0.0);
    // A last step of 1e-7 at a rate of convergence of 0.999 leaves 1e-4; shares, which count as
    // products with the square of T's contrast, are a few times less sure.
    CHECK(largest_difference(fit.classes.transition, truth.transition) < 1e-4);
    CHECK(largest_difference(fit.classes.prior, truth.prior) < 1e-4);
    CHECK(largest_difference(fit.shares, shares) < 1e-3);
  }
}

TEST(repeats_tell_rows_of_their_own_from_noise) {
  const std::size_t k = 4;
  const LatentClasses truth = planted(k, 0.7);
  const std::vector<double> shares{0.5, 0.1, 0.2, 0.2, 0.8, 0.1, 0.05, 0.05};
  const Counts counts = exact_counts(truth, 0.35, shares);
  // Every pattern of three ratings of one row, as often as a twentieth of the rows would show it.
  std::vector<std::int32_t> shown;
  std::vector<double> weights;
  for (std::size_t place = 0; place < k * k * k; ++place) {
    const std::size_t given[3] = {place / (k * k), place / k % k, place % k};
    std::vector<std::int32_t> times(k);
    double share = 0.0;
    for (std::size_t i = 0; i < k; ++i) {
      double joint = truth.prior[i];
      for (const std::size_t level : given) {
        joint *= truth.transition[i * k + level];
      }
      share += joint;
    }
    for (const std::size_t level : given) {
      ++times[level];
    }
    shown.insert(shown.end(), times.begin(), times.end());
    weights.push_back(kEndlessRows / 20.0 * share);
  }
  const std::vector<std::int32_t> gold(weights.size(), -1);
  const Signal signal{{shown.data(), weights.size(), k},
                      {weights.data(), weights.size()},
                      {gold.data(), gold.size()}};
  SilentMonitor monitor;
  const transition::SharingFit fit = transition::solve_sharing(
      {counts.data(), counts.size()}, {k, 2}, signal, kEndlessRows, true, monitor);
  CHECK(fit.converged);
  CHECK(std::abs(fit.own - 0.35) < 1e-3);
  CHECK(largest_difference(fit.classes.transition, truth.transition) < 1e-3);
}

TEST(em_of_the_sharing_model_never_lowers_what_it_maximises) {
  const Pool pool(4000, 5, 5, 3);
  const Counts counts = count_sharing(pool.rows, 1);
  const SharingLayout layout{5, 6};
  const std::vector<std::int32_t> shown{2, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1};
  const std::vector<double> weights{30.0, 20.5, 7.0};
  const std::vector<std::int32_t> gold{-1, -1, 3};
  const auto count = static_cast<double>(std::accumulate(counts.begin(), counts.end(), 0LL));
  // At 10 rows the signal, at 1000 rows the counts weigh most; at 40 000 the most is supposed.
  for (const double num_rows : {10.0, 1000.0, 40000.0}) {
    transition::SharingModel model(
        layout, {{shown.data(), 3, 5}, {weights.data(), 3}, {gold.data(), 3}}, true);
    model.set_counts(counts.data(), 1, num_rows / count);
    std::vector<double> shares(24, 0.25);
    std::vector<double> point = layout.join(planted(5, 0.6), 0.3, shares);
    std::vector<double> next(point.size());
    double previous = -1e300;
    bool rises = true;
    for (int step = 0; step < 300; ++step) {
      const double reached = model.step(point, next, true);
      rises = rises && reached >= previous - 1e-13 * std::abs(reached);  // rounding of a sum
      previous = reached;
      point.swap(next);
    }
    CHECK(rises);
  }
}

TEST(resamples_do_not_depend_on_threads) {
  const Pool pool(4000, 4, 3, 2);
  const SharingLayout layout{3, 3};
  const std::vector<double> shares(12, 0.25);
  const transition::ResampleStart start{layout.join(planted(3, 0.8), 0.0, shares), false};
  const auto draw = [&](std::size_t threads, std::uint64_t seed) {
    std::vector<double> points(20 * layout.size());
    SilentMonitor monitor;
    transition::resample_sharing(pool.rows, layout, {}, start, {20, seed},
                                 {points.data(), 20, layout.size()}, threads, monitor);
    return points;
  };
  const std::vector<double> one = draw(1, 9);
  CHECK(one == draw(3, 9));
  CHECK(one != draw(1, 10));
  CHECK(!std::equal(one.begin(), one.begin() + 9, one.begin() + static_cast<long>(layout.size())));
}

TEST(alpha_is_the_planted_share_in_exact_counts) {
  const std::size_t k = 5;
  const LatentClasses classes = planted(k, 0.6);
  const std::vector<double> planted_alpha{0.0, 0.25, 0.8, 1.0};
  Counts counts;
  for (const double alpha : planted_alpha) {
    for (std::size_t cell = 0; cell < k * k; ++cell) {
      double shared = 0.0;
      double own = 0.0;
      double other = 0.0;
      for (std::size_t i = 0; i < k; ++i) {
        const double* row = &classes.transition[i * k];
        shared += classes.prior[i] * row[cell / k] * row[cell % k];
        own += classes.prior[i] * row[cell / k];
        other += classes.prior[i] * row[cell % k];
      }
      counts.push_back(std::llround(1e12 * (alpha * shared + (1.0 - alpha) * own * other)));
    }
  }
  counts.insert(counts.end(), k * k, 0);
  std::vector<double> alpha(5, -1.0);
  transition::solve_alpha({counts.data(), counts.size()},
                          {classes.transition.data(), classes.transition.size()}, classes,
                          {alpha.data(), alpha.size()});
  for (std::size_t bin = 0; bin < planted_alpha.size(); ++bin) {
    CHECK(std::abs(alpha[bin] - planted_alpha[bin]) < 1e-6);
  }
  CHECK(alpha[4] == 0.0);
}

}  // namespace
