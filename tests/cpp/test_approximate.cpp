#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/monitor.hpp"
#include "knn/code_rows.hpp"
#include "knn/descent.hpp"
#include "knn/leader_tree.hpp"
#include "knn/leaf_join.hpp"
#include "knn/neighbour_lists.hpp"
#include "knn/row_norms.hpp"
#include "random_rows.hpp"
#include "simd/kernel_table.hpp"
#include "simd/level.hpp"

namespace {

namespace knn = ds2fast::knn;
namespace simd = ds2fast::simd;
using ds2fast::SilentMonitor;

std::vector<std::int32_t> places_up_to(std::size_t count) {
  std::vector<std::int32_t> places(count);
  std::iota(places.begin(), places.end(), 0);
  return places;
}

std::int32_t plain_dot(const std::int8_t* x, const std::int8_t* y, std::size_t depth) {
  std::int32_t sum = 0;
  for (std::size_t k = 0; k < depth; ++k) {
    sum += std::int32_t{x[k]} * std::int32_t{y[k]};
  }
  return sum;
}

/// Owns what CodeRows views.
struct Codes {
  Codes(std::size_t num_rows, std::size_t row_depth)
      : depth(knn::code_depth(row_depth)),
        values(num_rows * depth),
        sums(num_rows),
        scales(num_rows),
        offsets(num_rows),
        slacks(num_rows) {}

  knn::CodeRows view() const {
    return {{values.data(), sums.size(), depth},
            sums.data(),
            scales.data(),
            offsets.data(),
            slacks.data()};
  }

  std::size_t depth;
  std::vector<std::int8_t> values;
  std::vector<std::int32_t> sums;
  std::vector<float> scales;
  std::vector<float> offsets;
  std::vector<float> slacks;
};

Codes random_codes(std::size_t num_rows, std::size_t depth, const simd::KernelTable& kernels) {
  const std::vector<float> values = random_values(num_rows * depth, 3);
  const knn::RowSource rows({values.data(), num_rows, depth}, kernels);
  SilentMonitor monitor;
  std::vector<double> norms(num_rows);
  knn::row_norms(rows, 1, monitor, {norms.data(), num_rows});
  const std::vector<std::int32_t> order = places_up_to(num_rows);
  Codes codes(num_rows, depth);
  knn::encode_rows(rows, {norms.data(), num_rows}, {order.data(), num_rows}, 2, monitor,
                   {{codes.values.data(), num_rows, codes.depth},
                    codes.sums.data(),
                    codes.scales.data(),
                    codes.offsets.data(),
                    codes.slacks.data()});
  return codes;
}

/// Owns what NeighbourLists views.
struct Lists {
  Lists(std::size_t num_rows, std::size_t list_width)
      : width(list_width),
        entries(num_rows * width, knn::kNoPlace),
        similarities(num_rows * width, -std::numeric_limits<float>::infinity()) {}

  knn::NeighbourLists view() {
    return {{entries.data(), entries.size() / width, width},
            {similarities.data(), entries.size() / width, width}};
  }
  knn::ConstNeighbourLists read() const {
    return {{entries.data(), entries.size() / width, width},
            {similarities.data(), entries.size() / width, width}};
  }
  bool operator==(const Lists& other) const {
    return entries == other.entries && similarities == other.similarities;
  }

  std::size_t width;
  std::vector<std::uint32_t> entries;
  std::vector<float> similarities;
};

TEST(codes_lie_in_a_range_that_every_level_multiplies) {
  for (const simd::Level level : simd::available_levels()) {
    const Codes codes = random_codes(70, 65, simd::kernels(level));
    CHECK(knn::kLargestCode <= simd::kernels(level).codes.format.largest);
    const auto [least, most] = std::minmax_element(codes.values.begin(), codes.values.end());
    CHECK(*least >= -knn::kLargestCode && *most <= knn::kLargestCode);
    CHECK(*least < 0 && *most > 0);
  }
}

TEST(products_of_single_rows_are_exact) {
  for (const simd::Level level : simd::available_levels()) {
    for (const std::size_t depth : {64U, 128U, 192U, 4160U, 65536U}) {
      std::vector<std::int8_t> values(5 * depth);
      std::mt19937 generator(5);
      for (std::int8_t& value : values) {
        value = static_cast<std::int8_t>(static_cast<int>(generator() % 127) - 63);
      }
      std::fill_n(values.begin(), 2 * depth, std::int8_t{63});  // the largest product of all
      std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(2 * depth), depth, std::int8_t{-63});
      const std::int8_t* others[simd::kDotsAtOnce];
      for (std::size_t i = 0; i < simd::kDotsAtOnce; ++i) {
        others[i] = values.data() + (i + 1) * depth;
      }
      std::int32_t products[simd::kDotsAtOnce];
      simd::kernels(level).code_dots(values.data(), others, depth, products);
      for (std::size_t i = 0; i < simd::kDotsAtOnce; ++i) {
        CHECK(products[i] == plain_dot(values.data(), others[i], depth));
      }
    }
  }
}

