#include "encoder/text_encoder.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>
#include <thread>

#include "core/parallel_for.hpp"
#include "core/round_up.hpp"

namespace ds2fast::encoder {
namespace {

using simd::kBlockRows;
using simd::kWidthStep;

/// Rows that run through the inner layer together, whose activations are four times as wide.
constexpr std::size_t kInnerRows = 64;
/// What is read behind the last key's distance: a whole panel of keys.
constexpr std::size_t kDistancePadding = simd::kPanelColumns;

/// Weights and biases that are being laid out with zeros between.
struct PaddedLinear {
  PaddedLinear(std::size_t num_columns, std::size_t num_inputs)
      : weights(num_columns * num_inputs),
        biases(num_columns),
        columns(num_columns),
        depth(num_inputs) {}

  /// Places rows [from, from + count) of `linear` at `to`; input `i` goes to `place(i)`.
  template <typename Place>
  void set(const LinearView& linear, std::size_t from, std::size_t count, std::size_t to,
           const Place& place) {
    for (std::size_t row = 0; row < count; ++row) {
      const float* source = linear.weights.row(from + row);
      for (std::size_t i = 0; i < linear.weights.cols; ++i) {
        weights[(to + row) * depth + place(i)] = source[i];
      }
      biases[to + row] = linear.biases[from + row];
    }
  }

  LinearLayer pack(const Arithmetic& arithmetic) const {
    return LinearLayer(arithmetic, {weights.data(), columns, depth},
                       {biases.data(), biases.size()});
  }

  std::vector<float> weights;
  std::vector<float> biases;
  std::size_t columns;
  std::size_t depth;
};

std::size_t same_place(std::size_t i) {
  return i;
}

std::vector<float> copied(VectorView<const float> values) {
  return {values.begin(), values.end()};
}

}  // namespace

/// Polls between the layers too, where a batch of a large model takes seconds. Once the caller's
/// monitor has thrown, the other workers end at their next layer.
class TextEncoder::LayerMonitor final : public Monitor {
 public:
  LayerMonitor(Monitor& inner, std::size_t total) : inner_(inner), total_(total) {}

  void poll(std::size_t done, std::size_t total) override {
    done_ = done;
    polled_ = Clock::now();
    try {
      inner_.poll(done, total);
    } catch (...) {
      stopped_.store(true, std::memory_order_relaxed);
      throw;
    }
  }

  /// Whether to begin another layer; throws what the caller's monitor throws.
  bool goes_on() {
    if (std::this_thread::get_id() == caller_ && Clock::now() - polled_ >= kInterval) {
      poll(done_, total_);
    }
    return !stopped_.load(std::memory_order_relaxed);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr auto kInterval = std::chrono::milliseconds(50);

  Monitor& inner_;
  const std::size_t total_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::size_t done_ = 0;
  Clock::time_point polled_ = Clock::now();
  std::atomic<bool> stopped_{false};
};

/// The activations of a batch, reused by all batches of a worker.
struct TextEncoder::Room {
  using Floats = AlignedArray<float>;

  Room(const TextEncoder& encoder, std::size_t tokens, std::size_t longest)
      : rows(tokens + kBlockRows),  // blocks of queries and of rows reach over the end
        hidden(Floats::zeros(rows * encoder.width_)),
        projections(Floats::zeros(rows * 3 * encoder.heads_width_)),
        context(Floats::zeros(rows * encoder.heads_width_)),
        inner(Floats::zeros(kInnerRows * encoder.inner_width_)),
        attention(Floats::zeros(simd::attention_room(longest, encoder.head_width_))),
        prepared(rows, std::max(encoder.width_, encoder.heads_width_)),
        prepared_inner(kInnerRows, encoder.inner_width_) {}

