#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/parallel_for.hpp"
#include "knn/block_search.hpp"
#include "knn/bound_steps.hpp"
#include "knn/copies.hpp"
#include "knn/exact_search.hpp"
#include "knn/first_thresholds.hpp"
#include "knn/nearest_lists.hpp"
#include "knn/pair_filter.hpp"
#include "knn/pair_schedule.hpp"
#include "knn/quantised_rows.hpp"
#include "knn/reservoirs.hpp"
#include "knn/row_norms.hpp"
#include "random_rows.hpp"
#include "simd/level.hpp"

namespace {

using ds2fast::MatrixView;
using ds2fast::SilentMonitor;
using ds2fast::VectorView;
namespace knn = ds2fast::knn;
namespace simd = ds2fast::simd;

struct Graph {
  std::vector<std::int32_t> ids;
  std::vector<float> similarities;
};

struct Pool {
  std::vector<float> values;
  std::size_t n;
  std::size_t d;

  MatrixView<const float> view() const { return {values.data(), n, d}; }
};

Graph search(const knn::RowSource& rows, std::size_t k, std::size_t threads) {
  SilentMonitor monitor;
  const std::size_t n = rows.num_rows();
  std::vector<double> norms(n);
  knn::row_norms(rows, threads, monitor, {norms.data(), n});
  Graph graph{std::vector<std::int32_t>(n * k), std::vector<float>(n * k)};
  knn::exact_search(rows, {norms.data(), n}, threads, monitor, {graph.ids.data(), n, k},
                    {graph.similarities.data(), n, k});
  return graph;
}

Graph search(const Pool& pool, std::size_t k, std::size_t threads, simd::Level level) {
  return search(knn::RowSource(pool.view(), simd::kernels(level)), k, threads);
}

/// Every similarity in long double, ties by id: the truth that needs no bound.
Graph brute_force(const Pool& pool, std::size_t k) {
  Graph graph;
  const auto dot = [&](std::size_t i, std::size_t j) {
    long double sum = 0.0L;
    for (std::size_t c = 0; c < pool.d; ++c) {
      sum += static_cast<long double>(pool.values[i * pool.d + c]) * pool.values[j * pool.d + c];
    }
    return sum;
  };
  for (std::size_t i = 0; i < pool.n; ++i) {
    std::vector<std::pair<long double, std::int32_t>> all;
    for (std::size_t j = 0; j < pool.n; ++j) {
      if (j != i) {
        all.emplace_back(-dot(i, j) / std::sqrt(dot(i, i) * dot(j, j)),
                         static_cast<std::int32_t>(j));
      }
    }
    std::sort(all.begin(), all.end());
    for (std::size_t place = 0; place < k; ++place) {
      graph.ids.push_back(all[place].second);
      graph.similarities.push_back(static_cast<float>(-all[place].first));
    }
  }
  return graph;
}

/// What the search documents as its ranking: cosines by ExactDot, ties by id.
Graph brute_force_in_float64(const Pool& pool, std::size_t k) {
  const simd::ExactDot dot = simd::kernels(simd::Level::kBaseline).exact_dot;
  std::vector<double> norms(pool.n);
  for (std::size_t i = 0; i < pool.n; ++i) {
    norms[i] = std::sqrt(dot(pool.view().row(i), pool.view().row(i), pool.d));
  }
  Graph graph;
  for (std::size_t i = 0; i < pool.n; ++i) {
    std::vector<std::pair<double, std::int32_t>> all;
    for (std::size_t j = 0; j < pool.n; ++j) {
      if (j != i) {
        const double cosine =
            dot(pool.view().row(i), pool.view().row(j), pool.d) / (norms[i] * norms[j]);
        all.emplace_back(-cosine, static_cast<std::int32_t>(j));
      }
    }
    std::sort(all.begin(), all.end());
    for (std::size_t place = 0; place < k; ++place) {
      graph.ids.push_back(all[place].second);
      graph.similarities.push_back(static_cast<float>(-all[place].first));
    }
  }
  return graph;
}

bool same(const Graph& x, const Graph& y) {
  return x.ids == y.ids && std::memcmp(x.similarities.data(), y.similarities.data(),
                                       x.similarities.size() * sizeof(float)) == 0;
}

TEST(equals_brute_force_at_every_level_and_thread_count) {
  const std::size_t shapes[][3] = {
      {2, 3, 1}, {49, 5, 48}, {97, 33, 7}, {500, 20, 10}, {801, 130, 17}};
  for (const auto& shape : shapes) {
    const Pool pool{random_values(shape[0] * shape[1], 11), shape[0], shape[1]};
    const Graph expected = brute_force(pool, shape[2]);
    for (const simd::Level level : simd::available_levels()) {
      for (const std::size_t threads : {1U, 2U, 7U}) {
        const Graph graph = search(pool, shape[2], threads, level);
        CHECK(graph.ids == expected.ids);
        bool close = true;
        for (std::size_t i = 0; i < graph.similarities.size(); ++i) {
          // One float32 rounding of either side.
          close = close && std::abs(graph.similarities[i] - expected.similarities[i]) <= 0x1p-23F;
        }
        CHECK(close);
      }
    }
  }
}

TEST(identical_rows_tie_by_id) {
  const std::size_t n = 700;
  Pool pool{std::vector<float>(n * 4, 0.25F), n, 4};
  for (const simd::Level level : simd::available_levels()) {
    const Graph graph = search(pool, 3, 2, level);
    bool smallest = true;
    for (std::size_t row = 0; row < n; ++row) {
      std::int32_t next = 0;
      for (std::size_t place = 0; place < 3; ++place, ++next) {
        next += next == static_cast<std::int32_t>(row);
        smallest = smallest && graph.ids[row * 3 + place] == next;
      }
    }
    CHECK(smallest);
  }
}

TEST(near_ties_that_float32_cannot_tell_apart_are_ranked_in_float64) {
  // Rows on an arc of 1e-5 around one direction: their float32 products are nearly all equal.
  const std::size_t n = 600;
  Pool pool{std::vector<float>(n * 2), n, 2};
  for (std::size_t i = 0; i < n; ++i) {
    pool.values[2 * i] = 1.0F;
    pool.values[2 * i + 1] = 1e-8F * static_cast<float>((i * 7919) % n + 1);
  }
  const Graph expected = brute_force_in_float64(pool, 5);
  for (const simd::Level level : simd::available_levels()) {
    CHECK(same(search(pool, 5, 3, level), expected));
  }
}

TEST(the_schedule_hands_out_every_pair_once) {
  for (std::size_t blocks = 1; blocks < 12; ++blocks) {
    knn::PairSchedule schedule(blocks);
    std::set<std::pair<std::size_t, std::size_t>> pairs;
    for (std::size_t i = 0; i < schedule.num_pairs(); ++i) {
      const auto lease = schedule.acquire();
      CHECK(lease.pair().a <= lease.pair().b && lease.pair().b < blocks);
      pairs.insert({lease.pair().a, lease.pair().b});
    }
    CHECK(schedule.num_pairs() == blocks * (blocks + 1) / 2);
    CHECK(pairs.size() == schedule.num_pairs());
  }
}

TEST(the_schedule_of_two_sides_hands_out_every_pair_across_once) {
  for (std::size_t left = 1; left < 8; ++left) {
    for (std::size_t right = 1; right < 8; ++right) {
      knn::PairSchedule schedule(left, right);
      std::set<std::pair<std::size_t, std::size_t>> pairs;
      for (std::size_t i = 0; i < schedule.num_pairs(); ++i) {
        const auto lease = schedule.acquire();
        CHECK(lease.pair().a < left);
        CHECK(left <= lease.pair().b && lease.pair().b < left + right);
        pairs.insert({lease.pair().a, lease.pair().b});
      }
      CHECK(schedule.num_pairs() == left * right);
      CHECK(pairs.size() == left * right);
    }
  }
}

TEST(no_block_of_two_sides_is_in_two_hands_at_once) {
  constexpr std::size_t kLeft = 5;
  constexpr std::size_t kRight = 3;
  knn::PairSchedule schedule(kLeft, kRight);
  std::vector<int> holders(kLeft + kRight);
  bool alone = true;
  std::mutex mutex;
  SilentMonitor monitor;
  ds2fast::parallel_for(schedule.num_pairs(), 4, monitor, [&](std::size_t, std::size_t) {
    const auto lease = schedule.acquire();
    const auto hold = [&](int change) {
      const std::lock_guard<std::mutex> lock(mutex);
      for (const std::size_t block : {lease.pair().a, lease.pair().b}) {
        holders[block] += change;
        alone = alone && holders[block] <= 1;
      }
    };
    hold(1);
    hold(-1);
  });
  CHECK(alone);
}

TEST(no_block_is_in_two_hands_at_once) {
  constexpr std::size_t kBlocks = 9;
  knn::PairSchedule schedule(kBlocks);
  std::vector<int> holders(kBlocks);
  bool alone = true;
  std::mutex mutex;
  SilentMonitor monitor;
  ds2fast::parallel_for(schedule.num_pairs(), 4, monitor, [&](std::size_t, std::size_t) {
    const auto lease = schedule.acquire();
    const auto pair = lease.pair();
    const auto hold = [&](int change) {
      const std::lock_guard<std::mutex> lock(mutex);
      holders[pair.a] += change;
      if (pair.b != pair.a) {
        holders[pair.b] += change;
      }
      alone = alone && holders[pair.a] <= 1 && holders[pair.b] <= 1;
    };
    hold(1);
    hold(-1);
  });
  CHECK(alone);
}

/// Stops once tiles have been multiplied, while blocks are in hand.
class StopAtWork final : public ds2fast::Monitor {
 public:
  void poll(std::size_t done, std::size_t total) override {
    if (0 < done && done + 1 < total) {
      throw std::runtime_error("stop");
    }
  }
};

TEST(a_search_can_be_stopped_at_work) {
  const Pool pool{random_values(9000 * 256, 13), 9000, 256};
  std::vector<double> norms(pool.n, 16.0);
  std::vector<std::int32_t> ids(pool.n * 5);
  std::vector<float> similarities(pool.n * 5);
  StopAtWork monitor;
  const knn::RowSource rows(pool.view(), simd::kernels(simd::Level::kBaseline));
  CHECK_THROWS(knn::exact_search(rows, {norms.data(), norms.size()}, 3, monitor,
                                 {ids.data(), pool.n, 5}, {similarities.data(), pool.n, 5}),
               std::runtime_error);
}

/// The reservoir of row 0, fed by hand.
class FirstRow {
 public:
  FirstRow(const Pool& pool, std::size_t k)
      : rows_(pool.view(), simd::kernels(simd::Level::kBaseline)),
        norms_(norms_of(rows_)),
        order_(pool.n),
        ranking_(rows_, {norms_.data(), pool.n}, {order_.data(), pool.n}),
        reservoirs_(pool.n, k, pool.d, 4, ranking_, rows_.kernels()),
        desk_(ranking_.make_desk()),
        k_(k) {
    std::iota(order_.begin(), order_.end(), 0);
  }

