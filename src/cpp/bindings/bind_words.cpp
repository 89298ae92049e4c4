#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/call_guard.hpp"
#include "bindings/register.hpp"
#include "encoder/word_table.hpp"
#include "encoder/word_tokens.hpp"

namespace ds2fast::bindings {
namespace {

using encoder::WordTable;
using encoder::WordTokens;

/// The bytes of each text, which the list keeps alive: ASCII as str, anything else as bytes, since
/// a str of other characters would keep a second copy of itself.
std::vector<std::string_view> views_of(const py::list& texts) {
  std::vector<std::string_view> views;
  views.reserve(texts.size());
  for (const py::handle text : texts) {
    Py_ssize_t size = 0;
    const char* data = nullptr;
    if (PyBytes_Check(text.ptr())) {
      data = PyBytes_AS_STRING(text.ptr());
      size = PyBytes_GET_SIZE(text.ptr());
    } else {
      data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    }
    if (data == nullptr) {
      throw py::error_already_set();
    }
    views.emplace_back(data, static_cast<std::size_t>(size));
  }
  return views;
}

Array<std::int32_t> joined(const WordTokens& tokens) {
  std::size_t total = 0;
  for (const auto& ids : tokens.ids) {
    total += ids.size();
  }
  Array<std::int32_t> result(static_cast<py::ssize_t>(total));
  std::int32_t* at = result.mutable_data();
  for (const auto& ids : tokens.ids) {
    at = std::copy(ids.begin(), ids.end(), at);
  }
  return result;
}

py::list as_bytes(const std::unordered_set<std::string>& words) {
  py::list result;
  for (const std::string& word : words) {
    result.append(py::bytes(word));
  }
  return result;
}

py::tuple look_up(const WordTable& table, const py::list& texts, std::size_t most_tokens,
                  std::int32_t unknown, const std::vector<std::string>& literals,
                  std::size_t threads) {
  require(threads >= 1, "threads >= 1");
  require(std::none_of(literals.begin(), literals.end(),
                       [](const std::string& literal) { return literal.empty(); }),
          "literals of at least one byte");
  const encoder::WordRules rules{literals, most_tokens, unknown};
  const std::vector<std::string_view> views = views_of(texts);
  WordTokens found;
  run_kernel(py::none(), [&](Monitor& monitor) {
    found = encoder::look_up_words(table, rules, views, threads, monitor);
  });
  if (!found.missing.empty()) {
    return py::make_tuple(as_bytes(found.missing), Array<std::int32_t>(0), Array<std::int64_t>(0),
                          py::array_t<bool>(0));
  }
  Array<std::int64_t> lengths(static_cast<py::ssize_t>(found.lengths.size()), found.lengths.data());
  py::array_t<bool> cut(static_cast<py::ssize_t>(found.cut.size()));
  std::transform(found.cut.begin(), found.cut.end(), cut.mutable_data(),
                 [](std::uint8_t is_cut) { return is_cut != 0; });
  return py::make_tuple(py::list(), joined(found), lengths, cut);
}

void add(WordTable& table, const py::list& words,
         const std::vector<std::vector<std::int32_t>>& ids) {
  const std::vector<std::string_view> views = views_of(words);
  require(views.size() == ids.size(), "ids for each word");
  for (std::size_t word = 0; word < views.size(); ++word) {
    table.add(views[word], {ids[word].data(), ids[word].size()});
  }
}

}  // namespace

void register_words(py::module_& module) {
  py::class_<WordTable>(module, "WordTable", "What a tokeniser made of each word.")
      .def(py::init<>())
      .def("add", &add, py::arg("words"), py::arg("ids"), "Note the tokens of each word.")
      .def("look_up", &look_up, py::arg("texts"), py::arg("most_tokens"), py::arg("unknown"),
           py::arg("literals"), py::arg("threads"),
           "Words that the table lacks; where it lacks none the tokens of all texts, the number of "
           "each text's, and which texts were cut.")
      .def("clear", &WordTable::clear, "Forget all words.")
      .def_property_readonly("nbytes", &WordTable::bytes, "Bytes that the words take, about.");
}

}  // namespace ds2fast::bindings
