#include "transition/triple_model.hpp"

#include <algorithm>

namespace ds2fast::transition {

TripleModel::TripleModel(std::size_t num_levels)
    : num_levels_(num_levels),
      num_cells_(num_levels * (num_levels + 1) * (num_levels + 2) / 6),
      by_level_(num_levels * num_levels),
      gradient_by_level_(num_levels * num_levels),
      pair_(num_levels),
      third_(num_levels) {}

void TripleModel::transpose(const std::vector<double>& transition) {
  for (std::size_t i = 0; i < num_levels_; ++i) {
    for (std::size_t a = 0; a < num_levels_; ++a) {
      by_level_[a * num_levels_ + i] = transition[i * num_levels_ + a];
    }
  }
}

void TripleModel::evaluate(const LatentClasses& classes, std::vector<double>& cells) {
  const std::size_t k = num_levels_;
  transpose(classes.transition);
  cells.assign(num_cells_, 0.0);
  double* out = cells.data();
  for (std::size_t a = 0; a < k; ++a) {
    for (std::size_t b = a; b < k; out += k - b, ++b) {
      const double* view_a = &by_level_[a * k];
      const double* view_b = &by_level_[b * k];
      for (std::size_t i = 0; i < k; ++i) {
        const double pair = classes.prior[i] * view_a[i] * view_b[i];
        const double* view_c = &classes.transition[i * k + b];
        for (std::size_t c = 0; c < k - b; ++c) {
          out[c] += pair * view_c[c];
        }
      }
    }
  }
}

void TripleModel::pull_back(const LatentClasses& classes, const std::vector<double>& weights,
                            LatentClasses& gradient) {
  const std::size_t k = num_levels_;
  transpose(classes.transition);
  std::fill(gradient_by_level_.begin(), gradient_by_level_.end(), 0.0);
  const double* cell = weights.data();
  for (std::size_t a = 0; a < k; ++a) {
    for (std::size_t b = a; b < k; cell += k - b, ++b) {
      pull_back_pair(classes, a, b, cell, gradient);
    }
  }
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t a = 0; a < k; ++a) {
      gradient.transition[i * k + a] += gradient_by_level_[a * k + i];
    }
  }
}

void TripleModel::pull_back_pair(const LatentClasses& classes, std::size_t a, std::size_t b,
                                 const double* weights, LatentClasses& gradient) {
  const std::size_t k = num_levels_;
  const double* view_a = &by_level_[a * k];
  const double* view_b = &by_level_[b * k];
  for (std::size_t i = 0; i < k; ++i) {
    pair_[i] = classes.prior[i] * view_a[i] * view_b[i];
  }
  std::fill(third_.begin(), third_.end(), 0.0);
  for (std::size_t c = b; c < k; ++c) {
    const double weight = weights[c - b];
    const double* view_c = &by_level_[c * k];
    double* gradient_c = &gradient_by_level_[c * k];
    for (std::size_t i = 0; i < k; ++i) {
      third_[i] += weight * view_c[i];
      gradient_c[i] += weight * pair_[i];
    }
  }
  // With a == b both lines below add to one row: that is the product rule for a square.
  for (std::size_t i = 0; i < k; ++i) {
    gradient_by_level_[a * k + i] += classes.prior[i] * view_b[i] * third_[i];
    gradient_by_level_[b * k + i] += classes.prior[i] * view_a[i] * third_[i];
    gradient.prior[i] += view_a[i] * view_b[i] * third_[i];
  }
}

}  // namespace ds2fast::transition