  /// As the search ranks by it.
  double cosine(std::size_t other) const {
    const float* row = rows_.read(0, nullptr);
    const float* other_row = rows_.read(other, nullptr);
    return rows_.kernels().exact_dot(row, other_row, rows_.depth()) / (norms_[0] * norms_[other]);
  }

  void offer(std::size_t other, float lower, float upper) {
    if (upper >= *reservoirs_.thresholds(0)) {
      reservoirs_.push(0, static_cast<std::int32_t>(other), {lower, upper}, desk_);
    }
  }

  std::vector<std::int32_t> nearest() {
    reservoirs_.finish(0, k_, desk_);
    std::vector<std::int32_t> ids;
    for (const knn::RankedNeighbour& neighbour : desk_.nearest) {
      ids.push_back(neighbour.id);
    }
    return ids;
  }

 private:
  static std::vector<double> norms_of(const knn::RowSource& rows) {
    std::vector<double> norms(rows.num_rows());
    SilentMonitor monitor;
    knn::row_norms(rows, 1, monitor, {norms.data(), norms.size()});
    return norms;
  }

  knn::RowSource rows_;
  std::vector<double> norms_;
  std::vector<std::int32_t> order_;
  knn::ExactRanking ranking_;
  knn::Reservoirs reservoirs_;
  knn::ExactRanking::Desk desk_;
  std::size_t k_;
};

/// Rows at growing angles to row 0: row i is its i-th neighbour.
Pool fan(std::size_t n) {
  Pool pool{std::vector<float>(n * 2), n, 2};
  for (std::size_t i = 0; i < n; ++i) {
    const double angle = 0.003 * static_cast<double>(i);
    pool.values[2 * i] = static_cast<float>(std::cos(angle));
    pool.values[2 * i + 1] = static_cast<float>(std::sin(angle));
  }
  return pool;
}

TEST(bounds_that_are_as_wrong_as_they_may_be_lose_no_neighbour) {
  // The bounds err as far as they may, for neighbours downwards (upper = the cosine itself) and for
  // all others upwards (lower = the cosine itself).
  constexpr std::size_t kRows = 400;
  constexpr std::size_t k = 5;
  constexpr double kWidth = 0.002;
  const Pool pool = fan(kRows);
  FirstRow first(pool, k);
  const auto offer = [&](std::size_t other, double below, double above) {
    const double cosine = first.cosine(other);
    first.offer(other, std::nextafter(static_cast<float>(cosine - below), -2.0F),
                std::nextafter(static_cast<float>(cosine + above), 2.0F));
  };
  for (std::size_t other = kRows - 1; other > k; --other) {
    offer(other, 0.0, kWidth);
  }
  for (std::size_t other = 1; other <= k; ++other) {
    offer(other, kWidth, 0.0);
  }
  CHECK((first.nearest() == std::vector<std::int32_t>{1, 2, 3, 4, 5}));
}

TEST(bounds_that_lie_on_a_step_and_tie_lose_no_neighbour) {
  // Row 0 is an axis, all others have a cosine of just 0.5 with it.
  constexpr std::size_t kRows = 61;
  constexpr std::size_t k = 5;
  Pool pool{std::vector<float>(kRows * 4, 0.5F), kRows, 4};
  for (std::size_t i = 0; i < kRows; ++i) {
    for (std::size_t c = 1; c < 4; ++c) {
      pool.values[4 * i + c] *= (i >> (c - 1)) % 2 == 0 ? 1.0F : -1.0F;
    }
  }
  std::copy_n(std::vector<float>{1.0F, 0.0F, 0.0F, 0.0F}.begin(), 4, pool.values.begin());
  FirstRow first(pool, k);
  for (std::size_t other = kRows - 1; other > 0; --other) {
    first.offer(other, 0.5F, 0.5F);
  }
  CHECK((first.nearest() == std::vector<std::int32_t>{1, 2, 3, 4, 5}));
}

TEST(cosines_within_one_step_lose_no_neighbour) {
  // Bounds without any width, the least similar first: each one pushed is the nearest so far.
  constexpr std::size_t kRows = 300;
  constexpr std::size_t k = 5;
  Pool pool{std::vector<float>(kRows * 2), kRows, 2};
  pool.values[0] = 1.0F;
  for (std::size_t i = 1; i < kRows; ++i) {
    const double angle = 0.9273 + 1e-7 * static_cast<double>(i);
    pool.values[2 * i] = static_cast<float>(std::cos(angle));
    pool.values[2 * i + 1] = static_cast<float>(std::sin(angle));
  }
  FirstRow first(pool, k);
  for (std::size_t other = kRows - 1; other > 0; --other) {
    const auto cosine = static_cast<float>(first.cosine(other));
    first.offer(other, std::nextafter(cosine, -2.0F), std::nextafter(cosine, 2.0F));
  }
  std::vector<std::int32_t> expected = brute_force_in_float64(pool, k).ids;
  expected.resize(k);  // of row 0
  CHECK(first.nearest() == expected);
}

TEST(first_thresholds_lie_below_the_kth_cosine) {
  // Axes and their opposites, two of each: the mean is 0 and the codes are all but exact. Of a row,
  // one other has the cosine 1, two have -1, all others 0.
  constexpr std::size_t kDepth = 32;
  constexpr std::size_t kRows = 4 * kDepth;
  Pool pool{std::vector<float>(kRows * kDepth), kRows, kDepth};
  for (std::size_t i = 0; i < kRows; ++i) {
    pool.values[i * kDepth + i % kDepth] = i / kDepth % 2 == 0 ? 1.0F : -1.0F;
  }
  const std::vector<double> norms(kRows, 1.0);
  std::vector<std::int32_t> order(kRows);
  std::iota(order.begin(), order.end(), 0);
  SilentMonitor monitor;
  const VectorView<const std::int32_t> places{order.data(), kRows};
  for (const simd::Level level : simd::available_levels()) {
    const knn::RowSource rows(pool.view(), simd::kernels(level));
    const knn::QuantisedRows quantised(rows, {norms.data(), kRows}, places, 1, monitor);
    const knn::ExactRanking ranking(rows, {norms.data(), kRows}, places);
    const double kth_cosines[][2] = {{1, 1.0}, {2, 0.0}, {9, 0.0}, {kRows - 1, -1.0}};
    for (const auto& [neighbours, cosine] : kth_cosines) {
      const auto k = static_cast<std::size_t>(neighbours);
      knn::Reservoirs reservoirs(kRows, k, kDepth, kDepth, ranking, rows.kernels());
      knn::raise_first_thresholds(quantised, rows.kernels(), k, 2, monitor, reservoirs);
      bool below = true;
      bool near = true;
      for (std::size_t row = 0; row < kRows; ++row) {
        const double threshold = *reservoirs.thresholds(row);
        below = below && threshold <= cosine;
        near = near && threshold > cosine - 0.001;
      }
      CHECK(below);
      CHECK(near || cosine == -1.0);
    }
  }
}

TEST(slacks_cover_what_the_codes_leave_whichever_chunk_a_row_is_in) {
  // Rows around one direction, and far from it the last ones, whose codes are the longest.
  constexpr std::size_t kDepth = 64;
  constexpr std::size_t kRows = 7000;
  Pool pool{random_values(kRows * kDepth, 31), kRows, kDepth};
  for (std::size_t i = 0; i < (kRows - 3) * kDepth; ++i) {
    pool.values[i] = 0.05F * pool.values[i] + pool.values[kRows * kDepth - kDepth + i % kDepth];
  }
  std::vector<std::int32_t> order(kRows);
  std::iota(order.begin(), order.end(), 0);
  std::vector<double> norms(kRows);
  SilentMonitor monitor;
  for (const simd::Level level : simd::available_levels()) {
    const knn::RowSource rows(pool.view(), simd::kernels(level));
    const std::size_t group = rows.kernels().codes.format.group;
    knn::row_norms(rows, 1, monitor, {norms.data(), kRows});
    const knn::QuantisedRows quantised(rows, {norms.data(), kRows}, {order.data(), kRows}, 3,
                                       monitor);
    std::vector<double> mean(kDepth);
    for (std::size_t i = 0; i < kRows * kDepth; ++i) {
      mean[i % kDepth] += pool.values[i] / norms[i / kDepth] / kRows;
    }
    std::vector<double> residuals(kRows);
    double factor = 0.0;
    for (std::size_t i = 0; i < kRows; ++i) {
      const std::size_t panel = i / simd::kPanelRows;
      const std::size_t place = i % simd::kPanelRows;
      double residual = 0.0;
      double length = 0.0;
      for (std::size_t c = 0; c < kDepth; ++c) {
        const std::size_t at = c / group * simd::kPanelRows * group + place * group + c % group;
        const double code =
            static_cast<double>(quantised.bounds(panel).scales[place]) * quantised.panel(panel)[at];
        const double rest = pool.values[i * kDepth + c] / norms[i] - mean[c] - code;
        residual += rest * rest;
        length += code * code;
      }
      residuals[i] = std::sqrt(residual);
      factor = std::max(factor, std::sqrt(length) + 0.5 * residuals[i]);
    }
    bool covered = true;
    for (std::size_t i = 0; i < kRows; ++i) {
      const double slack = quantised.slacks(i / simd::kPanelRows)[i % simd::kPanelRows];
      covered = covered && slack >= factor * residuals[i] && slack < factor * residuals[i] + 1e-4;
    }
    CHECK(covered);
  }
}

TEST(rows_all_but_equal_to_the_mean_are_searched) {
  const std::size_t n = 200;
  Pool pool{std::vector<float>(n * 2, 1.0F), n, 2};
  for (std::size_t i = 0; i < n; ++i) {
    pool.values[2 * i + 1] = static_cast<float>(i) * 1e-36F;
  }
  const Graph expected = brute_force_in_float64(pool, 4);
  for (const simd::Level level : simd::available_levels()) {
    CHECK(same(search(pool, 4, 2, level), expected));
  }
}

std::size_t dots_counted = 0;

void count_exact_dots(const float* x, const float* const* others, std::size_t depth, double* dots) {
  dots_counted += simd::kDotsAtOnce;
  simd::kernels(simd::Level::kBaseline).exact_dots(x, others, depth, dots);
}

TEST(few_pairs_are_left_to_float64) {
  // Rows around 60 centres. Some 20 candidates a row for k = 10 is what the int8 bound leaves.
  constexpr std::size_t kDepth = 128;
  constexpr std::size_t kRows = 3000;
  const std::vector<float> centres = random_values(60 * kDepth, 32);
  Pool pool{random_values(kRows * kDepth, 33), kRows, kDepth};
  for (std::size_t i = 0; i < pool.values.size(); ++i) {
    pool.values[i] += centres[i / kDepth % 60 * kDepth + i % kDepth];
  }
  for (const simd::Level level : simd::available_levels()) {
    simd::KernelTable kernels = simd::kernels(level);
    kernels.exact_dots = &count_exact_dots;
    dots_counted = 0;
    search(knn::RowSource(pool.view(), kernels), 10, 1);
    CHECK(dots_counted >= 10 * kRows);
    CHECK(dots_counted < (kernels.codes.format.largest == 127 ? 60 : 100) * kRows);
  }
}

TEST(steps_round_outwards_and_stay_in_range) {
  const float bounds[] = {-3.0F, -1.0F,    -0.99999F, -0x1p-15F, -1e-9F,  0.0F, 1e-9F,
                          0.5F,  0.50001F, 0.99998F,  0.999999F, 1.0001F, 40.0F};
  for (const float bound : bounds) {
    const std::int16_t above = knn::step_above(bound);
    const std::int16_t below = knn::step_below(bound);
    CHECK(knn::step_value(above) >= bound || above == knn::kLastStep);
    CHECK(knn::step_value(below) <= bound || below == knn::kLeastStep);
    CHECK(above - below <= 1);
  }
  CHECK(knn::step_above(0.5F) == 16384 && knn::step_below(0.5F) == 16384);
}

TEST(of_many_copies_only_the_first_are_searched) {
  // Rows 0, 3, 6, ... are one set of copies, the others differ from each other.
  const std::size_t n = 60;
  Pool pool{random_values(n * 7, 21), n, 7};
  for (std::size_t row = 3; row < n; row += 3) {
    std::copy_n(pool.values.begin(), 7, pool.values.begin() + static_cast<std::ptrdiff_t>(row * 7));
  }
  const knn::RowSource rows(pool.view(), simd::kernels(simd::Level::kBaseline));
  std::vector<double> norms(n);
  SilentMonitor monitor;
  knn::row_norms(rows, 1, monitor, {norms.data(), n});
  const knn::Copies copies = knn::find_copies(rows, {norms.data(), n}, 4, monitor);
  std::vector<std::int32_t> searched;
  std::vector<std::int32_t> rest;
  for (std::int32_t row = 0; row < 60; ++row) {
    (row % 3 == 0 && row > 12 ? rest : searched).push_back(row);
  }
  CHECK(copies.searched == searched);
  CHECK(copies.rest.size() == rest.size());
  for (std::size_t i = 0; i < rest.size(); ++i) {
    CHECK(copies.rest[i].row == rest[i] && copies.rest[i].first == 0);
  }
  CHECK(knn::find_copies(rows, {norms.data(), n}, 20, monitor).rest.empty());
}

TEST(rows_that_differ_in_their_second_half_alone_are_no_copies) {
  // All of one norm, and all but their signs the same.
  const std::size_t n = 16;
  Pool pool{std::vector<float>(n * 8, 1.0F), n, 8};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t bit = 0; bit < 4; ++bit) {
      pool.values[i * 8 + 4 + bit] = (i >> bit) % 2 == 0 ? 1.0F : -1.0F;
    }
  }
  const std::vector<double> norms(n, std::sqrt(8.0));
  const knn::RowSource rows(pool.view(), simd::kernels(simd::Level::kBaseline));
  SilentMonitor monitor;
  CHECK(knn::find_copies(rows, {norms.data(), n}, 2, monitor).rest.empty());
}

