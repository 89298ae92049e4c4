#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/monitor.hpp"
#include "core/sampling_keys.hpp"
#include "curation/rank_rule.hpp"
#include "curation/sampling.hpp"
#include "curation/simifeat.hpp"

namespace {

namespace curation = ds2fast::curation;
using Levels = std::vector<std::int8_t>;

/// splitmix64 as its author publishes it: a counter and a mix.
class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }

 private:
  std::uint64_t state_;
};

Levels random_levels(std::size_t num_rows, std::size_t num_levels, unsigned rated_percent) {
  std::mt19937 generator(3);
  Levels levels(num_rows);
  for (std::int8_t& level : levels) {
    const bool rated = generator() % 100 < rated_percent;
    level = rated ? static_cast<std::int8_t>(generator() % num_levels) : std::int8_t{-1};
  }
  return levels;
}

std::vector<std::uint8_t> draw(const Levels& levels, std::size_t round, std::size_t threads) {
  curation::RoundSampler sampler({levels.data(), levels.size()}, 42, threads);
  std::vector<std::uint8_t> drawn(levels.size());
  ds2fast::SilentMonitor monitor;
  sampler.draw(round, {drawn.data(), drawn.size()}, monitor);
  return drawn;
}

TEST(keys_are_splitmix64_of_a_stream_a_round) {
  CHECK(SplitMix64(1234567).next() == 6457827717110365317U);  // a published test vector
  SplitMix64 streams(42);
  for (std::size_t round = 0; round < 3; ++round) {
    SplitMix64 expected(streams.next());
    const ds2fast::SamplingKeys keys(42, round);
    for (std::size_t row = 0; row < 5; ++row) {
      CHECK(keys(row) == expected.next());
    }
  }
}

TEST(a_round_draws_the_rated_rows_of_smallest_keys) {
  for (const auto& [num_rows, rated_percent] :
       {std::pair{50000U, 100U}, {50000U, 10U}, {37U, 60U}, {1U, 100U}, {10U, 100U}}) {
    const Levels levels = random_levels(num_rows, 6, rated_percent);
    const ds2fast::SamplingKeys keys(42, 5);
    std::vector<std::size_t> rated;
    for (std::size_t row = 0; row < levels.size(); ++row) {
      if (levels[row] >= 0) {
        rated.push_back(row);
      }
    }
    std::sort(rated.begin(), rated.end(), [&](std::size_t x, std::size_t y) {
      return std::pair{keys(x), x} < std::pair{keys(y), y};
    });
    std::vector<std::uint8_t> expected(levels.size(), curation::kNotDrawn);
    for (std::size_t rank = 0; rank < rated.size() * 9 / 10; ++rank) {
      expected[rated[rank]] = static_cast<std::uint8_t>(levels[rated[rank]]);
    }
    CHECK(draw(levels, 5, 1) == expected);
    CHECK(draw(levels, 5, 2) == expected);
    CHECK(draw(levels, 5, 7) == expected);
  }
}

/// The rule by its definition: sort s, interpolate, compare.
std::vector<bool> plain_flags(const std::vector<double>& floored_shares, double error_rate) {
  std::vector<double> disagreement(floored_shares.size());
  std::transform(floored_shares.begin(), floored_shares.end(), disagreement.begin(),
                 [](double share) { return -std::log(share); });
  std::vector<double> sorted = disagreement;
  std::sort(sorted.begin(), sorted.end());
  const double position = (1.0 - error_rate) * static_cast<double>(sorted.size() - 1);
  const auto rank = static_cast<std::size_t>(position);
  const double next = sorted[std::min(rank + 1, sorted.size() - 1)];
  const double threshold =
      sorted[rank] + (next - sorted[rank]) * (position - static_cast<double>(rank));
  std::vector<bool> flags;
  flags.reserve(disagreement.size());
  for (const double s : disagreement) {
    flags.push_back(s >= threshold);
  }
  return flags;
}

TEST(rank_rule_is_the_percentile_of_the_disagreement) {
  std::mt19937 generator(17);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  for (const std::size_t size : {1U, 2U, 3U, 10U, 1000U}) {
    for (const double rate : {0.05, 0.25, 0.3, 0.5, 0.8125, 0.95}) {
      // Few distinct values, or many: ties must be flagged together.
      for (const double grain : {4.0, 1e9}) {
        std::vector<double> shares(size);
        std::generate(shares.begin(), shares.end(), [&] {
          return std::round(uniform(generator) * grain) / grain + curation::kShareFloor;
        });
        const std::vector<bool> expected = plain_flags(shares, rate);
        std::vector<double> scratch = shares;
        const curation::RankRule rule(scratch, rate);
        for (std::size_t at = 0; at < size; ++at) {
          CHECK(rule.flags(shares[at]) == expected[at]);
        }
      }
    }
  }
  CHECK(!curation::RankRule().flags(curation::kShareFloor));
}

