#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/matrix_view.hpp"
#include "core/monitor.hpp"
#include "encoder/arithmetic.hpp"
#include "encoder/linear_layer.hpp"
#include "encoder/token_view.hpp"
#include "simd/level.hpp"

namespace ds2fast::encoder {

enum class Pooling { kMean, kCls };

/// The sizes and settings of a BERT-like encoder with its layer norms behind the skip connections.
struct EncoderSettings {
  std::size_t hidden;
  std::size_t num_heads;
  std::size_t inner;
  float epsilon;  ///< of the layer norms
  simd::Finish activation;
  Pooling pooling;

  std::size_t head() const { return hidden / num_heads; }
};

/// y = x W^T + b; the weights are (out, in).
struct LinearView {
  MatrixView<const float> weights;
  VectorView<const float> biases;
};

struct NormView {
  VectorView<const float> scale;
  VectorView<const float> shift;
};

/// What an encoder adds up to a token's first vector. Words, positions and the token type are read
/// where they are: they outlive the encoder.
struct EmbeddingView {
  MatrixView<const float> words;
  MatrixView<const float> positions;
  VectorView<const float> token_type;  ///< may be empty
  NormView norm;
  MatrixView<const float> distances;  ///< (heads, 2 P - 1), added to the score of query i and key j
                                      ///< at [P - 1 + j - i]; may be empty
};

struct LayerView {
  LinearView query, key, value, attention_output;
  NormView attention_norm;
  LinearView inner, outer;
  NormView output_norm;
};

/// Tokens that run through a layer together: few enough for their activations to stay in the
/// caches, enough for a panel of weights to be read for many rows.
constexpr std::size_t kBatchTokens = 256;

/// A transformer encoder whose vectors do not depend on which texts run together, nor on threads.
class TextEncoder {
 public:
  TextEncoder(const EncoderSettings& settings, const EmbeddingView& embeddings, Precision precision,
              simd::Level level);

  void add_layer(const LayerView& layer);

  std::size_t hidden() const { return settings_.hidden; }
  std::size_t num_words() const { return words_.rows; }
  std::size_t num_positions() const { return positions_.rows; }
  bool is_native() const { return arithmetic_.is_native; }

  /// Unit rows (texts, hidden) float32; a row whose vector is zero or not finite is not finite.
  /// Every text has 1 to num_positions() tokens, every id is below num_words().
  void encode(const TokenView& tokens, std::size_t num_threads, Monitor& monitor,
              MatrixView<float> output) const;

 private:
  struct Norm {
    std::vector<float> scale;
    std::vector<float> shift;
  };
  struct Layer {
    LinearLayer projections;  ///< query, key and value, one behind the other
    LinearLayer attention_output;
    Norm attention_norm;
    LinearLayer inner;
    LinearLayer outer;
    Norm output_norm;
  };
  struct Room;
  class LayerMonitor;
  struct Batch {
    std::size_t begin;
    std::size_t end;
  };

  static std::vector<Batch> plan(const TokenView& tokens);
  LinearLayer padded(const LinearView& linear, std::size_t columns, std::size_t depth) const;
  LinearLayer padded_projections(const LayerView& layer) const;
  LinearLayer padded_attention_output(const LayerView& layer) const;
  void encode_batch(const TokenView& tokens, Batch batch, const Room& room, LayerMonitor& monitor,
                    MatrixView<float> output) const;
  void embed_tokens(const TokenView& tokens, Batch batch, const Room& room) const;
  void run_layer(const Layer& layer, const TokenView& tokens, Batch batch, const Room& room) const;
  void attend(const TokenView& tokens, Batch batch, const Room& room) const;
  void normalise(const Norm& norm, std::size_t num_rows, float* rows) const;
  void pool(const float* rows, std::size_t length, float* vector) const;

  EncoderSettings settings_;
  MatrixView<const float> words_;
  MatrixView<const float> positions_;
  VectorView<const float> token_type_;
  Norm embedding_norm_;
  std::size_t num_distances_;
  std::vector<float> distances_;
  simd::EncoderKernels kernels_;
  Arithmetic arithmetic_;
  std::size_t width_;        ///< hidden, padded
  std::size_t head_width_;   ///< of one head, padded
  std::size_t heads_width_;  ///< of all heads
  std::size_t inner_width_;
  std::vector<Layer> layers_;
};

}  // namespace ds2fast::encoder