TEST(pools_with_copies_equal_brute_force) {
  // Of 30 directions, some with many copies, some with none; k lies on both sides of their numbers.
  const std::size_t n = 500;
  Pool pool{random_values(n * 12, 22), n, 12};
  std::mt19937 generator(23);
  for (std::size_t row = 30; row < n; ++row) {
    const std::size_t source = generator() % 30 * (generator() % 4 == 0 ? 1 : 0);
    if (row % 5 != 0) {
      std::copy_n(pool.values.begin() + static_cast<std::ptrdiff_t>(source * 12), 12,
                  pool.values.begin() + static_cast<std::ptrdiff_t>(row * 12));
    }
  }
  for (const std::size_t k : {1U, 9U, 60U, 499U}) {
    const Graph expected = brute_force(pool, k);
    for (const simd::Level level : simd::available_levels()) {
      CHECK(search(pool, k, 2, level).ids == expected.ids);
    }
  }
}

TEST(rows_of_halves_and_rows_apart_give_the_same_graph) {
  const std::size_t n = 700;
  const std::size_t depth = 37;
  std::mt19937 generator(24);
  std::vector<std::uint16_t> halves(n * depth);
  for (std::uint16_t& half : halves) {  // of magnitudes from 2^-14 to 2, a few subnormal
    half = static_cast<std::uint16_t>(generator() % 0x4000 | (generator() % 2 << 15));
  }
  Pool pool{std::vector<float>(n * depth), n, depth};
  simd::kernels(simd::Level::kBaseline)
      .widen_halves(halves.data(), halves.size(), pool.values.data());
  const std::size_t apart = depth + 11;
  std::vector<float> spread(n * apart, 1e9F);
  for (std::size_t row = 0; row < n; ++row) {
    std::copy_n(pool.values.begin() + static_cast<std::ptrdiff_t>(row * depth), depth,
                spread.begin() + static_cast<std::ptrdiff_t>((n - 1 - row) * apart));
  }
  const Graph expected = brute_force(pool, 6);
  using Type = knn::RowSource::Type;
  for (const simd::Level level : simd::available_levels()) {
    const simd::KernelTable& kernels = simd::kernels(level);
    const knn::RowSource narrow(reinterpret_cast<const std::byte*>(halves.data()), n, depth,
                                2 * depth, Type::kFloat16, kernels);
    const knn::RowSource backwards(
        reinterpret_cast<const std::byte*>(spread.data() + (n - 1) * apart), n, depth,
        -static_cast<std::ptrdiff_t>(4 * apart), Type::kFloat32, kernels);
    const Graph graph = search(pool, 6, 2, level);
    CHECK(graph.ids == expected.ids);
    CHECK(same(search(narrow, 6, 2), graph));
    CHECK(same(search(backwards, 6, 2), graph));
  }
}

