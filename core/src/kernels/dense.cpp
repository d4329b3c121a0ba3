#include "kernels/dense.hpp"

namespace regauge::kernels {
namespace {

constexpr std::size_t rows = 4;
constexpr std::size_t columns = 4;
constexpr std::size_t lanes = 4;

template <class T>
void referenceMultiply(const T* a, const T* b, std::size_t depth, T* c, std::size_t stride) {
    for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < columns; ++j) {
            for (std::size_t k = 0; k < depth; ++k) c[i * stride + j] += a[k * rows + i] * b[k * columns + j];
        }
    }
}

template <class T, std::size_t size>
void referencePack(const T* from, std::size_t acrossStride, std::size_t depthStride, std::size_t across,
                   std::size_t depth, T sign, T* to) {
    for (std::size_t k = 0; k < depth; ++k) {
        for (std::size_t i = 0; i < size; ++i)
            to[k * size + i] = i < across ? sign * from[i * acrossStride + k * depthStride] : T(0);
    }
}

template <class T>
void referenceSolve(const T* l, std::size_t lStride, std::size_t n, T* x, std::size_t stride) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        for (std::size_t i = 0; i < n; ++i) {
            T value = x[i * stride + lane];
            for (std::size_t k = 0; k < i; ++k) value -= l[i * lStride + k] * x[k * stride + lane];
            x[i * stride + lane] = value / l[i * lStride + i];
        }
    }
}

}  // namespace

#define REGAUGE_DECLARE(isa)     \
    namespace isa {              \
    Dense<float> denseFloat();   \
    Dense<double> denseDouble(); \
    }
REGAUGE_COMPILED_ISAS(REGAUGE_DECLARE)
#undef REGAUGE_DECLARE

template <>
Dense<float> dense<float>(Isa isa) {
    switch (isa) {
#define REGAUGE_CASE(compiled) \
    case Isa::compiled: return compiled::denseFloat();
        REGAUGE_COMPILED_ISAS(REGAUGE_CASE)
#undef REGAUGE_CASE
        default: return denseReference<float>();
    }
}

template <>
Dense<double> dense<double>(Isa isa) {
    switch (isa) {
#define REGAUGE_CASE(compiled) \
    case Isa::compiled: return compiled::denseDouble();
        REGAUGE_COMPILED_ISAS(REGAUGE_CASE)
#undef REGAUGE_CASE
        default: return denseReference<double>();
    }
}

template <class T>
Dense<T> denseReference() {
    return {rows,
            columns,
            lanes,
            &referenceMultiply<T>,
            &referencePack<T, rows>,
            &referencePack<T, columns>,
            &referenceSolve<T>};
}
template Dense<float> denseReference();
template Dense<double> denseReference();

}  // namespace regauge::kernels
