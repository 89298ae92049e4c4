#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/monitor.hpp"
#include "transition/panel.hpp"

namespace {

namespace transition = ds2fast::transition;
using transition::PanelFit;
using transition::RaterClasses;

/// Owns what RaterPatterns views.
struct Patterns {
  std::size_t raters;
  std::vector<std::int8_t> scores;
  std::vector<double> counts;
  std::vector<std::int32_t> gold;

  transition::RaterPatterns view() const {
    return {{scores.data(), counts.size(), raters},
            {counts.data(), counts.size()},
            {gold.data(), gold.size()}};
  }
};

double chance(const RaterClasses& classes, const std::int8_t* scores, std::size_t level) {
  double product = classes.prior[level];
  for (std::size_t r = 0; r < classes.num_raters; ++r) {
    product *= scores[r] < 0 ? 1.0 : classes.row(r, level)[scores[r]];
  }
  return product;
}

/// sum_u n_u log sum_i p_i prod_r T_r, by the definition.
double plain_likelihood(const Patterns& patterns, const RaterClasses& classes) {
  double sum = 0.0;
  for (std::size_t u = 0; u < patterns.counts.size(); ++u) {
    double total = 0.0;
    for (std::size_t i = 0; i < classes.num_levels; ++i) {
      if (patterns.gold[u] < 0 || patterns.gold[u] == static_cast<int>(i)) {
        total += chance(classes, &patterns.scores[u * patterns.raters], i);
      }
    }
    sum += patterns.counts[u] * std::log(total);
  }
  return sum;
}

/// Three raters of three levels: right with chance 0.8, 0.7 and 0.6, else a level off or two.
RaterClasses planted() {
  RaterClasses classes(3, 3);
  classes.prior = {0.5, 0.3, 0.2};
  const std::array<double, 3> right = {0.8, 0.7, 0.6};
  for (std::size_t r = 0; r < 3; ++r) {
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t a = 0; a < 3; ++a) {
        const double off = (i + 1 + r % 2) % 3 == a ? 0.75 : 0.25;
        classes.row(r, i)[a] = a == i ? right[r] : (1.0 - right[r]) * off;
      }
    }
  }
  return classes;
}

/// What `rows` rows would show, were they to follow the model to the letter.
Patterns exact_patterns(const RaterClasses& classes, double rows) {
  const std::size_t k = classes.num_levels;
  Patterns patterns{classes.num_raters, {}, {}, {}};
  const auto cells = static_cast<std::size_t>(
      std::llround(std::pow(static_cast<double>(k), static_cast<double>(classes.num_raters))));
  for (std::size_t cell = 0; cell < cells; ++cell) {
    std::size_t rest = cell;
    for (std::size_t r = 0; r < classes.num_raters; ++r, rest /= k) {
      patterns.scores.push_back(static_cast<std::int8_t>(rest % k));
    }
    double total = 0.0;
    for (std::size_t i = 0; i < k; ++i) {
      total += chance(classes, &patterns.scores[cell * classes.num_raters], i);
    }
    patterns.counts.push_back(rows * total);
    patterns.gold.push_back(-1);
  }
  return patterns;
}

Patterns random_patterns(std::size_t raters, int levels, std::size_t number, unsigned seed) {
  std::mt19937 generator(seed);
  const auto draw = [&](int size) {
    return static_cast<int>(generator() % static_cast<unsigned>(size));
  };
  Patterns patterns{raters, {}, {}, {}};
  for (std::size_t u = 0; u < number; ++u) {
    for (std::size_t r = 0; r < raters; ++r) {
      patterns.scores.push_back(static_cast<std::int8_t>(draw(levels + 1) - 1));
    }
    patterns.counts.push_back(1.0 + draw(9));
    patterns.gold.push_back(draw(5) == 0 ? draw(levels) : -1);
  }
  return patterns;
}

double largest_difference(const std::vector<double>& x, const std::vector<double>& y) {
  double largest = 0.0;
  for (std::size_t at = 0; at < x.size(); ++at) {
    largest = std::max(largest, std::abs(x[at] - y[at]));
  }
  return largest;
}

