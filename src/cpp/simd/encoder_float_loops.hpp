#pragma once

// Products and attention in float32, for the units of whole instruction sets; see
// encoder_loops.hpp. A unit also says how many rows and vectors its registers hold:
// DS2FAST_TILE_ROWS (at most 8) and DS2FAST_TILE_VECTORS.

#include "simd/encoder_loops.hpp"

namespace ds2fast::simd {
namespace {

constexpr std::size_t kTileRows = DS2FAST_TILE_ROWS;
constexpr std::size_t kTileVectors = DS2FAST_TILE_VECTORS;
static_assert(kBlockRows % kTileRows == 0 && kTileRows <= 8);
static_assert(kPanelColumns % (kTileVectors * kLanes) == 0);

/// A matrix whose rows begin `stride` values behind each other.
template <typename T>
struct Strided {
  T* data;
  std::size_t stride;

  Strided at(std::size_t row, std::size_t column) const {
    return {data + row * stride + column, stride};
  }
};

// A function of its own, so that its accumulators stay in registers.
template <std::size_t Vectors>
__attribute__((noinline)) void tile(Strided<const float> rows, Strided<const float> columns,
                                    std::size_t depth, Strided<float> products) {
  Floats sum[kTileRows][Vectors];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < Vectors; ++v) {
      sum[r][v] = Floats{};
    }
  }
  for (std::size_t k = 0; k < depth; ++k) {
    Floats column[Vectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < Vectors; ++v) {
      column[v] = load(columns.data + k * columns.stride + v * kLanes);
    }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kTileRows; ++r) {
      const Floats value = all(rows.data[r * rows.stride + k]);
#pragma GCC unroll 4
      for (std::size_t v = 0; v < Vectors; ++v) {
        sum[r][v] += value * column[v];
      }
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < Vectors; ++v) {
      store(products.data + r * products.stride + v * kLanes, sum[r][v]);
    }
  }
}

/// Products of 8 rows with `num_columns` columns, a multiple of the tile's.
template <std::size_t Vectors>
inline void block_products(Strided<const float> rows, Strided<const float> columns,
                           std::size_t depth, std::size_t num_columns, Strided<float> products) {
  for (std::size_t c = 0; c < num_columns; c += Vectors * kLanes) {
    for (std::size_t r = 0; r < kBlockRows; r += kTileRows) {
      tile<Vectors>(rows.at(r, 0), columns.at(0, c), depth, products.at(r, c));
    }
  }
}

inline void multiply_floats(const PreparedRows& rows, const PanelView& weights, ProductSize size,
                            Finish finish, float* output) {
  const auto* values = static_cast<const float*>(rows.values);
  const auto* panels = static_cast<const float*>(weights.values);
  alignas(64) float products[kBlockRows * kPanelColumns];
  for_each_block(size, finish, output, [&](std::size_t panel, std::size_t row, const Block& block) {
    block_products<kTileVectors>({values + row * size.depth, size.depth},
                                 {panels + panel * kPanelColumns * size.depth, kPanelColumns},
                                 size.depth, kPanelColumns, {products, kPanelColumns});
    finish_floats(products, weights.biases + panel * kPanelColumns, block);
  });
}

/// The parts of a head's room, see attention_room.
struct AttentionRoom {
  AttentionRoom(const AttentionHead& head, float* room)
      : padded((head.length + kPanelColumns - 1) / kPanelColumns * kPanelColumns),
        keys(room),
        values(keys + padded * head.depth),
        scores(values + padded * head.depth),
        context(scores + kBlockRows * padded) {}

  std::size_t padded;  ///< length in whole panels
  float* keys;         ///< in panels, (padded / 48, depth, 48)
  float* values;       ///< (length, depth)
  float* scores;       ///< (8, padded)
  float* context;      ///< (8, 48)
};

