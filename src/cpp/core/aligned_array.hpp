#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace ds2fast {

/// Values that begin at a cache line, all zero at first.
template <typename T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(std::size_t size) : values_(new(kLine) T[size]()), size_(size) {}

  T* data() const { return values_.get(); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t index) const { return values_[index]; }

 private:
  static constexpr std::align_val_t kLine{64};  ///< a vector across two lines is read twice
  struct Free {
    void operator()(T* values) const { operator delete[](values, kLine); }
  };

  std::unique_ptr<T[], Free> values_;
  std::size_t size_ = 0;
};

}  // namespace ds2fast