TEST(bounds_by_codes_hold_for_every_pair) {
  for (const std::size_t depth : {1U, 3U, 64U, 383U, 1025U}) {
    Pool pool{random_values(96 * depth, 17), 96, depth};
    for (std::size_t i = 0; i < depth; ++i) {
      pool.values[5 * depth + i] = pool.values[60 * depth + i];  // an equal pair
      pool.values[6 * depth + i] = -pool.values[61 * depth + i];
      pool.values[7 * depth + i] *= 1e-20F;
    }
    pool.values[8 * depth] = 1e6F;  // one huge coordinate
    std::vector<double> norms(pool.n);
    std::vector<std::int32_t> order(pool.n);
    std::iota(order.begin(), order.end(), 0);
    std::reverse(order.begin(), order.end());
    SilentMonitor monitor;
    const VectorView<const std::int32_t> places{order.data(), order.size()};
    for (const simd::Level level : simd::available_levels()) {
      const simd::KernelTable& kernels = simd::kernels(level);
      const knn::RowSource rows(pool.view(), kernels);
      knn::row_norms(rows, 1, monitor, {norms.data(), pool.n});
      const knn::QuantisedRows quantised(rows, {norms.data(), pool.n}, places, 2, monitor);
      const knn::PairFilter filter(quantised, kernels);
      const std::vector<float> all(simd::kPanelRows, -std::numeric_limits<float>::infinity());
      const auto hits = std::make_unique<knn::Hits>();
      filter.find(0, 1, all.data(), all.data(), *hits);
      CHECK(hits->count == simd::kTileSize);
      bool hold = true;
      double widest = 0.0;
      for (std::size_t i = 0; i < hits->count; ++i) {
        const auto row = static_cast<std::size_t>(order[hits->codes[i] / simd::kPanelRows]);
        const auto column =
            static_cast<std::size_t>(order[simd::kPanelRows + hits->codes[i] % simd::kPanelRows]);
        const double cosine =
            kernels.exact_dot(pool.view().row(row), pool.view().row(column), depth) /
            (norms[row] * norms[column]);
        const knn::Bounds bounds = hits->bounds[i];
        hold = hold && bounds.lower <= cosine && cosine <= bounds.upper;
        if (row != 8 && column != 8) {  // not the row with the huge coordinate
          widest = std::max(widest, static_cast<double>(bounds.upper - bounds.lower));
        }
      }
      CHECK(hold);
      // And they are of use. A code is off by half a step at most, so a row of norm 1 by half a
      // step times sqrt(depth); a step is the largest value over the largest code, and none is
      // above 6 in rows that have norm sqrt(depth). Both rows count, upwards and downwards, times
      // their norms, which are below 1.2.
      const double residual = 0.5 * 6.0 / kernels.codes.format.largest;
      CHECK(depth < 64 || widest <= 2.0 * 2.0 * 1.2 * residual + 1e-4);
    }
  }
}