inline void pack_keys(const AttentionHead& head, const AttentionRoom& room) {
  for (std::size_t first = 0; first < room.padded; first += kPanelColumns) {
    float* panel = room.keys + first * head.depth;
    const std::size_t rest = head.length - first;
    const std::size_t count = rest < kPanelColumns ? rest : kPanelColumns;
    for (std::size_t j = 0; j < count; ++j) {
      const float* key = head.keys + (first + j) * head.stride;
      for (std::size_t d = 0; d < head.depth; ++d) {
        panel[d * kPanelColumns + j] = key[d];
      }
    }
  }
}

inline void pack_values(const AttentionHead& head, const AttentionRoom& room) {
  for (std::size_t j = 0; j < head.length; ++j) {
    __builtin_memcpy(room.values + j * head.depth, head.values + j * head.stride,
                     head.depth * sizeof(float));
  }
}

/// Turns the scores of query `i` into shares but for their sum, whose inverse is returned.
inline float softmax(const AttentionHead& head, std::size_t i, std::size_t padded, float* scores) {
  const float* distances = head.distances == nullptr ? nullptr : head.distances - i;
  for (std::size_t j = 0; j < padded; j += kLanes) {
    Floats score = load(scores + j) * head.scale;
    if (distances != nullptr) {
      score += load(distances + j);
    }
    store(scores + j, score);
  }
  for (std::size_t j = head.length; j < padded; ++j) {
    scores[j] = -kInfinity;
  }
  Floats high = load(scores);
  for (std::size_t j = kLanes; j < padded; j += kLanes) {
    high = larger(high, load(scores + j));
  }
  const float largest = largest_of(high);
  Floats total = {};
  for (std::size_t j = 0; j < padded; j += kLanes) {
    const Floats share = exp_of(load(scores + j) - largest);
    store(scores + j, share);
    total += share;
  }
  return 1.0F / sum_of(total);
}

/// The scores of 8 queries become their context rows.
template <std::size_t Vectors>
inline void weigh_values(const AttentionHead& head, const AttentionRoom& room, std::size_t rows,
                         const float* inverses, Strided<float> output) {
  constexpr std::size_t kColumns = Vectors * kLanes;
  for (std::size_t c = 0; c < head.depth; c += kColumns) {
    block_products<Vectors>({room.scores, room.padded}, {room.values + c, head.depth}, head.length,
                            kColumns, {room.context, kPanelColumns});
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t v = 0; v < kColumns; v += kLanes) {
        store(output.at(r, c + v).data, load(room.context + r * kPanelColumns + v) * inverses[r]);
      }
    }
  }
}

inline void attend(const AttentionHead& head, float* memory, float* output,
                   std::size_t output_stride) {
  const AttentionRoom room(head, memory);
  pack_keys(head, room);
  pack_values(head, room);
  for (std::size_t i = 0; i < head.length; i += kBlockRows) {
    const std::size_t rows = head.length - i < kBlockRows ? head.length - i : kBlockRows;
    for (std::size_t j = 0; j < room.padded; j += kPanelColumns) {
      block_products<kTileVectors>({head.queries + i * head.stride, head.stride},
                                   {room.keys + j * head.depth, kPanelColumns}, head.depth,
                                   kPanelColumns, {room.scores + j, room.padded});
    }
    float inverses[kBlockRows];
    for (std::size_t r = 0; r < rows; ++r) {
      inverses[r] = softmax(head, i + r, room.padded, room.scores + r * room.padded);
    }
    const Strided<float> context{output + i * output_stride, output_stride};
    if (head.depth % (2 * kLanes) == 0) {
      weigh_values<2>(head, room, rows, inverses, context);
    } else {
      weigh_values<1>(head, room, rows, inverses, context);
    }
  }
}

inline EncoderKernels float_encoder() {
  EncoderKernels kernels{};
  kernels.fp32.multiply = &multiply_floats;
  kernels.attend = &attend;
  kernels.layer_norm = &layer_norm;
  return kernels;
}

}  // namespace
}  // namespace ds2fast::simd