/// Products of panels, for rows in any order, again and again with fewer of them.
bool panels_multiply(const simd::KernelTable& kernels, std::size_t depth) {
  constexpr std::size_t kRows = 2 * simd::kPanelRows + 5;
  const Codes codes = random_codes(kRows, depth, kernels);
  const knn::CodeRows rows = codes.view();
  knn::CodePanels panels(rows, kRows, kernels);
  std::vector<std::int32_t> places = places_up_to(kRows);
  std::vector<std::int32_t> products(simd::kTileSize);
  bool exact = true;
  for (const std::size_t count : {kRows, simd::kPanelRows, std::size_t{1}, std::size_t{50}}) {
    std::reverse(places.begin(), places.end());
    panels.fill(places.data(), count);
    const std::size_t last = panels.num_panels() - 1;
    panels.multiply(last, panels, 0, products.data());
    for (std::size_t r = 0; r < panels.rows_in(last); ++r) {
      for (std::size_t c = 0; c < panels.rows_in(0); ++c) {
        const auto x = static_cast<std::size_t>(places[last * simd::kPanelRows + r]);
        const auto y = static_cast<std::size_t>(places[c]);
        exact = exact && products[r * simd::kPanelRows + c] ==
                             plain_dot(rows.codes.row(x), rows.codes.row(y), codes.depth);
      }
    }
  }
  return exact;
}

TEST(panels_multiply_rows_of_any_depth) {
  for (const simd::Level level : simd::available_levels()) {
    for (const std::size_t depth : {1U, 63U, 64U, 65U, 200U, 4095U, 4100U}) {
      CHECK(panels_multiply(simd::kernels(level), depth));
    }
  }
}

TEST(a_list_depends_on_what_was_offered_not_on_the_order) {
  // Similarities of four values, so that most are ties.
  std::vector<std::pair<float, std::uint32_t>> offers;
  for (std::uint32_t place = 0; place < 60; ++place) {
    offers.emplace_back(-0.25F * static_cast<float>(place * 7 % 4), place);
  }
  std::vector<std::pair<float, std::uint32_t>> best(offers);
  std::sort(best.begin(), best.end(), [](const auto& x, const auto& y) {
    return x.first > y.first || (x.first == y.first && x.second < y.second);
  });
  std::mt19937 generator(9);
  for (const std::size_t width : {1U, 2U, 17U, 60U, 64U}) {
    for (int again = 0; again < 20; ++again) {
      std::shuffle(offers.begin(), offers.end(), generator);
      Lists lists(1, width);
      const knn::ListRow list{lists.entries.data(), lists.similarities.data(), width};
      for (const auto& [similarity, place] : offers) {
        list.offer(place, similarity);
        CHECK(!list.offer(place, similarity));  // not twice
      }
      for (std::size_t i = 0; i < width; ++i) {
        const bool is_one = i < best.size();
        CHECK(lists.entries[i] == (is_one ? best[i].second | knn::kIsNew : knn::kNoPlace));
        CHECK(!is_one || lists.similarities[i] == best[i].first);
      }
    }
  }
}

TEST(a_joined_list_may_be_written_where_it_was_read) {
  const simd::KernelTable& kernels = simd::kernels(simd::available_levels().back());
  const Codes codes = random_codes(200, 20, kernels);
  std::vector<std::int32_t> order = places_up_to(200);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  const std::vector<std::int64_t> bounds = {0, 1, 50, 147, 200};
  const knn::Leaves leaves{{order.data(), order.size()}, {bounds.data(), bounds.size()}};
  SilentMonitor monitor;
  Lists apart(200, 7);
  const Lists empty(200, 7);
  knn::join_leaves(codes.view(), leaves, empty.read(), apart.view(), knn::JoinedTo::kPlace, kernels,
                   1, monitor);
  Lists same(200, 7);
  knn::join_leaves(codes.view(), leaves, same.read(), same.view(), knn::JoinedTo::kPlace, kernels,
                   3, monitor);
  CHECK(same == apart);
  CHECK(!(same == empty));
}

/// Stops at the first poll.
class StoppingMonitor final : public ds2fast::Monitor {
 public:
  void poll(std::size_t /*done*/, std::size_t /*total*/) override {
    throw std::runtime_error("stopped");
  }
};

TEST(a_monitor_stops_each_round) {
  const simd::KernelTable& kernels = simd::kernels(simd::available_levels().back());
  const Codes codes = random_codes(500, 20, kernels);
  const std::vector<std::int32_t> order = places_up_to(500);
  const std::vector<std::int64_t> bounds = {0, 250, 500};
  const knn::Leaves leaves{{order.data(), order.size()}, {bounds.data(), bounds.size()}};
  StoppingMonitor monitor;
  const Lists from(500, 5);
  Lists to(500, 5);
  for (const std::size_t threads : {1U, 3U}) {
    CHECK_THROWS(knn::grow_tree(codes.view(), {40, 8, 6}, 0, kernels, threads, monitor),
                 std::runtime_error);
    CHECK_THROWS(knn::join_leaves(codes.view(), leaves, from.read(), to.view(),
                                  knn::JoinedTo::kPlace, kernels, threads, monitor),
                 std::runtime_error);
    CHECK_THROWS(
        knn::descend(codes.view(), from.read(), 0, 5, to.view(), kernels, threads, monitor),
        std::runtime_error);
  }
}

}  // namespace