/// A ring of rows, each with the `width` rows behind it as neighbours.
struct Ring {
  Ring(Levels given, std::size_t width, float first)
      : levels(std::move(given)), indices(levels.size() * width), similarities(indices.size()) {
    const std::size_t n = levels.size();
    for (std::size_t at = 0; at < indices.size(); ++at) {
      const std::size_t rank = at % width;
      indices[at] = static_cast<std::int32_t>((at / width + n - rank - 1) % n);
      similarities[at] = first - 0.03F * static_cast<float>(rank);
    }
  }

  curation::VoteInput input(const std::vector<double>& rates, std::size_t counted,
                            std::size_t rounds) const {
    const std::size_t width = indices.size() / levels.size();
    return {{levels.data(), levels.size()},
            {indices.data(), levels.size(), width},
            {similarities.data(), levels.size(), width},
            {rates.data(), rates.size()},
            counted,
            rounds,
            1};
  }

  Levels levels;
  std::vector<std::int32_t> indices;
  std::vector<float> similarities;
};

struct Tally {
  Tally(std::size_t num_rows, std::size_t num_levels)
      : seen(num_rows, -1), flagged(num_rows, -1), suggestions(num_rows * num_levels, -1) {}

  bool operator==(const Tally& other) const {
    return seen == other.seen && flagged == other.flagged && suggestions == other.suggestions;
  }

  std::vector<std::int32_t> seen;
  std::vector<std::int32_t> flagged;
  std::vector<std::int32_t> suggestions;
};

Tally run(const curation::VoteInput& input, std::size_t threads) {
  const std::size_t n = input.levels.size;
  const std::size_t k = input.error_rates.size;
  Tally tally(n, k);
  ds2fast::SilentMonitor monitor;
  curation::simifeat_votes(
      input, threads, monitor,
      {{tally.seen.data(), n}, {tally.flagged.data(), n}, {tally.suggestions.data(), n, k}});
  return tally;
}

TEST(a_clean_pool_is_never_flagged) {
  const Ring ring(Levels(200, 1), 6, 1.0F);
  const Tally tally = run(ring.input({0.9, 0.9, 0.9}, 5, 20), 2);
  CHECK(std::accumulate(tally.seen.begin(), tally.seen.end(), 0) == 20 * 180);
  CHECK(std::all_of(tally.flagged.begin(), tally.flagged.end(), [](int n) { return n == 0; }));
}

TEST(the_row_that_its_neighbours_contradict_is_flagged_whenever_seen) {
  Levels levels(100, 0);
  std::fill(levels.begin() + 50, levels.end(), std::int8_t{2});
  levels[20] = 2;  // all its neighbours say 0
  const Ring ring(levels, 6, 0.95F);
  // Level 2 holds 51 rows, about 46 of them in a round; a rate of 0.05 flags the worst 2 or 3: row
  // 20, and of the rows behind the border, which see zeros, those with the most.
  const Tally tally = run(ring.input({std::nan(""), 0.05, 0.05}, 4, 30), 1);
  CHECK(tally.seen[20] > 20);
  CHECK(tally.flagged[20] == tally.seen[20]);
  CHECK(tally.suggestions[20 * 3] == tally.flagged[20]);
  CHECK(tally.flagged[80] == 0);
  CHECK(tally.flagged[21] ==
        0);  // level 0 has no error rate: never flagged, although 20 contradicts
}

TEST(votes_do_not_depend_on_threads) {
  const Ring ring(random_levels(20000, 6, 80), 8, 0.9F);
  const std::vector<double> rates{0.3, 0.2, 0.05, 0.95, 0.5, 0.4};
  const Tally one = run(ring.input(rates, 6, 5), 1);
  CHECK(std::accumulate(one.flagged.begin(), one.flagged.end(), 0) > 1000);
  CHECK(one == run(ring.input(rates, 6, 5), 2));
  CHECK(one == run(ring.input(rates, 6, 5), 7));
}

}  // namespace
