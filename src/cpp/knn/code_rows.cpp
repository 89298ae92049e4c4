#include "knn/code_rows.hpp"

#include <algorithm>
#include <cstring>

#include "core/paced_poll.hpp"
#include "core/round_up.hpp"
#include "knn/row_quantiser.hpp"

namespace ds2fast::knn {
namespace {

constexpr std::size_t kLine = 64;

/// Asks for the codes of a row that is soon read.
void prefetch(const std::int8_t* codes, std::size_t depth) {
  for (std::size_t k = 0; k < depth; k += kLine) {
    __builtin_prefetch(codes + k);
  }
}

/// Room for one row.
class RowInHand {
 public:
  explicit RowInHand(std::size_t depth) : codes_(depth) {}
  MutableCodeRows view() {
    return {{codes_.data(), 1, codes_.size()}, &sum_, &scale_, &offset_, &slack_};
  }

 private:
  std::vector<std::int8_t> codes_;
  std::int32_t sum_ = 0;
  float scale_ = 0.0F;
  float offset_ = 0.0F;
  float slack_ = 0.0F;
};

void copy_row(const MutableCodeRows& from, std::size_t i, const MutableCodeRows& to,
              std::size_t j) {
  std::memcpy(to.codes.row(j), from.codes.row(i), from.depth());
  to.sums[j] = from.sums[i];
  to.scales[j] = from.scales[i];
  to.offsets[j] = from.offsets[i];
  to.slacks[j] = from.slacks[i];
}

/// Puts a row's codes into column `r` of a panel. `Group` values lie side by side.
template <typename Group>
void place_codes(const std::int8_t* codes, std::size_t depth, std::size_t r, std::int8_t* panel) {
  for (std::size_t k = 0; k < depth; k += sizeof(Group)) {
    std::memcpy(panel + k * simd::kPanelRows + r * sizeof(Group), codes + k, sizeof(Group));
  }
}

}  // namespace

std::size_t code_depth(std::size_t depth) {
  return round_up_to(depth, kLine);
}

void encode_rows(const RowSource& rows, VectorView<const double> norms,
                 VectorView<const std::int32_t> order, std::size_t num_threads, Monitor& monitor,
                 const MutableCodeRows& out) {
  const auto keep = [&](std::size_t place, const RowCode& code) {
    std::int8_t* to = out.codes.row(place);
    const std::size_t count = std::min(round_up_to(rows.depth(), 16), out.depth());
    std::memcpy(to, code.values, count);
    std::memset(to + count, 0, out.depth() - count);
    out.sums[place] = code.sum;
    out.scales[place] = code.scale;
  };
  const CodeErrors errors =
      quantise_rows(rows, norms, order, kLargestCode, num_threads, monitor, keep);
  for (std::size_t place = 0; place < order.size; ++place) {
    out.offsets[place] = static_cast<float>(errors.biases[place]);
    out.slacks[place] = round_up(errors.slacks[place]);
  }
}

/// Cycle by cycle: the first row of one makes room for the next, and so on.
void reorder_rows(VectorView<const std::int32_t> order, Monitor& monitor,
                  const MutableCodeRows& rows) {
  constexpr std::size_t kAhead = 8;
  const auto source = [&](std::size_t place) { return static_cast<std::size_t>(order[place]); };
  std::vector<bool> is_there(order.size);
  RowInHand hand(rows.depth());
  PacedPoll poll(monitor);
  std::size_t done = 0;
  for (std::size_t start = 0; start < order.size; ++start) {
    if (is_there[start]) {
      continue;
    }
    copy_row(rows, start, hand.view(), 0);
    std::size_t ahead = start;
    for (std::size_t i = 0; i < kAhead; ++i) {
      ahead = source(ahead);
    }
    std::size_t to = start;
    for (std::size_t from = source(to); from != start; from = source(to)) {
      ahead = source(ahead);
      prefetch(rows.codes.row(ahead), rows.depth());
      copy_row(rows, from, rows, to);
      is_there[to] = true;
      to = from;
      poll(++done, order.size);
    }
    copy_row(hand.view(), 0, rows, to);
    is_there[to] = true;
    poll(++done, order.size);
  }
  poll.finish(order.size);
}

CodePanels::CodePanels(const CodeRows& rows, std::size_t most, const simd::KernelTable& kernels)
    : rows_(rows),
      kernels_(kernels),
      codes_(AlignedArray<std::int8_t>::zeros(round_up_to(most, simd::kPanelRows) * rows.depth())),
      places_(round_up_to(most, simd::kPanelRows)),
      sums_(places_.size()),
      scales_(places_.size()),
      offsets_(places_.size()) {}

std::size_t CodePanels::rows_in(std::size_t panel) const {
  return std::min(simd::kPanelRows, count_ - panel * simd::kPanelRows);
}

void CodePanels::fill(const std::int32_t* places, std::size_t count) {
  constexpr std::size_t kAhead = 4;
  const std::size_t depth = rows_.depth();
  count_ = count;
  std::copy(places, places + count, places_.begin());
  const std::size_t padded = round_up_to(count, simd::kPanelRows);
  for (std::size_t i = 0; i < padded; ++i) {
    std::int8_t* panel = codes_.data() + i / simd::kPanelRows * simd::kPanelRows * depth;
    const std::size_t r = i % simd::kPanelRows;
    if (i + kAhead < count) {
      prefetch(rows_.codes.row(static_cast<std::size_t>(places[i + kAhead])), depth);
    }
    static constexpr std::int8_t kZeros[4096] = {};
    const auto place = static_cast<std::size_t>(i < count ? places[i] : 0);
    const bool is_row = i < count;
    sums_[i] = is_row ? rows_.sums[place] : 0;
    scales_[i] = is_row ? rows_.scales[place] : 0.0F;
    offsets_[i] = is_row ? rows_.offsets[place] : 0.0F;
    for (std::size_t k = 0; k < depth; k += sizeof kZeros) {
      const std::size_t part = std::min(sizeof kZeros, depth - k);
      const std::int8_t* codes = is_row ? rows_.codes.row(place) + k : kZeros;
      if (kernels_.codes.format.group == 4) {
        place_codes<std::uint32_t>(codes, part, r, panel + k * simd::kPanelRows);
      } else {
        place_codes<std::uint64_t>(codes, part, r, panel + k * simd::kPanelRows);
      }
    }
  }
}

void CodePanels::multiply(std::size_t p, const CodePanels& others, std::size_t q,
                          std::int32_t* products) const {
  const std::size_t size = simd::kPanelRows * rows_.depth();
  kernels_.codes.products(codes_.data() + p * size, sums_.data() + p * simd::kPanelRows,
                          others.codes_.data() + q * size, rows_.depth(), products);
}

}  // namespace ds2fast::knn
