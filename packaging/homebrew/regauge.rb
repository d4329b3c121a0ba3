# The native command and the C++ library. On a release: the version and its archive's hash.
class Regauge < Formula
  desc "Move steering vectors and SAEs between transformers of other coordinates"
  homepage "https://github.com/regauge/regauge"
  url "https://github.com/regauge/regauge/archive/refs/tags/v0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000" # of the archive, once there is one
  license "MIT"

  depends_on "cli11" => :build
  depends_on "cmake" => :build
  depends_on "eigen" => :build
  depends_on "ninja" => :build
  depends_on "nlohmann-json" => :build
  depends_on "xsimd" => :build

  def install
    system "cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DREGAUGE_BUILD_TESTS=OFF", *std_cmake_args
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
    generate_completions_from_executable(bin/"regauge", "completion")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/regauge --version")
    assert_match "sign_marginalized", shell_output("#{bin}/regauge ceiling --d 16 --rows 64 --json")
  end
end
