#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "transition/latent_classes.hpp"

namespace ds2fast::transition {

/// What tells of true levels besides the graph: patterns u of ratings of one row by one rater.
///
/// Layout: `shown` (U, K), how often each level was given; `weights` (U), how many rows have the
/// pattern; `gold` (U), the true level, -1 where unknown. U may be 0.
struct Signal {
  MatrixView<const std::int32_t> shown;
  VectorView<const double> weights;
  VectorView<const std::int32_t> gold;

  bool has_gold() const;
};

/// Where the parameters of the sharing model lie in one vector: T (K, K), p (K), own, w (P, 4).
struct SharingLayout {
  std::size_t num_levels;
  std::size_t num_pairs;

  std::size_t prior() const { return num_levels * num_levels; }
  std::size_t own() const { return prior() + num_levels; }
  std::size_t shares() const { return own() + 1; }
  std::size_t size() const { return shares() + 4 * num_pairs; }

  std::vector<double> join(const LatentClasses& classes, double own,
                           const std::vector<double>& shares) const;
  LatentClasses classes(const std::vector<double>& point) const;
};

/// The EM of the sharing model. The neighbourhood of a row has the hidden level z ~ p. The row's
/// score shows z through E = (1 - own) T + own c, c the observed shares of the centres' scores. Its
/// two neighbours, of similarity bins P, show z through T or else the pool's mix c:
///   (w0 T_ib T_ic + w1 T_ib c_c + w2 c_b T_ic + w3 c_b c_c),  w = w[P].
/// Of two levels only, free w leave the spread of T open (covariances and third moments of two
/// neighbours fix its product with w alone), so there w0 = (w0 + w1) (w0 + w2) holds.
/// A pattern of the signal has the likelihood sum_i p_i [gold in (-1, i)] prod_a T_ia^shown[a].
/// Counts of the graph are scaled so that their total is the number of counted rows: a row's pairs
/// of neighbours tell little more together than one of them.
///
/// Accumulators: float64; hidden levels lie side by side, padded to a multiple of 4. O(P K^4) a
/// step over the cells that have counts; nothing is allocated in it.
class SharingModel {
 public:
  /// `signal` must outlive the model. Without `fit_own`, own stays where a climb starts.
  SharingModel(const SharingLayout& layout, const Signal& signal, bool fit_own);

  const SharingLayout& layout() const { return layout_; }
  /// c; uniform where nothing is counted.
  const std::vector<double>& observed() const { return observed_; }

  /// `counts` (P, K, K, K), times `scale`; below 0 counts as 0.
  template <typename Count>
  void set_counts(const Count* counts, std::size_t stride, double scale);

  /// (U); the signal's own weights to begin with.
  void set_pattern_weights(const std::vector<double>& weights) { pattern_weights_ = weights; }

  /// One step of EM from `from` to `to`; the log-likelihood at `from`, with what is
  /// supposed, if asked for, else 0. What has no weight (a row of T, shares of a pair of bins)
  /// stays.
  double step(const std::vector<double>& from, std::vector<double>& to, bool with_likelihood);

  /// Scales T's rows, p and the shares to sum 1; own to at most kMostOwn.
  void guard(std::vector<double>& point) const;

 private:
  static constexpr double kMostOwn = 0.999;
  /// Each true level is supposed to have shown so many rows, spread over the scores that are
  /// given as exp(-distance), distance counted among these; fewer in a pool of less than 40 000
  /// rows. Where counts tell little (levels that are rare, or rated alike) likelihood alone would
  /// run off to an extreme, slowly.
  static constexpr double kPriorRows = 10.0;
  /// Where own is fitted, p is supposed to be spread like the observed scores by so many rows:
  /// a hidden level could else stand for the rows of their own.
  static constexpr double kPriorRowsOfOwn = 300.0;
  static constexpr double kFullPriorAt = 40000.0;

  /// One score in a pattern.
  struct Shown {
    std::uint32_t level;
    double times;
  };

  void take_counts_in();
  void suppose(double num_rows);
  double log_supposed(const std::vector<double>& from) const;
  void prepare(const std::vector<double>& from);
  double add_graph(const std::vector<double>& from, std::vector<double>& to, bool with_likelihood);
  template <std::size_t kFixedWidth>
  double add_pair_of_bins(std::size_t pair, const double* w, double* next_w, bool with_likelihood);
  double add_signal(const std::vector<double>& from);
  double add_pattern(std::size_t pattern, const std::vector<double>& from);
  void write(const std::vector<double>& from, std::vector<double>& to);

  SharingLayout layout_;
  bool fit_own_;
  std::size_t width_;  ///< K, padded
  std::vector<double> counts_;
  std::vector<double> observed_;
  // The signal.
  std::vector<Shown> shown_;
  std::vector<std::size_t> shown_begin_;
  std::vector<std::int32_t> gold_;
  std::vector<double> pattern_weights_;
  std::vector<double> log_transition_;  ///< (K, width) by level shown
  std::vector<double> posterior_;
  // All (K, width): by level shown, then hidden level.
  std::vector<double> by_level_;       ///< T
  std::vector<double> centre_;         ///< p E
  std::vector<double> centre_weight_;  ///< posterior weight of (shown, hidden) per unit of p E
  std::vector<double> first_weight_;   ///< that of the first neighbour and the signal
  std::vector<double> second_weight_;  ///< that of the second neighbour per unit of T
  std::vector<double> scratch_;
  std::vector<double> prior_weight_;
  // What is supposed before any counts; see kPriorRows.
  std::vector<double> supposed_;  ///< (K, K) counts for T
  double supposed_prior_ = 0.0;   ///< counts for p, spread like the observed scores
};

}  // namespace ds2fast::transition
