#pragma once

#include <cmath>
#include <vector>

namespace ds2fast::curation {

/// Added to a row's share before the logarithm: s = -log(share + 1e-8).
constexpr double kShareFloor = 1e-8;

/// Which disagreements of one level reach the 100 * (1 - error rate) percentile of that level in a
/// round.
///
/// It works on floored shares, share + 1e-8: s falls as they rise, so ranks need no logarithm. The
/// percentile is interpolated linearly in s between two neighbouring ranks, as NumPy does.
class RankRule {
 public:
  /// Flags nothing.
  RankRule() = default;

  /// Of the level's floored shares in the round, at least one; they are reordered.
  RankRule(std::vector<double>& floored_shares, double error_rate);

  /// Is s(floored_share) >= the percentile?
  bool flags(double floored_share) const {
    return floored_share <= surely_flagged_ ||
           (floored_share <= maybe_flagged_ && -std::log(floored_share) >= threshold_);
  }

 private:
  double surely_flagged_ = -1.0;  ///< this share and every smaller one
  double maybe_flagged_ = -1.0;   ///< larger ones are not; between the two s decides
  double threshold_ = 0.0;
};

}  // namespace ds2fast::curation
