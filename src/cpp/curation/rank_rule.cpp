#include "curation/rank_rule.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>

namespace ds2fast::curation {
namespace {

/// Shares this much larger than another have a smaller s, whatever the logarithm's rounding: s
/// moves by 1e-13, while |s| <= 18.5 carries errors of 4e-15.
constexpr double kSurelyLarger = 1.0 + 1e-13;

/// from + (to - from) * weight, written from the nearer end, as NumPy's percentile does.
double interpolate(double from, double to, double weight) {
  const double step = to - from;
  return weight >= 0.5 ? to - step * (1.0 - weight) : from + step * weight;
}

}  // namespace

RankRule::RankRule(std::vector<double>& floored_shares, double error_rate) {
  const auto last = static_cast<double>(floored_shares.size() - 1);
  const double quantile =
      100.0 * (1.0 - error_rate) / 100.0;  // through percent, for NumPy's rounding
  const double position = std::min(last * quantile, last);
  const auto rank = static_cast<std::ptrdiff_t>(position);
  // Ascending s is descending share.
  const auto lower = floored_shares.begin() + rank;
  std::nth_element(floored_shares.begin(), lower, floored_shares.end(), std::greater<>());
  const auto upper = std::max_element(lower + 1, floored_shares.end());
  const double next_share = upper == floored_shares.end() ? *lower : *upper;
  threshold_ =
      interpolate(-std::log(*lower), -std::log(next_share), position - static_cast<double>(rank));
  surely_flagged_ = next_share;
  maybe_flagged_ = *lower * kSurelyLarger;
}

}  // namespace ds2fast::curation