/// Lists of a block's rows, and room for them.
struct Lists {
  Lists(std::size_t n, std::size_t k)
      : ids(n * k, 77), similarities(n * k, 77.0), num_rows(n), width(k) {}

  knn::NearestLists view() {
    return {{ids.data(), num_rows, width}, {similarities.data(), num_rows, width}};
  }
  knn::ConstNearestLists read() const {
    return {{ids.data(), num_rows, width}, {similarities.data(), num_rows, width}};
  }

  std::vector<std::int32_t> ids;
  std::vector<double> similarities;
  std::size_t num_rows;
  std::size_t width;
};

/// Ids and float32 similarities of a pool cut in two, by all three searches and merging.
Graph search_in_two(const Pool& pool, std::size_t cut, std::size_t k, std::size_t threads,
                    simd::Level level, bool with_floors) {
  SilentMonitor monitor;
  const simd::KernelTable& kernels = simd::kernels(level);
  const std::size_t sizes[] = {cut, pool.n - cut};
  const knn::RowSource rows[] = {
      knn::RowSource({pool.values.data(), sizes[0], pool.d}, kernels),
      knn::RowSource({pool.values.data() + cut * pool.d, sizes[1], pool.d}, kernels)};
  const std::int32_t first_ids[] = {0, static_cast<std::int32_t>(cut)};
  Lists near[] = {Lists(sizes[0], k), Lists(sizes[1], k)};
  Lists far[] = {Lists(sizes[0], k), Lists(sizes[1], k)};
  std::vector<double> norms[2];
  std::vector<double> floors[2];
  for (std::size_t side = 0; side < 2; ++side) {
    norms[side].resize(sizes[side]);
    knn::row_norms(rows[side], threads, monitor, {norms[side].data(), sizes[side]});
    knn::search_within(
        {rows[side], {norms[side].data(), sizes[side]}, first_ids[side], near[side].view()},
        threads, monitor);
    for (std::size_t row = 0; with_floors && row < sizes[side]; ++row) {
      floors[side].push_back(near[side].similarities[row * k + k - 1]);
    }
  }
  knn::search_between({rows[0], {norms[0].data(), sizes[0]}, 0, far[0].view()},
                      {floors[0].data(), floors[0].size()},
                      {rows[1], {norms[1].data(), sizes[1]}, first_ids[1], far[1].view()},
                      {floors[1].data(), floors[1].size()}, threads, monitor);
  Graph graph;
  for (std::size_t side = 0; side < 2; ++side) {
    knn::merge_lists(near[side].read(), far[side].read(), threads, monitor, near[side].view());
    graph.ids.insert(graph.ids.end(), near[side].ids.begin(), near[side].ids.end());
    for (const double similarity : near[side].similarities) {
      graph.similarities.push_back(static_cast<float>(similarity));
    }
  }
  return graph;
}

