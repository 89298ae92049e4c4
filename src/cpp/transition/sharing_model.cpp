#include "transition/sharing_model.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/round_up.hpp"

namespace ds2fast::transition {
namespace {

constexpr double kLeastShare = 1e-300;
constexpr std::size_t kLanes = 4;  ///< sums side by side; the order of additions is fixed by it

/// Scales weights to sum 1; false (and nothing done) where there is no weight.
bool normalise(double* weights, std::size_t size) {
  const double total = std::accumulate(weights, weights + size, 0.0);
  if (!(total >= kLeastShare)) {
    return false;
  }
  for (std::size_t a = 0; a < size; ++a) {
    weights[a] /= total;
  }
  return true;
}

double sum_of(const double* values, std::size_t size) {
  double lanes[kLanes] = {};
  for (std::size_t at = 0; at < size; at += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += values[at + lane];
    }
  }
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

double dot(const double* x, const double* y, std::size_t size) {
  double lanes[kLanes] = {};
  for (std::size_t at = 0; at < size; at += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += x[at + lane] * y[at + lane];
    }
  }
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

/// Shares of two neighbours that show z independently of each other, each as often as before.
void make_independent(double* w) {
  const double first = w[0] + w[1];
  const double second = w[0] + w[2];
  w[0] = first * second;
  w[1] = first * (1.0 - second);
  w[2] = (1.0 - first) * second;
  w[3] = (1.0 - first) * (1.0 - second);
}

}  // namespace

bool Signal::has_gold() const {
  return std::any_of(gold.begin(), gold.end(), [](std::int32_t level) { return level >= 0; });
}

std::vector<double> SharingLayout::join(const LatentClasses& classes, double own_share,
                                        const std::vector<double>& w) const {
  std::vector<double> point = classes.transition;
  point.insert(point.end(), classes.prior.begin(), classes.prior.end());
  point.push_back(own_share);
  point.insert(point.end(), w.begin(), w.end());
  return point;
}

LatentClasses SharingLayout::classes(const std::vector<double>& point) const {
  LatentClasses classes(num_levels);
  std::copy_n(point.begin(), prior(), classes.transition.begin());
  std::copy_n(point.begin() + static_cast<std::ptrdiff_t>(prior()), num_levels,
              classes.prior.begin());
  return classes;
}

SharingModel::SharingModel(const SharingLayout& layout, const Signal& signal, bool fit_own)
    : layout_(layout),
      fit_own_(fit_own),
      width_(round_up_to(layout.num_levels, kLanes)),
      counts_(layout.num_pairs * layout.num_levels * layout.num_levels * layout.num_levels),
      observed_(layout.num_levels),
      gold_(signal.gold.begin(), signal.gold.end()),
      pattern_weights_(signal.weights.begin(), signal.weights.end()),
      posterior_(width_),
      scratch_(9 * width_),
      prior_weight_(layout.num_levels) {
  for (std::vector<double>* table :
       {&log_transition_, &by_level_, &centre_, &centre_weight_, &first_weight_, &second_weight_}) {
    table->resize(layout.num_levels * width_);
  }
  shown_begin_.push_back(0);
  for (std::size_t pattern = 0; pattern < signal.shown.rows; ++pattern) {
    for (std::size_t level = 0; level < layout.num_levels; ++level) {
      if (const std::int32_t times = signal.shown.row(pattern)[level]; times > 0) {
        shown_.push_back({static_cast<std::uint32_t>(level), static_cast<double>(times)});
      }
    }
    shown_begin_.push_back(shown_.size());
  }
}

template <typename Count>
void SharingModel::set_counts(const Count* counts, std::size_t stride, double scale) {
  for (std::size_t cell = 0; cell < counts_.size(); ++cell) {
    counts_[cell] = std::max(0.0, static_cast<double>(counts[cell * stride])) * scale;
  }
  take_counts_in();
}

template void SharingModel::set_counts(const std::int64_t*, std::size_t, double);
template void SharingModel::set_counts(const std::int32_t*, std::size_t, double);

void SharingModel::take_counts_in() {
  const std::size_t k = layout_.num_levels;
  std::fill(observed_.begin(), observed_.end(), 0.0);
  for (std::size_t cell = 0; cell < counts_.size(); ++cell) {
    observed_[cell / (k * k) % k] += counts_[cell];
  }
  if (!normalise(observed_.data(), k)) {
    std::fill(observed_.begin(), observed_.end(), 1.0 / static_cast<double>(k));
  }
  suppose(std::accumulate(counts_.begin(), counts_.end(), 0.0));
}

void SharingModel::suppose(double num_rows) {
  const std::size_t k = layout_.num_levels;
  const double strength = std::min(1.0, num_rows / kFullPriorAt);
  std::vector<double> place(k);  // among the levels that are given: others change nothing
  double seen = 0.0;
  for (std::size_t a = 0; a < k; ++a) {
    seen += observed_[a] > 0.0 ? 1.0 : 0.0;
    place[a] = seen;
  }
  supposed_.assign(k * k, 0.0);
  for (std::size_t i = 0; i < k; ++i) {
    double* row = &supposed_[i * k];
    for (std::size_t a = 0; a < k; ++a) {
      row[a] = observed_[a] > 0.0 ? std::exp(-std::abs(place[i] - place[a])) : 0.0;
    }
    normalise(row, k);
    for (std::size_t a = 0; a < k; ++a) {
      row[a] *= strength * kPriorRows;
    }
  }
  supposed_prior_ = fit_own_ ? strength * kPriorRowsOfOwn : 0.0;
}

double SharingModel::log_supposed(const std::vector<double>& from) const {
  double sum = 0.0;
  for (std::size_t cell = 0; cell < supposed_.size(); ++cell) {
    sum += supposed_[cell] * std::log(std::max(from[cell], kLeastShare));
  }
  for (std::size_t i = 0; supposed_prior_ > 0.0 && i < layout_.num_levels; ++i) {
    sum +=
        supposed_prior_ * observed_[i] * std::log(std::max(from[layout_.prior() + i], kLeastShare));
  }
  return sum;
}

double SharingModel::step(const std::vector<double>& from, std::vector<double>& to,
                          bool with_likelihood) {
  prepare(from);
  std::copy(from.begin(), from.end(), to.begin());
  const double of_graph = add_graph(from, to, with_likelihood);
  const double of_signal = add_signal(from);
  write(from, to);
  return with_likelihood ? of_graph + of_signal + log_supposed(from) : 0.0;
}

void SharingModel::prepare(const std::vector<double>& from) {
  const std::size_t k = layout_.num_levels;
  const double own = from[layout_.own()];
  for (std::size_t a = 0; a < k; ++a) {
    for (std::size_t i = 0; i < k; ++i) {
      const double shows = from[i * k + a];
      by_level_[a * width_ + i] = shows;
      centre_[a * width_ + i] =
          from[layout_.prior() + i] * ((1.0 - own) * shows + own * observed_[a]);
    }
  }
  for (std::vector<double>* weights :
       {&centre_weight_, &first_weight_, &second_weight_, &prior_weight_}) {
    std::fill(weights->begin(), weights->end(), 0.0);
  }
}

double SharingModel::add_graph(const std::vector<double>& from, std::vector<double>& to,
                               bool with_likelihood) {
  double likelihood = 0.0;
  for (std::size_t pair = 0; pair < layout_.num_pairs; ++pair) {
    const double* w = &from[layout_.shares() + 4 * pair];
    double* next_w = &to[layout_.shares() + 4 * pair];
    switch (width_) {  // loops of known length are twice as fast
      case 4:
        likelihood += add_pair_of_bins<4>(pair, w, next_w, with_likelihood);
        break;
      case 8:
        likelihood += add_pair_of_bins<8>(pair, w, next_w, with_likelihood);
        break;
      case 12:
        likelihood += add_pair_of_bins<12>(pair, w, next_w, with_likelihood);
        break;
      default:
        likelihood += add_pair_of_bins<0>(pair, w, next_w, with_likelihood);
    }
  }
  return likelihood;
}

template <std::size_t kFixedWidth>
double SharingModel::add_pair_of_bins(std::size_t pair, const double* w, double* next_w,
                                      bool with_likelihood) {
  const std::size_t k = layout_.num_levels;
  const std::size_t width = kFixedWidth != 0 ? kFixedWidth : width_;
  const double* counts = &counts_[pair * k * k * k];
  double* shows = scratch_.data();  // weight of a second neighbour that shows z, and its pool
  double* pool = shows + width;
  double* joint = pool + width;    // of centre and first neighbour with the former
  double* second = joint + width;  // sum over the second neighbour's levels of T times ratio
  double* both[4] = {second + width, second + 2 * width, second + 3 * width, second + 4 * width};
  std::fill(both[0], both[0] + 4 * width, 0.0);
  double likelihood = 0.0;
  for (std::size_t a = 0; a < k; ++a) {
    const double* centre = &centre_[a * width];
    double* centre_weight = &centre_weight_[a * width];
    for (std::size_t b = 0; b < k; ++b, counts += k) {
      const double* first = &by_level_[b * width];
      double* first_weight = &first_weight_[b * width];
      double rest = 0.0;
      for (std::size_t i = 0; i < width; ++i) {
        shows[i] = w[0] * first[i] + w[2] * observed_[b];
        pool[i] = w[1] * first[i] + w[3] * observed_[b];
        joint[i] = centre[i] * shows[i];
        second[i] = 0.0;
      }
      rest = dot(centre, pool, width);
      double second_pool = 0.0;
      for (std::size_t c = 0; c < k; ++c) {
        if (counts[c] == 0.0) {
          continue;
        }
        const double* by_c = &by_level_[c * width];
        double* second_weight = &second_weight_[c * width];
        const double share = std::max(dot(joint, by_c, width) + rest * observed_[c], kLeastShare);
        const double ratio = counts[c] / share;
        if (with_likelihood) {
          likelihood += counts[c] * std::log(share);
        }
        second_pool += ratio * observed_[c];
        for (std::size_t i = 0; i < width; ++i) {
          second[i] += ratio * by_c[i];
          second_weight[i] += ratio * joint[i];
        }
      }
      for (std::size_t i = 0; i < width; ++i) {
        const double joint_first = centre[i] * first[i];
        const double joint_pool = centre[i] * observed_[b];
        centre_weight[i] += shows[i] * second[i] + pool[i] * second_pool;
        first_weight[i] += joint_first * (w[0] * second[i] + w[1] * second_pool);
        both[0][i] += joint_first * second[i];
        both[1][i] += joint_first * second_pool;
        both[2][i] += joint_pool * second[i];
        both[3][i] += joint_pool * second_pool;
      }
    }
  }
  double weights[4];
  for (std::size_t way = 0; way < 4; ++way) {
    weights[way] = w[way] * sum_of(both[way], width);
  }
  if (normalise(weights, 4)) {
    if (k == 2) {
      make_independent(weights);
    }
    std::copy(weights, weights + 4, next_w);
  }
  return likelihood;
}

double SharingModel::add_signal(const std::vector<double>& from) {
  if (gold_.empty()) {
    return 0.0;
  }
  std::transform(by_level_.begin(), by_level_.end(), log_transition_.begin(),
                 [](double share) { return std::log(std::max(share, kLeastShare)); });
  double likelihood = 0.0;
  for (std::size_t pattern = 0; pattern < gold_.size(); ++pattern) {
    if (pattern_weights_[pattern] > 0.0) {
      likelihood += add_pattern(pattern, from);
    }
  }
  return likelihood;
}

double SharingModel::add_pattern(std::size_t pattern, const std::vector<double>& from) {
  const std::size_t k = layout_.num_levels;
  const std::int32_t gold = gold_[pattern];
  const std::size_t begin = gold >= 0 ? static_cast<std::size_t>(gold) : 0;
  const std::size_t end = gold >= 0 ? begin + 1 : k;
  const auto log_joint = [&](std::size_t i) {
    double sum = std::log(std::max(from[layout_.prior() + i], kLeastShare));
    for (std::size_t at = shown_begin_[pattern]; at < shown_begin_[pattern + 1]; ++at) {
      sum += shown_[at].times * log_transition_[shown_[at].level * width_ + i];
    }
    return sum;
  };
  std::fill(posterior_.begin(), posterior_.end(), 0.0);
  for (std::size_t i = begin; i < end; ++i) {
    posterior_[i] = log_joint(i);
  }
  const double largest = *std::max_element(&posterior_[begin], posterior_.data() + end);
  double total = 0.0;
  for (std::size_t i = begin; i < end; ++i) {
    posterior_[i] = std::exp(posterior_[i] - largest);
    total += posterior_[i];
  }
  const double weight = pattern_weights_[pattern];
  for (std::size_t i = begin; i < end; ++i) {
    const double share = weight * posterior_[i] / total;
    prior_weight_[i] += share;
    for (std::size_t at = shown_begin_[pattern]; at < shown_begin_[pattern + 1]; ++at) {
      first_weight_[shown_[at].level * width_ + i] += share * shown_[at].times;
    }
  }
  return weight * (largest + std::log(total));
}

void SharingModel::write(const std::vector<double>& from, std::vector<double>& to) {
  const std::size_t k = layout_.num_levels;
  const double own = from[layout_.own()];
  double of_own = 0.0;
  double of_shared = 0.0;
  for (std::size_t i = 0; i < k; ++i) {
    double* row = &to[i * k];
    const double p = from[layout_.prior() + i];
    for (std::size_t a = 0; a < k; ++a) {
      const std::size_t at = a * width_ + i;
      const double weight = p * centre_weight_[at];
      const double shared = weight * (1.0 - own) * by_level_[at];
      prior_weight_[i] += centre_[at] * centre_weight_[at];
      of_own += weight * own * observed_[a];
      of_shared += shared;
      row[a] = shared + first_weight_[at] + second_weight_[at] * by_level_[at];
    }
    if (std::accumulate(row, row + k, 0.0) >= kLeastShare) {
      std::transform(row, row + k, &supposed_[i * k], row, std::plus<>());
      normalise(row, k);
    } else {  // a level that no row has
      std::copy_n(&from[i * k], k, row);
    }
  }
  double* prior = &to[layout_.prior()];
  for (std::size_t i = 0; i < k; ++i) {
    prior[i] = prior_weight_[i] + supposed_prior_ * observed_[i];
  }
  if (!normalise(prior, k)) {
    std::copy_n(&from[layout_.prior()], k, prior);
  }
  if (fit_own_ && of_own + of_shared >= kLeastShare) {
    to[layout_.own()] = of_own / (of_own + of_shared);
  }
}

void SharingModel::guard(std::vector<double>& point) const {
  for (std::size_t i = 0; i <= layout_.num_levels; ++i) {  // T's rows, then p
    normalise(&point[i * layout_.num_levels], layout_.num_levels);
  }
  point[layout_.own()] = std::min(point[layout_.own()], kMostOwn);
  for (std::size_t pair = 0; pair < layout_.num_pairs; ++pair) {
    double* w = &point[layout_.shares() + 4 * pair];
    normalise(w, 4);
    if (layout_.num_levels == 2) {
      make_independent(w);
    }
  }
}

}  // namespace ds2fast::transition