TEST(panel_finds_the_planted_matrices_in_exact_counts) {
  const RaterClasses truth = planted();
  const Patterns patterns = exact_patterns(truth, 1e6);
  ds2fast::SilentMonitor monitor;
  const PanelFit fit = transition::solve_panel(patterns.view(), 3, monitor);
  CHECK(fit.converged);
  // EM stops where no entry moves by 1e-8; at a rate of 0.99 what is left is a hundred times that.
  CHECK(largest_difference(fit.classes.matrices, truth.matrices) < 1e-5);
  CHECK(largest_difference(fit.classes.prior, truth.prior) < 1e-5);
  CHECK(std::abs(fit.log_likelihood - plain_likelihood(patterns, truth)) < 1e-3);
}

TEST(panel_step_is_the_definition_and_never_loses) {
  const Patterns patterns = random_patterns(5, 4, 60, 3);
  RaterClasses classes(5, 4);
  std::fill(classes.prior.begin(), classes.prior.end(), 0.25);
  std::mt19937 generator(4);
  for (std::size_t row = 0; row < 20; ++row) {
    double total = 0.0;
    for (std::size_t a = 0; a < 4; ++a) {
      classes.matrices[row * 4 + a] = 1.0 + static_cast<double>(generator() % 100);
      total += classes.matrices[row * 4 + a];
    }
    for (std::size_t a = 0; a < 4; ++a) {
      classes.matrices[row * 4 + a] /= total;
    }
  }
  transition::PanelEm em(patterns.view(), 4);
  RaterClasses next(5, 4);
  double previous = -1e300;
  for (int number = 0; number < 200; ++number) {
    const double likelihood = em.step(classes, next);
    const double plain = plain_likelihood(patterns, classes);
    CHECK(std::abs(likelihood - plain) < 1e-12 * std::abs(plain));
    CHECK(likelihood >= previous - 1e-9);
    previous = likelihood;
    std::swap(classes, next);
  }
}

TEST(panel_with_all_gold_counts) {
  // Each pattern's truth is known, so the answer is the table of shares.
  const Patterns patterns{2, {0, 1, 0, 0, 1, 1, 1, -1}, {6.0, 2.0, 3.0, 1.0}, {0, 0, 1, 1}};
  ds2fast::SilentMonitor monitor;
  const PanelFit fit = transition::solve_panel(patterns.view(), 2, monitor);
  const std::vector<double> expected = {1.0, 0.0, 0.0, 1.0, 0.25, 0.75, 0.0, 1.0};
  CHECK(largest_difference(fit.classes.matrices, expected) < 1e-12);
  CHECK(largest_difference(fit.classes.prior, {8.0 / 12.0, 4.0 / 12.0}) < 1e-12);
}

TEST(panel_does_not_underflow_with_many_raters) {
  // 1e-448 is no double.
  Patterns patterns{64, std::vector<std::int8_t>(64), {1.0}, {-1}};
  RaterClasses start(64, 64);
  std::fill(start.matrices.begin(), start.matrices.end(), 1e-7);
  std::fill(start.prior.begin(), start.prior.end(), 1.0 / 64.0);
  transition::PanelEm em(patterns.view(), 64);
  RaterClasses next(64, 64);
  // 64 ratings of chance 1e-7 in each of the levels, which together have chance 1.
  CHECK(std::abs(em.step(start, next) - 64.0 * std::log(1e-7)) < 1e-9);
}

TEST(refined_panel_keeps_the_order_of_its_levels) {
  const RaterClasses truth = planted();
  const Patterns patterns = exact_patterns(truth, 1e6);
  RaterClasses turned(3, 3);
  for (std::size_t i = 0; i < 3; ++i) {
    turned.prior[i] = truth.prior[(i + 1) % 3];
    for (std::size_t r = 0; r < 3; ++r) {
      std::copy_n(truth.row(r, (i + 1) % 3), 3, turned.row(r, i));
    }
  }
  ds2fast::SilentMonitor monitor;
  const PanelFit fit = transition::refine_panel(patterns.view(), turned, monitor);
  CHECK(largest_difference(fit.classes.matrices, turned.matrices) < 1e-6);
}

/// Stops in the middle of the work.
class StoppingMonitor final : public ds2fast::Monitor {
 public:
  void poll(std::size_t done, std::size_t total) override {
    if (0 < done && done < total) {
      throw std::runtime_error("stopped");
    }
  }
};

TEST(a_monitor_stops_the_panel_at_work) {
  const Patterns patterns = random_patterns(6, 20, 20000, 7);  // large enough to be polled
  StoppingMonitor monitor;
  CHECK_THROWS(transition::solve_panel(patterns.view(), 20, monitor), std::runtime_error);
}

}  // namespace
