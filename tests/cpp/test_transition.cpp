#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "core/monitor.hpp"
#include "transition/agreement.hpp"
#include "transition/assignment.hpp"
#include "transition/em.hpp"
#include "transition/moments.hpp"
#include "transition/triple_model.hpp"

namespace {

namespace transition = ds2fast::transition;
using transition::LatentClasses;
using Counts = std::vector<std::int64_t>;

ds2fast::VectorView<const std::int64_t> view(const Counts& counts) {
  return {counts.data(), counts.size()};
}

LatentClasses random_logits(std::size_t num_levels, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> draw(0.0, 1.0);
  LatentClasses logits(num_levels);
  std::generate(logits.transition.begin(), logits.transition.end(),
                [&] { return draw(generator); });
  std::generate(logits.prior.begin(), logits.prior.end(), [&] { return draw(generator); });
  return logits;
}

/// T with the given diagonal and the rest falling with the distance; p falling with the level.
LatentClasses planted(std::size_t num_levels, double diagonal) {
  LatentClasses classes(num_levels);
  for (std::size_t i = 0; i < num_levels; ++i) {
    double* row = &classes.transition[i * num_levels];
    for (std::size_t a = 0; a < num_levels; ++a) {
      const auto distance = std::abs(static_cast<double>(a) - static_cast<double>(i));
      row[a] = a == i ? 0.0 : std::exp(-distance);
    }
    const double rest = std::accumulate(row, row + num_levels, 0.0);
    std::transform(row, row + num_levels, row,
                   [&](double weight) { return (1.0 - diagonal) * weight / rest; });
    row[i] = diagonal;
    classes.prior[i] = 2.0 / static_cast<double>(num_levels) * static_cast<double>(num_levels - i) /
                       static_cast<double>(num_levels + 1);
  }
  return classes;
}

/// c3[a, b, c] = sum_i p_i T_ia T_ib T_ic, by the definition.
std::vector<double> plain_triples(const LatentClasses& classes) {
  const std::size_t k = classes.num_levels;
  std::vector<double> triples(k * k * k);
  for (std::size_t place = 0; place < triples.size(); ++place) {
    const std::array<std::size_t, 3> at = {place / (k * k), place / k % k, place % k};
    for (std::size_t i = 0; i < k; ++i) {
      const double* row = &classes.transition[i * k];
      triples[place] += classes.prior[i] * row[at[0]] * row[at[1]] * row[at[2]];
    }
  }
  return triples;
}

/// What a pool of 10^12 rows would count, were it to follow the model to the letter.
Counts exact_counts(const LatentClasses& classes) {
  const std::vector<double> triples = plain_triples(classes);
  Counts counts(triples.size());
  std::transform(triples.begin(), triples.end(), counts.begin(), [](double share) {
    return static_cast<std::int64_t>(std::llround(share * 1e12));
  });
  return counts;
}

Counts random_counts(std::size_t num_levels, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int> draw(0, 40);
  Counts counts(num_levels * num_levels * num_levels);
  std::generate(counts.begin(), counts.end(), [&] { return draw(generator); });
  return counts;
}

/// Sums over the last `views` views of a (K, K, K) table.
std::vector<double> sum_out(const std::vector<double>& table, std::size_t size) {
  std::vector<double> sums(size);
  for (std::size_t place = 0; place < table.size(); ++place) {
    sums[place / (table.size() / size)] += table[place];
  }
  return sums;
}

double distance(const std::vector<double>& x, const std::vector<double>& y) {
  double squared = 0.0;
  for (std::size_t at = 0; at < x.size(); ++at) {
    squared += (x[at] - y[at]) * (x[at] - y[at]);
  }
  return std::sqrt(squared);
}

double largest_difference(const std::vector<double>& x, const std::vector<double>& y) {
  double largest = 0.0;
  for (std::size_t at = 0; at < x.size(); ++at) {
    largest = std::max(largest, std::abs(x[at] - y[at]));
  }
  return largest;
}

TEST(agreement_skips_unrated_neighbours) {
  // Row: its level; its neighbours.
  const std::vector<std::int8_t> levels{0, 1, -1, 1, 0};
  const std::vector<std::int32_t> indices{2, 1, 3,   // 0: rated neighbours 1, 3 -> (0, 1, 1)
                                          0, 4, 2,   // 1: 0, 4 -> (1, 0, 0)
                                          0, 1, 3,   // unrated itself
                                          1, 2, 0,   // 3: 1, 0 -> (1, 1, 0)
                                          2, 2, 1};  // 4: one only, not counted
  Counts counts(8, -7);
  ds2fast::SilentMonitor monitor;
  transition::count_agreement({levels.data(), 5}, {indices.data(), 5, 3}, 2,
                              {counts.data(), counts.size()}, 2, monitor);
  CHECK((counts == Counts{0, 0, 0, 1, 1, 0, 1, 0}));
}

TEST(agreement_does_not_depend_on_threads) {
  const std::size_t n = 30000;
  std::mt19937 generator(1);
  std::vector<std::int8_t> levels(n);
  std::vector<std::int32_t> indices(n * 4);
  for (std::int8_t& level : levels) {
    level = static_cast<std::int8_t>(static_cast<int>(generator() % 6) - 1);
  }
  for (std::int32_t& index : indices) {
    index = static_cast<std::int32_t>(generator() % n);
  }
  const auto count = [&](std::size_t threads) {
    Counts counts(125);
    ds2fast::SilentMonitor monitor;
    transition::count_agreement({levels.data(), n}, {indices.data(), n, 4}, 5,
                                {counts.data(), counts.size()}, threads, monitor);
    return counts;
  };
  const Counts one = count(1);
  CHECK(std::accumulate(one.begin(), one.end(), std::int64_t{0}) > 20000);
  CHECK(one == count(2));
  CHECK(one == count(7));
}

TEST(triple_model_is_the_definition) {
  for (const std::size_t k : {1U, 2U, 5U}) {
    const LatentClasses classes = transition::softmax(random_logits(k, 3));
    transition::TripleModel model(k);
    std::vector<double> cells;
    model.evaluate(classes, cells);
    const std::vector<double> expected = plain_triples(classes);
    std::vector<int> visits(expected.size());
    double largest = 0.0;
    model.for_each_ordering([&](std::size_t cell, std::size_t place) {
      ++visits[place];
      largest = std::max(largest, std::abs(cells[cell] - expected[place]));
    });
    CHECK(largest < 1e-15);
    CHECK(std::all_of(visits.begin(), visits.end(), [](int number) { return number == 1; }));
  }
}

TEST(moment_objective_is_the_sum_of_three_norms) {
  const std::size_t k = 4;
  const Counts counts = random_counts(k, 5);
  const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), 0L));
  std::vector<double> observed(counts.size());
  std::transform(counts.begin(), counts.end(), observed.begin(),
                 [&](std::int64_t count) { return static_cast<double>(count) / total; });
  const LatentClasses classes = transition::softmax(random_logits(k, 6));
  const std::vector<double> model = plain_triples(classes);
  double expected = distance(observed, model);
  expected += distance(sum_out(observed, k * k), sum_out(model, k * k));
  expected += distance(sum_out(observed, k), sum_out(model, k));
  transition::MomentObjective objective(view(counts), k);
  CHECK(std::abs(objective.value(classes) - expected) < 1e-14);
}

