#include "knn/quantised_rows.hpp"

#include <cstring>

#include "core/round_up.hpp"
#include "knn/row_quantiser.hpp"

namespace ds2fast::knn {
namespace {

/// Puts a row's codes into its place in a panel.
void place_codes(const std::int8_t* codes, std::size_t depth, std::size_t group,
                 std::int8_t* place) {
  for (std::size_t k = 0; k < depth; k += group) {
    std::memcpy(place + k * simd::kPanelRows, codes + k, group);
  }
}

}  // namespace

QuantisedRows::QuantisedRows(const RowSource& rows, VectorView<const double> norms,
                             VectorView<const std::int32_t> order, std::size_t num_threads,
                             Monitor& monitor)
    : depth_(round_up_to(rows.depth(), rows.kernels().codes.format.group)) {
  const simd::CodeFormat format = rows.kernels().codes.format;
  const std::size_t padded = round_up_to(order.size, simd::kPanelRows);
  codes_ = AlignedArray<std::int8_t>::unset(padded * depth_);
  // Rows that fill up the last panel are all zeros.
  const std::size_t last_panel = (padded - simd::kPanelRows) * depth_;
  std::memset(codes_.data() + last_panel, 0, simd::kPanelRows * depth_);
  code_sums_.resize(padded);
  scales_.resize(padded);
  offsets_.resize(padded);
  slacks_.resize(padded);
  const auto keep = [&](std::size_t place, const RowCode& code) {
    place_codes(code.values, depth_, format.group,
                codes_.data() + place / simd::kPanelRows * simd::kPanelRows * depth_ +
                    place % simd::kPanelRows * format.group);
    code_sums_[place] = code.sum;
    scales_[place] = code.scale;
  };
  const CodeErrors errors =
      quantise_rows(rows, norms, order, format.largest, num_threads, monitor, keep);
  for (std::size_t place = 0; place < order.size; ++place) {
    slacks_[place] = round_up(errors.slacks[place]);
    offsets_[place] = round_up(errors.biases[place] + errors.slacks[place]);
  }
}

}  // namespace ds2fast::knn
