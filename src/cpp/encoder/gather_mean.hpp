#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "encoder/token_view.hpp"

namespace ds2fast::encoder {

/// The vectors of a static encoder's tokens.
struct TokenVectors {
  MatrixView<const float> rows;
  /// Row of each token id; empty: token i has row i.
  VectorView<const std::int32_t> row_of_token;
  /// Factor of each token id; empty: 1.
  VectorView<const float> weights;

  std::size_t num_tokens() const { return row_of_token.size > 0 ? row_of_token.size : rows.rows; }
};

/// Throws std::invalid_argument where an index or a length would lead outside an array. All of
/// `vectors` is looked through, which takes a fraction of what a batch takes.
void check_token_vectors(const TokenVectors& vectors);

/// Unit vector of the (weighted) sum of each text's token vectors, which is that of their mean:
/// a text's row is out.row(i). Summed in float32 in the order of the tokens, column by column, so
/// the result depends on nothing else: each of n additions is off by at most 2^-24 of the partial
/// sum. The norm is taken in float64. A text without tokens, and one whose vectors cancel, get
/// `fallback`.
///
/// `vectors` must have passed check_token_vectors. Ids and offsets are checked here, before any
/// table is read: std::invalid_argument.
void gather_mean(const TokenVectors& vectors, const TokenView& texts,
                 VectorView<const float> fallback, std::size_t num_threads, Monitor& monitor,
                 MatrixView<float> out);

}  // namespace ds2fast::encoder
