// Result<T>: a value, or an Error that a person can act on. An Error says what is wrong, where
// (file, line, column: 1-based, 0 = unknown) and, where one exists, what to do about it.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace weft {

struct Place {
  std::string file;
  int line = 0;
  int column = 0;
  bool operator==(const Place&) const = default;
};

struct Error {
  std::string message;
  Place place{};
  std::string remedy{};

  /// "FILE:LINE:COLUMN: error: MESSAGE\n  help: REMEDY" with the parts that are known.
  std::string text() const;
};

struct Ok {};

template <class T = Ok>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: implicit by design
  Result() requires std::is_same_v<T, Ok> : state_(Ok{}) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & {
    WEFT_CHECK(ok(), "{}", std::get<1>(state_).text());
    return std::get<0>(state_);
  }
  const T& value() const& {
    WEFT_CHECK(ok(), "{}", std::get<1>(state_).text());
    return std::get<0>(state_);
  }
  /// Of a temporary, by value: `for (auto& x : *parse(text))` is safe.
  T value() && {
    WEFT_CHECK(ok(), "{}", std::get<1>(state_).text());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const {
    WEFT_CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

}  // namespace weft
