#include "transition/latent_classes.hpp"

#include <algorithm>
#include <cmath>

namespace ds2fast::transition {
namespace {

void softmax_row(const double* logits, std::size_t size, double* shares) {
  const double largest = *std::max_element(logits, logits + size);
  double total = 0.0;
  for (std::size_t a = 0; a < size; ++a) {
    shares[a] = std::exp(logits[a] - largest);
    total += shares[a];
  }
  for (std::size_t a = 0; a < size; ++a) {
    shares[a] /= total;
  }
}

}  // namespace

LatentClasses start_logits(std::size_t num_levels) {
  LatentClasses logits(num_levels);
  std::fill(logits.transition.begin(), logits.transition.end(), -1.0);
  for (std::size_t i = 0; i < num_levels; ++i) {
    logits.transition[i * num_levels + i] = 4.0;
  }
  return logits;
}

LatentClasses softmax(const LatentClasses& logits) {
  const std::size_t k = logits.num_levels;
  LatentClasses classes(k);
  for (std::size_t i = 0; i < k; ++i) {
    softmax_row(&logits.transition[i * k], k, &classes.transition[i * k]);
  }
  softmax_row(logits.prior.data(), k, classes.prior.data());
  return classes;
}

}  // namespace ds2fast::transition