TEST(moment_gradient_is_that_of_central_differences) {
  const std::size_t k = 4;
  const Counts counts = random_counts(k, 7);
  transition::MomentObjective objective(view(counts), k);
  LatentClasses logits = random_logits(k, 8);
  LatentClasses gradient(k);
  objective.value_and_logit_gradient(transition::softmax(logits), gradient);
  // Central differences err by step^2 (of the order of 1e-10 here) and rounding / step (1e-11).
  const double step = 1e-5;
  const auto slope = [&](double& parameter) {
    const double kept = parameter;
    parameter = kept + step;
    const double above = objective.value(transition::softmax(logits));
    parameter = kept - step;
    const double below = objective.value(transition::softmax(logits));
    parameter = kept;
    return (above - below) / (2.0 * step);
  };
  for (std::size_t at = 0; at < k * k; ++at) {
    CHECK(std::abs(gradient.transition[at] - slope(logits.transition[at])) < 1e-8);
  }
  for (std::size_t at = 0; at < k; ++at) {
    CHECK(std::abs(gradient.prior[at] - slope(logits.prior[at])) < 1e-8);
  }
}

TEST(solvers_find_the_planted_matrix_in_exact_counts) {
  for (const std::size_t k : {2U, 6U, 20U}) {
    const LatentClasses truth = planted(k, 0.7);
    const Counts counts = exact_counts(truth);
    ds2fast::SilentMonitor monitor;
    const LatentClasses em = transition::solve_em(view(counts), k, monitor).classes;
    CHECK(largest_difference(em.transition, truth.transition) < 1e-4);
    CHECK(largest_difference(em.prior, truth.prior) < 1e-4);
    // Adam circles the minimum at its fixed rate; 0.02 is far less than any error of interest.
    const LatentClasses moments = transition::solve_moments(view(counts), k, monitor).classes;
    CHECK(largest_difference(moments.transition, truth.transition) < 0.02);
    CHECK(largest_difference(moments.prior, truth.prior) < 0.02);
  }
}

