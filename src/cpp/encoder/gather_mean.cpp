#include "encoder/gather_mean.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "core/parallel_for.hpp"

namespace ds2fast::encoder {
namespace {

void require(bool condition, const char* expected) {
  if (!condition) {
    throw std::invalid_argument(expected);
  }
}

/// Whether all values lie in [0, limit).
bool all_below(VectorView<const std::int32_t> values, std::size_t limit) {
  return std::all_of(values.begin(), values.end(), [=](std::int32_t value) {
    return value >= 0 && static_cast<std::size_t>(value) < limit;
  });
}

void check_texts(const TokenView& texts, std::size_t num_tokens) {
  const auto& offsets = texts.offsets;
  require(offsets.size >= 1 && offsets[0] == 0, "offsets that begin with 0");
  require(std::is_sorted(offsets.begin(), offsets.end()), "offsets in ascending order");
  require(static_cast<std::size_t>(offsets[texts.size()]) == texts.ids.size,
          "offsets that end with the number of ids");
  require(all_below(texts.ids, num_tokens), "token ids below the number of tokens");
}

void add(const float* row, std::size_t depth, float* sum) {
  for (std::size_t c = 0; c < depth; ++c) {
    sum[c] += row[c];
  }
}

void add_weighted(const float* row, float weight, std::size_t depth, float* sum) {
  for (std::size_t c = 0; c < depth; ++c) {
    sum[c] += weight * row[c];
  }
}

void sum_tokens(const TokenVectors& vectors, const std::int32_t* begin, const std::int32_t* end,
                float* sum) {
  const std::size_t depth = vectors.rows.cols;
  std::fill(sum, sum + depth, 0.0F);
  for (const std::int32_t* id = begin; id != end; ++id) {
    const auto token = static_cast<std::size_t>(*id);
    const std::size_t place = vectors.row_of_token.size > 0
                                  ? static_cast<std::size_t>(vectors.row_of_token[token])
                                  : token;
    if (vectors.weights.size > 0) {
      add_weighted(vectors.rows.row(place), vectors.weights[token], depth, sum);
    } else {
      add(vectors.rows.row(place), depth, sum);
    }
  }
}

/// Scales `row` to norm 1; false where it has no direction.
bool normalise(std::size_t depth, float* row) {
  double squares = 0.0;
  for (std::size_t c = 0; c < depth; ++c) {
    squares += static_cast<double>(row[c]) * static_cast<double>(row[c]);
  }
  if (!(squares > 0.0)) {
    return false;
  }
  const double scale = 1.0 / std::sqrt(squares);
  for (std::size_t c = 0; c < depth; ++c) {
    row[c] = static_cast<float>(scale * static_cast<double>(row[c]));
  }
  return true;
}

}  // namespace

void check_token_vectors(const TokenVectors& vectors) {
  require(vectors.rows.cols >= 1, "rows of at least one column");
  require(all_below(vectors.row_of_token, vectors.rows.rows), "rows of tokens that the table has");
  require(vectors.weights.size == 0 || vectors.weights.size == vectors.num_tokens(),
          "one weight a token");
}

void gather_mean(const TokenVectors& vectors, const TokenView& texts,
                 VectorView<const float> fallback, std::size_t num_threads, Monitor& monitor,
                 MatrixView<float> out) {
  check_texts(texts, vectors.num_tokens());
  const std::size_t depth = vectors.rows.cols;
  require(fallback.size == depth, "a fallback as wide as the table");
  require(out.rows == texts.size() && out.cols == depth, "one result a text");
  constexpr std::size_t kChunk = 64;
  parallel_chunks(texts.size(), kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    for (std::size_t n = begin; n < end; ++n) {
                      float* row = out.row(n);
                      sum_tokens(vectors, texts.ids.data + texts.offsets[n],
                                 texts.ids.data + texts.offsets[n + 1], row);
                      if (!normalise(depth, row)) {
                        std::copy(fallback.begin(), fallback.end(), row);
                      }
                    }
                  });
}

}  // namespace ds2fast::encoder
