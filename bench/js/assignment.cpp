// The assignment and its permanent test matrices for JavaScript: the package has no call for the assignment alone.
#include "regauge/assignment.hpp"

#include <emscripten/bind.h>

#include <cstdint>
#include <string>
#include <vector>

#include "../../tests/cpp/assignment_matrices.hpp"

namespace {

using emscripten::val;

std::vector<std::int32_t> scores;  // the matrix last made

template <class T>
val copyOf(const std::vector<T>& values) {
    return val(emscripten::typed_memory_view(values.size(), values.data())).call<val>("slice");
}

// n x n int32, row-major.
val makeMatrix(const std::string& name, unsigned n) {
    scores = regauge::testing::makeMatrix(name, n);
    return copyOf(scores);
}

// The total of the matrix made last, solved.
double assignMade(unsigned n) { return static_cast<double>(regauge::assign(scores, n).total); }

EMSCRIPTEN_BINDINGS(regauge_bench) {
    emscripten::function("makeMatrix", &makeMatrix);
    emscripten::function("assignMade", &assignMade);
}

}  // namespace
