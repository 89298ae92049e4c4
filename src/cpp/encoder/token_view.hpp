#pragma once

#include <cstddef>
#include <cstdint>

#include "core/matrix_view.hpp"

namespace ds2fast::encoder {

/// Token ids of texts, one behind the other: those of text i are ids[offsets[i]] to
/// ids[offsets[i + 1]].
struct TokenView {
  VectorView<const std::int32_t> ids;
  VectorView<const std::int64_t> offsets;

  std::size_t size() const { return offsets.size - 1; }
  std::size_t begin(std::size_t text) const { return static_cast<std::size_t>(offsets[text]); }
  std::size_t length(std::size_t text) const { return begin(text + 1) - begin(text); }
};

}  // namespace ds2fast::encoder