  std::size_t rows;
  Floats hidden;
  Floats projections;
  Floats context;
  Floats inner;
  Floats attention;
  PreparedRoom prepared;
  PreparedRoom prepared_inner;
};

TextEncoder::TextEncoder(const EncoderSettings& settings, const EmbeddingView& embeddings,
                         Precision precision, simd::Level level)
    : settings_(settings),
      words_(embeddings.words),
      positions_(embeddings.positions),
      token_type_(embeddings.token_type),
      embedding_norm_{copied(embeddings.norm.scale), copied(embeddings.norm.shift)},
      num_distances_(embeddings.distances.cols),
      kernels_(simd::encoder_kernels(level)),
      arithmetic_(choose_arithmetic(precision, kernels_)),
      width_(round_up_to(settings.hidden, kWidthStep)),
      head_width_(round_up_to(settings.head(), kWidthStep)),
      heads_width_(settings.num_heads * head_width_),
      inner_width_(round_up_to(settings.inner, kWidthStep)) {
  const MatrixView<const float>& distances = embeddings.distances;
  distances_.assign(distances.rows * (distances.cols + kDistancePadding), 0.0F);
  for (std::size_t head = 0; head < distances.rows; ++head) {
    std::copy_n(distances.row(head), distances.cols,
                distances_.data() + head * (distances.cols + kDistancePadding));
  }
}

LinearLayer TextEncoder::padded(const LinearView& linear, std::size_t columns,
                                std::size_t depth) const {
  PaddedLinear padded(columns, depth);
  padded.set(linear, 0, linear.weights.rows, 0, same_place);
  return padded.pack(arithmetic_);
}

LinearLayer TextEncoder::padded_projections(const LayerView& layer) const {
  PaddedLinear padded(3 * heads_width_, width_);
  const std::size_t head = settings_.head();
  std::size_t begin = 0;
  for (const LinearView* part : {&layer.query, &layer.key, &layer.value}) {
    for (std::size_t h = 0; h < settings_.num_heads; ++h) {
      padded.set(*part, h * head, head, begin + h * head_width_, same_place);
    }
    begin += heads_width_;
  }
  return padded.pack(arithmetic_);
}

LinearLayer TextEncoder::padded_attention_output(const LayerView& layer) const {
  PaddedLinear padded(width_, heads_width_);
  const std::size_t head = settings_.head();
  padded.set(layer.attention_output, 0, settings_.hidden, 0,
             [&](std::size_t i) { return i / head * head_width_ + i % head; });
  return padded.pack(arithmetic_);
}

void TextEncoder::add_layer(const LayerView& layer) {
  layers_.push_back({padded_projections(layer), padded_attention_output(layer),
                     Norm{copied(layer.attention_norm.scale), copied(layer.attention_norm.shift)},
                     padded(layer.inner, inner_width_, width_),
                     padded(layer.outer, width_, inner_width_),
                     Norm{copied(layer.output_norm.scale), copied(layer.output_norm.shift)}});
}

std::vector<TextEncoder::Batch> TextEncoder::plan(const TokenView& tokens) {
  std::vector<Batch> batches;
  for (std::size_t begin = 0; begin < tokens.size();) {
    std::size_t end = begin + 1;
    while (end < tokens.size() && tokens.begin(end + 1) - tokens.begin(begin) <= kBatchTokens) {
      ++end;
    }
    batches.push_back({begin, end});
    begin = end;
  }
  return batches;
}

void TextEncoder::encode(const TokenView& tokens, std::size_t num_threads, Monitor& monitor,
                         MatrixView<float> output) const {
  std::size_t longest = 0;
  for (std::size_t text = 0; text < tokens.size(); ++text) {
    longest = std::max(longest, tokens.length(text));
  }
  const std::vector<Batch> batches = plan(tokens);
  std::vector<std::unique_ptr<Room>> rooms(std::min(num_threads, batches.size()));
  LayerMonitor layers(monitor, batches.size());
  parallel_for(batches.size(), num_threads, layers, [&](std::size_t task, std::size_t worker) {
    if (rooms[worker] == nullptr) {
      rooms[worker] = std::make_unique<Room>(*this, std::max(longest, kBatchTokens), longest);
    }
    encode_batch(tokens, batches[task], *rooms[worker], layers, output);
  });
}

void TextEncoder::encode_batch(const TokenView& tokens, Batch batch, const Room& room,
                               LayerMonitor& monitor, MatrixView<float> output) const {
  embed_tokens(tokens, batch, room);
  for (const Layer& layer : layers_) {
    if (!monitor.goes_on()) {
      return;
    }
    run_layer(layer, tokens, batch, room);
  }
  const std::size_t first = tokens.begin(batch.begin);
  for (std::size_t text = batch.begin; text < batch.end; ++text) {
    pool(room.hidden.data() + (tokens.begin(text) - first) * width_, tokens.length(text),
         output.row(text));
  }
}

void TextEncoder::embed_tokens(const TokenView& tokens, Batch batch, const Room& room) const {
  float* row = room.hidden.data();
  for (std::size_t text = batch.begin; text < batch.end; ++text) {
    for (std::size_t i = 0; i < tokens.length(text); ++i, row += width_) {
      const float* word = words_.row(static_cast<std::size_t>(tokens.ids[tokens.begin(text) + i]));
      const float* position = positions_.row(i);
      for (std::size_t d = 0; d < settings_.hidden; ++d) {
        row[d] = word[d] + position[d];
      }
      for (std::size_t d = 0; d < token_type_.size; ++d) {
        row[d] += token_type_[d];
      }
      std::fill(row + settings_.hidden, row + width_, 0.0F);
    }
  }
  normalise(embedding_norm_, tokens.begin(batch.end) - tokens.begin(batch.begin),
            room.hidden.data());
}

void TextEncoder::normalise(const Norm& norm, std::size_t num_rows, float* rows) const {
  kernels_.layer_norm(rows, num_rows, settings_.hidden, width_, norm.scale.data(),
                      norm.shift.data(), settings_.epsilon);
}

void TextEncoder::run_layer(const Layer& layer, const TokenView& tokens, Batch batch,
                            const Room& room) const {
  using simd::Finish;
  const std::size_t count = tokens.begin(batch.end) - tokens.begin(batch.begin);
  float* hidden = room.hidden.data();
  layer.projections.apply(hidden, count, room.prepared, Finish::kStore, room.projections.data());
  attend(tokens, batch, room);
  layer.attention_output.apply(room.context.data(), count, room.prepared, Finish::kAdd, hidden);
  normalise(layer.attention_norm, count, hidden);
  for (std::size_t begin = 0; begin < count; begin += kInnerRows) {
    const std::size_t rows = std::min(kInnerRows, count - begin);
    float* block = hidden + begin * width_;
    layer.inner.apply(block, rows, room.prepared, settings_.activation, room.inner.data());
    layer.outer.apply(room.inner.data(), rows, room.prepared_inner, Finish::kAdd, block);
    normalise(layer.output_norm, rows, block);
  }
}

void TextEncoder::attend(const TokenView& tokens, Batch batch, const Room& room) const {
  const std::size_t stride = 3 * heads_width_;
  const std::size_t first = tokens.begin(batch.begin);
  const float scale = 1.0F / std::sqrt(static_cast<float>(settings_.head()));
  for (std::size_t text = batch.begin; text < batch.end; ++text) {
    const std::size_t row = tokens.begin(text) - first;
    const float* projections = room.projections.data() + row * stride;
    for (std::size_t head = 0; head < settings_.num_heads; ++head) {
      const float* queries = projections + head * head_width_;
      const float* distances = nullptr;
      if (!distances_.empty()) {
        distances =
            distances_.data() + head * (num_distances_ + kDistancePadding) + num_distances_ / 2;
      }
      kernels_.attend({queries, queries + heads_width_, queries + 2 * heads_width_, distances,
                       tokens.length(text), stride, head_width_, scale},
                      room.attention.data(),
                      room.context.data() + row * heads_width_ + head * head_width_, heads_width_);
    }
  }
}

void TextEncoder::pool(const float* rows, std::size_t length, float* vector) const {
  const std::size_t hidden = settings_.hidden;
  std::copy_n(rows, hidden, vector);
  const std::size_t last = settings_.pooling == Pooling::kMean ? length : 1;
  for (std::size_t i = 1; i < last; ++i) {
    for (std::size_t d = 0; d < hidden; ++d) {
      vector[d] += rows[i * width_ + d];
    }
  }
  double square = 0.0;
  for (std::size_t d = 0; d < hidden; ++d) {
    square += static_cast<double>(vector[d]) * static_cast<double>(vector[d]);
  }
  const auto norm = static_cast<float>(std::sqrt(square));
  for (std::size_t d = 0; d < hidden; ++d) {
    vector[d] /= norm;
  }
}

}  // namespace ds2fast::encoder
