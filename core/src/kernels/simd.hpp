// xsimd for the .simd.cpp files, without GCC 12's false warnings. Never include it elsewhere.
#pragma once

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 warns of its own _mm512_undefined_epi32 (GCC bug 105593), and at the place of inlining, so this cannot be
// undone after the header.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <xsimd/xsimd.hpp>
