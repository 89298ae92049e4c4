#include "transition/alpha.hpp"

#include <algorithm>
#include <vector>

namespace ds2fast::transition {
namespace {

constexpr double kLeastShare = 1e-300;

/// Shares of the pairs of levels (a, d), with one hidden level for both and with one for each.
struct PairShares {
  std::vector<double> shared;
  std::vector<double> apart;
};

PairShares pair_shares(VectorView<const double> emission, const LatentClasses& classes) {
  const std::size_t k = classes.num_levels;
  PairShares shares{std::vector<double>(k * k), std::vector<double>(k * k)};
  std::vector<double> pool(k);
  std::vector<double> own(k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t a = 0; a < k; ++a) {
      const double joint = classes.prior[i] * emission[i * k + a];
      own[a] += joint;
      pool[a] += classes.prior[i] * classes.transition[i * k + a];
      for (std::size_t d = 0; d < k; ++d) {
        shares.shared[a * k + d] += joint * classes.transition[i * k + d];
      }
    }
  }
  for (std::size_t cell = 0; cell < k * k; ++cell) {
    shares.apart[cell] = own[cell / k] * pool[cell % k];
  }
  return shares;
}

/// Derivative of the log-likelihood of one bin with respect to alpha.
double slope(const std::int64_t* counts, const PairShares& shares, double alpha) {
  double sum = 0.0;
  for (std::size_t cell = 0; cell < shares.shared.size(); ++cell) {
    const double gain = shares.shared[cell] - shares.apart[cell];
    if (counts[cell] > 0) {
      const double share = std::max(shares.apart[cell] + alpha * gain, kLeastShare);
      sum += static_cast<double>(counts[cell]) * gain / share;
    }
  }
  return sum;
}

double alpha_of_bin(const std::int64_t* counts, const PairShares& shares) {
  constexpr int kHalvings = 60;
  double low = 0.0;
  double high = 1.0;
  if (slope(counts, shares, low) <= 0.0) {
    return low;
  }
  if (slope(counts, shares, high) >= 0.0) {
    return high;
  }
  for (int halving = 0; halving < kHalvings; ++halving) {
    const double middle = 0.5 * (low + high);
    (slope(counts, shares, middle) > 0.0 ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

}  // namespace

void solve_alpha(VectorView<const std::int64_t> counts, VectorView<const double> emission,
                 const LatentClasses& classes, VectorView<double> alpha) {
  const PairShares shares = pair_shares(emission, classes);
  for (std::size_t bin = 0; bin < alpha.size; ++bin) {
    alpha[bin] = alpha_of_bin(counts.data + bin * shares.shared.size(), shares);
  }
}

}  // namespace ds2fast::transition