TEST(two_blocks_equal_brute_force_at_every_level_and_thread_count) {
  // Rows, depth, where they are cut, k: panels full and not, one row, fewer rows than k.
  const std::size_t shapes[][4] = {
      {97, 33, 48, 7}, {500, 20, 1, 10}, {700, 130, 300, 17}, {60, 5, 20, 40}};
  for (const auto& shape : shapes) {
    Pool pool{random_values(shape[0] * shape[1], 41), shape[0], shape[1]};
    for (std::size_t row = 3; row < pool.n; row += 7) {  // copies, on both sides
      std::copy_n(pool.values.begin(), pool.d,
                  pool.values.begin() + static_cast<std::ptrdiff_t>(row * pool.d));
    }
    const Graph expected = brute_force_in_float64(pool, shape[3]);
    for (const simd::Level level : simd::available_levels()) {
      for (const std::size_t threads : {1U, 2U, 7U}) {
        for (const bool with_floors : {false, true}) {
          CHECK(
              same(search_in_two(pool, shape[2], shape[3], threads, level, with_floors), expected));
        }
      }
    }
  }
}

TEST(floors_leave_fewer_pairs_to_float64) {
  constexpr std::size_t kDepth = 64;
  constexpr std::size_t kRows = 2000;
  const Pool pool{random_values(kRows * kDepth, 43), kRows, kDepth};
  std::size_t counted[2] = {};
  for (const bool with_floors : {false, true}) {
    simd::KernelTable kernels = simd::kernels(simd::Level::kBaseline);
    kernels.exact_dots = &count_exact_dots;
    const knn::RowSource rows({pool.values.data(), kRows / 2, kDepth}, kernels);
    const knn::RowSource others({pool.values.data() + kRows / 2 * kDepth, kRows / 2, kDepth},
                                kernels);
    std::vector<double> norms(kRows / 2, 8.0);
    const std::vector<double> floors(with_floors ? kRows / 2 : 0, 0.9);
    Lists left(kRows / 2, 5);
    Lists right(kRows / 2, 5);
    SilentMonitor monitor;
    knn::row_norms(rows, 1, monitor, {norms.data(), norms.size()});
    std::vector<double> other_norms(kRows / 2);
    knn::row_norms(others, 1, monitor, {other_norms.data(), other_norms.size()});
    dots_counted = 0;
    knn::search_between({rows, {norms.data(), norms.size()}, 0, left.view()},
                        {floors.data(), floors.size()},
                        {others, {other_norms.data(), other_norms.size()}, 1000, right.view()},
                        {floors.data(), floors.size()}, 1, monitor);
    counted[with_floors ? 1 : 0] = dots_counted;
  }
  CHECK(counted[0] >= 5 * kRows);
  CHECK(counted[1] == 0);  // no two of so many random directions have a cosine of nearly 0.9
}

TEST(a_search_of_two_blocks_can_be_stopped_at_work) {
  const Pool pool{random_values(9000 * 256, 13), 9000, 256};
  const std::vector<double> norms(pool.n, 16.0);
  const simd::KernelTable& kernels = simd::kernels(simd::Level::kBaseline);
  const knn::RowSource left({pool.values.data(), 4000, 256}, kernels);
  const knn::RowSource right({pool.values.data() + 4000 * 256, 5000, 256}, kernels);
  Lists left_lists(4000, 5);
  Lists right_lists(5000, 5);
  StopAtWork monitor;
  CHECK_THROWS(
      knn::search_between({left, {norms.data(), 4000}, 0, left_lists.view()}, {},
                          {right, {norms.data(), 5000}, 4000, right_lists.view()}, {}, 3, monitor),
      std::runtime_error);
}

}  // namespace
