#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <utility>
#include <vector>

#include "check.hpp"
#include "encoder/gather_mean.hpp"
#include "random_rows.hpp"

namespace {

namespace encoder = ds2fast::encoder;

using Ids = std::vector<std::int32_t>;
using Offsets = std::vector<std::int64_t>;
using Floats = std::vector<float>;

/// A table of 3 rows and 2 columns, and what is asked of it.
struct Request {
  Floats table{3, 0, 0, 4, -3, 0};
  Ids row_of_token;
  Floats weights;
  Ids ids;
  Offsets offsets;
  Floats fallback{0, 1};
  std::size_t depth = 2;

  Floats run(std::size_t threads = 1) const {
    const encoder::TokenVectors vectors{{table.data(), table.size() / depth, depth},
                                        {row_of_token.data(), row_of_token.size()},
                                        {weights.data(), weights.size()}};
    encoder::check_token_vectors(vectors);
    const std::size_t num_texts = offsets.empty() ? 0 : offsets.size() - 1;
    Floats out(num_texts * depth, -9);
    ds2fast::SilentMonitor monitor;
    encoder::gather_mean(vectors, {{ids.data(), ids.size()}, {offsets.data(), offsets.size()}},
                         {fallback.data(), fallback.size()}, threads, monitor,
                         {out.data(), num_texts, depth});
    return out;
  }
};

TEST(mean_is_of_norm_one) {
  Request request;
  request.ids = {0, 1, 1};
  request.offsets = {0, 2, 3};
  // (3, 4) / 5, then (0, 4) / 4: the quotients are rounded once.
  const Floats out = request.run();
  CHECK(std::abs(out[0] - 0.6F) < 1e-7F && std::abs(out[1] - 0.8F) < 1e-7F);
  CHECK(out[2] == 0.0F && out[3] == 1.0F);
}

TEST(texts_without_a_direction_get_the_fallback) {
  Request request;
  request.fallback = {-1, 0};
  request.ids = {0, 2};
  request.offsets = {0, 0, 2, 2};  // no token; two that cancel; no token
  CHECK((request.run() == Floats{-1, 0, -1, 0, -1, 0}));
  request.ids = {};
  request.offsets = {0};
  CHECK(request.run().empty());
}

TEST(weights_and_rows_belong_to_tokens) {
  Request request;
  request.row_of_token = {1, 1, 0, 2};
  request.weights = {0, 3, 4, 0};
  request.ids = {1, 2, 0, 3};  // 3 (0, 4) + 4 (3, 0), and two tokens of no weight
  request.offsets = {0, 4};
  const Floats out = request.run();
  CHECK(std::abs(out[0] - std::sqrt(0.5F)) < 1e-7F && std::abs(out[0] - out[1]) < 1e-7F);
}

TEST(what_would_lead_outside_is_refused) {
  for (const auto& [ids, offsets] : std::initializer_list<std::pair<Ids, Offsets>>{
           {{3}, {0, 1}},           // no such token
           {{-1}, {0, 1}},          // nor such
           {{0, 1}, {0, 1}},        // ids that belong to no text
           {{0, 1}, {0, 3}},        // a text of more ids than there are
           {{0, 1}, {1, 2}},        // does not begin with 0
           {{0, 1}, {0, 2, 1, 2}},  // runs backwards
           {{0, 1}, {0, -1, 2}},
           {{}, {}}}) {
    Request request;
    request.ids = ids;
    request.offsets = offsets;
    CHECK_THROWS(request.run(), std::invalid_argument);
  }
  const auto with = [](auto change) {
    Request request;
    request.ids = {0};
    request.offsets = {0, 1};
    change(request);
    return request;
  };
  CHECK_THROWS(with([](Request& r) { r.weights = {1, 1}; }).run(), std::invalid_argument);
  CHECK_THROWS(with([](Request& r) { r.row_of_token = {3}; }).run(), std::invalid_argument);
  CHECK_THROWS(with([](Request& r) { r.row_of_token = {-1}; }).run(), std::invalid_argument);
  CHECK_THROWS(with([](Request& r) { r.fallback = {1}; }).run(), std::invalid_argument);
}

TEST(the_number_of_threads_changes_no_bit) {
  Request request;
  request.depth = 33;
  request.table = random_values(50 * request.depth, 1);
  request.fallback.assign(request.depth, 0.0F);
  request.offsets = {0};
  for (std::int32_t text = 0; text < 1000; ++text) {
    for (std::int32_t token = 0; token < text % 13; ++token) {
      request.ids.push_back((text * 7 + token * token) % 50);
    }
    request.offsets.push_back(static_cast<std::int64_t>(request.ids.size()));
  }
  const Floats one = request.run(1);
  CHECK(request.run(2) == one);
  CHECK(request.run(7) == one);
}

}  // namespace
