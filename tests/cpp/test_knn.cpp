#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/parallel_for.hpp"
#include "knn/code_filter.hpp"
#include "knn/exact_search.hpp"
#include "knn/packed_rows.hpp"
#include "knn/pair_schedule.hpp"
#include "knn/quantised_rows.hpp"
#include "knn/reservoirs.hpp"
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

Graph search(const Pool& pool, std::size_t k, std::size_t threads, simd::Level level) {
  const simd::KernelTable& kernels = simd::kernels(level);
  SilentMonitor monitor;
  std::vector<double> norms(pool.n);
  knn::row_norms(pool.view(), threads, kernels, monitor, {norms.data(), norms.size()});
  Graph graph{std::vector<std::int32_t>(pool.n * k), std::vector<float>(pool.n * k)};
  knn::exact_search(pool.view(), {norms.data(), norms.size()}, threads, kernels, monitor,
                    {graph.ids.data(), pool.n, k}, {graph.similarities.data(), pool.n, k});
  return graph;
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
  const Graph expected = search(pool, 5, 1, simd::Level::kBaseline);
  for (const simd::Level level : simd::available_levels()) {
    CHECK(same(search(pool, 5, 3, level), expected));
  }
}

TEST(the_error_bound_holds_on_packed_rows) {
  for (const std::size_t depth : {3U, 384U, 2000U}) {
    const Pool pool{random_values(96 * depth, 12), 96, depth};
    SilentMonitor monitor;
    std::vector<double> norms(pool.n);
    const simd::KernelTable& kernels = simd::kernels(simd::Level::kBaseline);
    knn::row_norms(pool.view(), 1, kernels, monitor, {norms.data(), norms.size()});
    std::vector<std::int32_t> order(pool.n);
    std::iota(order.begin(), order.end(), 0);
    const knn::PackedRows packed(pool.view(), {norms.data(), norms.size()},
                                 {order.data(), order.size()}, 2, monitor);
    CHECK(packed.num_panels() == 2);
    std::vector<float> products(simd::kTileSize);
    for (const simd::Level level : simd::available_levels()) {
      simd::kernels(level).tile_products(packed.panel(0), packed.panel(1), depth, products.data());
      bool within = true;
      for (std::size_t r = 0; r < simd::kPanelRows; ++r) {
        for (std::size_t c = 0; c < simd::kPanelRows; ++c) {
          const std::size_t other = simd::kPanelRows + c;
          const double cosine =
              kernels.exact_dot(pool.view().row(r), pool.view().row(other), depth) /
              (norms[r] * norms[other]);
          within = within &&
                   std::abs(products[r * simd::kPanelRows + c] - cosine) <= packed.error_bound();
        }
      }
      CHECK(within);
    }
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
  CHECK_THROWS(knn::exact_search(pool.view(), {norms.data(), norms.size()}, 3,
                                 simd::kernels(simd::Level::kBaseline), monitor,
                                 {ids.data(), pool.n, 5}, {similarities.data(), pool.n, 5}),
               std::runtime_error);
}

/// Only slacks: for reservoirs that are fed by hand.
class FixedSlack final : public knn::PairFilter {
 public:
  explicit FixedSlack(float slack) : slack_(slack) {}
  void find(std::size_t, std::size_t, const float*, const float*, knn::Hits&) const override {}
  float slack(std::size_t) const override { return slack_; }

 private:
  float slack_;
};

TEST(bounds_that_are_as_wrong_as_they_may_be_lose_no_neighbour) {
  // Row 0 and rows at growing angles to it: row i is its i-th neighbour. The bounds err as far as
  // the slack lets them, for neighbours downwards (upper = the cosine itself) and for all others
  // upwards.
  const std::size_t n = 400;
  const std::size_t k = 5;
  Pool pool{std::vector<float>(n * 2), n, 2};
  for (std::size_t i = 0; i < n; ++i) {
    const double angle = 0.003 * static_cast<double>(i);
    pool.values[2 * i] = static_cast<float>(std::cos(angle));
    pool.values[2 * i + 1] = static_cast<float>(std::sin(angle));
  }
  std::vector<double> norms(n);
  std::vector<std::int32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  SilentMonitor monitor;
  const simd::KernelTable& kernels = simd::kernels(simd::Level::kBaseline);
  knn::row_norms(pool.view(), 1, kernels, monitor, {norms.data(), n});
  const knn::ExactRanking ranking(pool.view(), {norms.data(), n}, {order.data(), n}, kernels);
  const double slack = 0.0005;
  const FixedSlack filter(static_cast<float>(slack));
  knn::Reservoirs reservoirs(n, k, filter, ranking);
  const auto push = [&](std::size_t other, double beyond_cosine) {
    const double upper = ranking.rank(0, other).similarity + beyond_cosine;
    const float rounded = std::nextafter(static_cast<float>(upper), 2.0F);
    if (rounded >= *reservoirs.thresholds(0)) {
      reservoirs.push(0, static_cast<std::int32_t>(other), rounded);
    }
  };
  for (std::size_t other = n - 1; other > k; --other) {
    push(other, 3.999 * slack);  // the lower bound, upper - 4 slack, is the cosine
  }
  for (std::size_t other = 1; other <= k; ++other) {
    push(other, 0.0);
  }
  std::vector<knn::RankedNeighbour> nearest;
  reservoirs.finish(0, nearest);
  CHECK(nearest.size() == k);
  for (std::size_t place = 0; place < k; ++place) {
    CHECK(nearest[place].id == static_cast<std::int32_t>(place + 1));
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
    const simd::KernelTable& baseline = simd::kernels(simd::Level::kBaseline);
    knn::row_norms(pool.view(), 1, baseline, monitor, {norms.data(), pool.n});
    const VectorView<const std::int32_t> places{order.data(), order.size()};
    const knn::QuantisedRows quantised(pool.view(), {norms.data(), pool.n}, places, 2, monitor);
    const knn::ExactRanking ranking(pool.view(), {norms.data(), pool.n}, places, baseline);
    for (const simd::Level level : simd::available_levels()) {
      if (simd::kernels(level).code_products == nullptr) {
        continue;
      }
      const knn::CodeFilter filter(quantised, simd::kernels(level));
      const std::vector<float> all(simd::kPanelRows, -std::numeric_limits<float>::infinity());
      const auto hits = std::make_unique<knn::Hits>();
      filter.find(0, 1, all.data(), all.data(), *hits);
      CHECK(hits->count == simd::kTileSize);
      bool hold = true;
      for (std::size_t i = 0; i < hits->count; ++i) {
        const std::size_t row = hits->codes[i] / simd::kPanelRows;
        const std::size_t column = simd::kPanelRows + hits->codes[i] % simd::kPanelRows;
        const double cosine = ranking.rank(row, column).similarity;
        const double upper = hits->uppers[i];
        const double width = 2.0 * (filter.slack(row) + filter.slack(column));
        hold = hold && upper - width <= cosine && cosine <= upper;
      }
      CHECK(hold);
    }
  }
}

}  // namespace
