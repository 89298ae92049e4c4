#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/aligned_array.hpp"
#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "knn/row_source.hpp"
#include "simd/kernel_table.hpp"

namespace ds2fast::knn {

/// Codes of approximate search lie in [-63, 63], which the units of every instruction set can
/// multiply: so the graph is the same at every level.
constexpr std::int32_t kLargestCode = 63;

/// Values of a row of codes: the depth, rounded up to whole lines of cache.
std::size_t code_depth(std::size_t depth);

/// Unit rows minus their mean as int8 codes, one behind the other, by place; owns nothing.
///
/// The similarity of two rows is float(<codes, codes>) * (scale * scale) + (offset + offset), and
/// their cosine lies within the sum of their slacks of it (CodeErrors).
template <typename Byte, typename Int, typename Float>
struct CodeRowsOf {
  MatrixView<Byte> codes;  ///< (M, code_depth(d))
  Int* sums;               ///< of a row's codes
  Float* scales;
  Float* offsets;
  Float* slacks;

  std::size_t num_rows() const { return codes.rows; }
  std::size_t depth() const { return codes.cols; }
};

using MutableCodeRows = CodeRowsOf<std::int8_t, std::int32_t, float>;
using CodeRows = CodeRowsOf<const std::int8_t, const std::int32_t, const float>;

/// Writes the codes of rows order[0], order[1], ...
void encode_rows(const RowSource& rows, VectorView<const double> norms,
                 VectorView<const std::int32_t> order, std::size_t num_threads, Monitor& monitor,
                 const MutableCodeRows& out);

/// Puts the codes of places order[0], order[1], ... one behind the other, where they lie: so there
/// is room for codes once. `order` holds each place once.
void reorder_rows(VectorView<const std::int32_t> order, Monitor& monitor,
                  const MutableCodeRows& rows);

/// The similarity that decides, in float32 without fused operations: the same bits everywhere,
/// whichever row comes first.
inline float code_similarity(const float* scales, const float* offsets, std::size_t x,
                             std::size_t y, std::int32_t product) {
  return static_cast<float>(product) * (scales[x] * scales[y]) + (offsets[x] + offsets[y]);
}

inline float code_similarity(const CodeRows& rows, std::size_t x, std::size_t y,
                             std::int32_t product) {
  return code_similarity(rows.scales, rows.offsets, x, y, product);
}

/// Some of the rows in panels, as simd::CodeProducts reads them. Filled again and again.
class CodePanels {
 public:
  CodePanels(const CodeRows& rows, std::size_t most, const simd::KernelTable& kernels);

  /// Rows places[0], places[1], ...; zeros fill up the last panel.
  void fill(const std::int32_t* places, std::size_t count);

  std::size_t count() const { return count_; }
  std::size_t num_panels() const { return (count_ + simd::kPanelRows - 1) / simd::kPanelRows; }
  /// Rows of a panel that are none that fill it up.
  std::size_t rows_in(std::size_t panel) const;
  std::int32_t place(std::size_t index) const { return places_[index]; }
  simd::CodeBounds bounds(std::size_t panel) const {
    return {scales_.data() + panel * simd::kPanelRows, offsets_.data() + panel * simd::kPanelRows};
  }

  /// That of two of these rows, as code_similarity has it.
  float similarity(std::size_t x, std::size_t y, std::int32_t product) const {
    return code_similarity(scales_.data(), offsets_.data(), x, y, product);
  }

  /// Products of panel p of these and panel q of others.
  void multiply(std::size_t p, const CodePanels& others, std::size_t q,
                std::int32_t* products) const;

 private:
  const CodeRows& rows_;
  const simd::KernelTable& kernels_;
  std::size_t count_ = 0;
  AlignedArray<std::int8_t> codes_;
  std::vector<std::int32_t> places_;
  std::vector<std::int32_t> sums_;
  std::vector<float> scales_;
  std::vector<float> offsets_;
};

}  // namespace ds2fast::knn
