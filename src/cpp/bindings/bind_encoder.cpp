#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "encoder/text_encoder.hpp"

namespace ds2fast::bindings {
namespace {

using encoder::LinearView;
using encoder::NormView;
using Floats = Array<float>;
using Pair = std::pair<Floats, Floats>;

template <typename T>
T one_of(const std::string& name, std::initializer_list<std::pair<const char*, T>> known) {
  for (const auto& [known_name, value] : known) {
    if (name == known_name) {
      return value;
    }
  }
  throw py::value_error("_core: unknown name " + name);
}

encoder::Precision precision_of(const std::string& name) {
  using encoder::Precision;
  return one_of<Precision>(
      name, {{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}, {"int8", Precision::kInt8}});
}

simd::Finish activation_of(const std::string& name) {
  using simd::Finish;
  return one_of<Finish>(
      name, {{"gelu", Finish::kGelu}, {"gelu_tanh", Finish::kGeluTanh}, {"relu", Finish::kRelu}});
}

encoder::Pooling pooling_of(const std::string& name) {
  using encoder::Pooling;
  return one_of<Pooling>(name, {{"mean", Pooling::kMean}, {"cls", Pooling::kCls}});
}

NormView norm_view(const Pair& norm, std::size_t width) {
  const NormView view{vector_view(norm.first), vector_view(norm.second)};
  require(view.scale.size == width && view.shift.size == width, "norms as wide as the rows");
  return view;
}

LinearView linear_view(const Pair& linear, std::size_t columns, std::size_t depth) {
  const LinearView view{matrix_view(linear.first), vector_view(linear.second)};
  require(view.weights.rows == columns && view.weights.cols == depth &&
              view.biases.size == columns && depth <= std::size_t{1} << 16,
          "linear layers of the encoder's sizes");
  return view;
}

/// An encoder and the tables that it reads in place.
class BoundEncoder {
 public:
  BoundEncoder(Floats words, Floats positions, const Floats& token_type, const Pair& norm,
               const Floats& distances, std::size_t num_heads, std::size_t inner, float epsilon,
               const std::string& activation, const std::string& pooling,
               const std::string& precision)
      : words_(std::move(words)), positions_(std::move(positions)), token_type_(token_type) {
    const encoder::EmbeddingView embeddings{
        matrix_view(words_), matrix_view(positions_), vector_view(token_type_),
        norm_view(norm, matrix_view(words_).cols), matrix_view(distances)};
    const std::size_t hidden = embeddings.words.cols;
    require(hidden > 0 && num_heads > 0 && hidden % num_heads == 0 && inner > 0, "heads that fit");
    require(embeddings.positions.cols == hidden && embeddings.positions.rows > 0,
            "positions as wide as words");
    require(embeddings.token_type.size == 0 || embeddings.token_type.size == hidden,
            "a token type as wide as words");
    require(embeddings.distances.rows == 0 ||
                (embeddings.distances.rows == num_heads &&
                 embeddings.distances.cols == 2 * embeddings.positions.rows - 1),
            "distances (heads, 2 P - 1)");
    inner_ = inner;
    encoder_ = std::make_unique<encoder::TextEncoder>(
        encoder::EncoderSettings{hidden, num_heads, inner, epsilon, activation_of(activation),
                                 pooling_of(pooling)},
        embeddings, precision_of(precision), simd::active_level());
  }

  void add_layer(const std::array<Pair, 6>& linears, const std::array<Pair, 2>& norms) {
    const std::size_t hidden = encoder_->hidden();
    encoder_->add_layer(
        {linear_view(linears[0], hidden, hidden), linear_view(linears[1], hidden, hidden),
         linear_view(linears[2], hidden, hidden), linear_view(linears[3], hidden, hidden),
         norm_view(norms[0], hidden), linear_view(linears[4], inner_, hidden),
         linear_view(linears[5], hidden, inner_), norm_view(norms[1], hidden)});
  }

  Floats encode(const Array<std::int32_t>& ids, const Array<std::int64_t>& offsets,
                std::size_t threads, const py::object& progress) const {
    const encoder::TokenView tokens{vector_view(ids), vector_view(offsets)};
    check(tokens);
    require(threads >= 1, "threads >= 1");
    Floats vectors(
        {static_cast<py::ssize_t>(tokens.size()), static_cast<py::ssize_t>(encoder_->hidden())});
    const auto output = mutable_matrix_view(vectors);
    run_kernel(progress,
               [&](Monitor& monitor) { encoder_->encode(tokens, threads, monitor, output); });
    return vectors;
  }

  bool is_native() const { return encoder_->is_native(); }

 private:
  void check(const encoder::TokenView& tokens) const {
    require(tokens.offsets.size >= 1 && tokens.offsets[0] == 0 &&
                tokens.offsets[tokens.size()] == static_cast<std::int64_t>(tokens.ids.size),
            "offsets from 0 to the number of ids");
    for (std::size_t text = 0; text < tokens.size(); ++text) {
      const std::int64_t length = tokens.offsets[text + 1] - tokens.offsets[text];
      require(length >= 1 && length <= static_cast<std::int64_t>(encoder_->num_positions()),
              "1 to P tokens a text");
    }
    for (const std::int32_t id : tokens.ids) {
      require(id >= 0 && static_cast<std::size_t>(id) < encoder_->num_words(),
              "ids below the number of words");
    }
  }

  Floats words_;
  Floats positions_;
  Floats token_type_;
  std::size_t inner_ = 0;
  std::unique_ptr<encoder::TextEncoder> encoder_;
};

std::vector<std::string> native_precisions() {
  const simd::EncoderKernels kernels = simd::encoder_kernels(simd::active_level());
  std::vector<std::string> names;
  if (kernels.int8.multiply != nullptr) {
    names.emplace_back("int8");
  }
  if (kernels.bf16.multiply != nullptr) {
    names.emplace_back("bf16");
  }
  names.emplace_back("fp32");
  return names;
}

}  // namespace

void register_encoder(py::module_& module) {
  module.def("native_precisions", &native_precisions,
             "Precisions that the processor has products of, the fastest first.");
  py::class_<BoundEncoder>(module, "Encoder", "A BERT-like encoder; its layers are added in order.")
      .def(py::init<Floats, Floats, const Floats&, const Pair&, const Floats&, std::size_t,
                    std::size_t, float, const std::string&, const std::string&,
                    const std::string&>(),
           py::arg("words").noconvert(), py::arg("positions").noconvert(),
           py::arg("token_type").noconvert(), py::arg("norm"), py::arg("distances").noconvert(),
           py::kw_only(), py::arg("num_heads"), py::arg("inner"), py::arg("epsilon"),
           py::arg("activation"), py::arg("pooling"), py::arg("precision"))
      .def("add_layer", &BoundEncoder::add_layer, py::arg("linears"), py::arg("norms"),
           "Linears (weights (out, in), biases): query, key, value, attention output, inner, "
           "outer; norms (scale, shift): attention's, output's.")
      .def("encode", &BoundEncoder::encode, py::arg("ids").noconvert(),
           py::arg("offsets").noconvert(), py::arg("threads"), py::arg("progress") = py::none(),
           "Unit rows (N, hidden) float32 of the texts whose tokens are ids[offsets[i]:"
           "offsets[i + 1]].")
      .def_property_readonly("is_native", &BoundEncoder::is_native,
                             "Whether the processor has products of this precision.");
}

}  // namespace ds2fast::bindings