TEST(em_raises_the_likelihood_in_every_step) {
  const Counts counts = random_counts(5, 9);
  transition::LatentClassEm em(view(counts), 5);
  LatentClasses classes = em.start();
  double previous = -1e300;
  bool rises = true;
  for (int step = 0; step < 500; ++step) {
    double likelihood = 0.0;
    classes = em.step(classes, &likelihood);
    rises = rises && likelihood >= previous - 1e-13;  // rounding of a sum of 125 terms near 5
    previous = likelihood;
  }
  CHECK(rises);
  CHECK(std::abs(std::accumulate(classes.prior.begin(), classes.prior.end(), 0.0) - 1.0) < 1e-12);
}

TEST(assignment_is_the_best_of_all_permutations) {
  std::mt19937 generator(11);
  std::uniform_real_distribution<double> draw(0.0, 1.0);
  for (std::size_t size = 1; size <= 6; ++size) {
    for (int trial = 0; trial < 40; ++trial) {
      std::vector<double> weights(size * size);
      std::generate(weights.begin(), weights.end(), [&] { return draw(generator); });
      const auto value = [&](const std::vector<std::size_t>& chosen) {
        double sum = 0.0;
        for (std::size_t column = 0; column < size; ++column) {
          sum += weights[chosen[column] * size + column];
        }
        return sum;
      };
      std::vector<std::size_t> order(size);
      std::iota(order.begin(), order.end(), 0U);
      const std::vector<std::size_t> chosen = transition::assign_rows_to_columns(weights, size);
      CHECK(std::is_permutation(chosen.begin(), chosen.end(), order.begin(), order.end()));
      double best = 0.0;
      do {
        best = std::max(best, value(order));
      } while (std::next_permutation(order.begin(), order.end()));
      CHECK(std::abs(value(chosen) - best) < 1e-12);
    }
  }
}

TEST(hidden_levels_are_put_in_order) {
  const std::size_t k = 64;
  const LatentClasses truth = planted(k, 0.6);
  LatentClasses shuffled(k);
  for (std::size_t level = 0; level < k; ++level) {
    const std::size_t from = (level * 37 + 11) % k;
    std::copy_n(&truth.transition[from * k], k, &shuffled.transition[level * k]);
    shuffled.prior[level] = truth.prior[from];
  }
  transition::order_hidden_levels(shuffled);
  CHECK(shuffled.transition == truth.transition);
  CHECK(shuffled.prior == truth.prior);
}

/// Stops in the middle of the work: neither its end nor an early poll counts.
class StoppingMonitor final : public ds2fast::Monitor {
 public:
  void poll(std::size_t done, std::size_t total) override {
    if (0 < done && done < total) {
      throw std::runtime_error("stopped");
    }
  }
};

TEST(a_monitor_stops_the_solvers_at_work) {
  const Counts counts = random_counts(40, 13);  // large enough to be polled on the way
  StoppingMonitor monitor;
  CHECK_THROWS(transition::solve_em(view(counts), 40, monitor), std::runtime_error);
  CHECK_THROWS(transition::solve_moments(view(counts), 40, monitor), std::runtime_error);
}

}  // namespace
