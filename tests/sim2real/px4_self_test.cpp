// The checks that PX4's module mc_raptor makes before it flies a policy, on a host.
//
// usage: px4_self_test policy.tar
// It loads the archive with rl_tools' own reader, feeds the example inputs through rl_tools' own layers, prints the mean
// difference from the example outputs, and returns 0 where the module would accept the policy.
#include <rl_tools/operations/cpu.h>

#include <rl_tools/nn/optimizers/adam/instance/operations_generic.h>
#include <rl_tools/nn/layers/dense/operations_cpu.h>
#include <rl_tools/nn/layers/gru/operations_generic.h>
#include <rl_tools/nn_models/sequential/operations_generic.h>
#include <rl_tools/persist/backends/tar/operations_posix.h>
#include <rl_tools/nn/layers/dense/persist.h>
#include <rl_tools/nn/layers/gru/persist.h>
#include <rl_tools/nn_models/sequential/persist.h>

#include <cmath>
#include <cstdio>

namespace rlt = rl_tools;
using Device = rlt::devices::DefaultCPU;
using Index = Device::index_t;
using Numbers = rlt::numeric_types::Policy<float>;

constexpr Index inputs = 22, units = 16, outputs = 4, sequences = 2, steps = 5;
constexpr Index longest = 500;  // steps after which these layers forget in a test; in flight the module never does
constexpr float limit = 1e-5f;

namespace layers {
using Activation = rlt::nn::activation_functions::ActivationFunction;
template <Index SIZE, Activation FUNCTION>
using Dense = rlt::nn::layers::dense::BindConfiguration<rlt::nn::layers::dense::Configuration<Numbers, Index, SIZE, FUNCTION>>;
using Gru = rlt::nn::layers::gru::BindConfiguration<rlt::nn::layers::gru::Configuration<Numbers, Index, units>>;
template <typename LAYER, typename NEXT = rlt::nn_models::sequential::OutputModule>
using Then = rlt::nn_models::sequential::Module<LAYER, NEXT>;
using Chain = Then<Dense<units, Activation::RELU>, Then<Gru, Then<Dense<outputs, Activation::IDENTITY>>>>;
using Policy = rlt::nn_models::sequential::Build<rlt::nn::capability::Forward<false>, Chain, rlt::tensor::Shape<Index, longest, 1, inputs>>;
}  // namespace layers

template <Index SIZE>
using Row = rlt::Tensor<rlt::tensor::Specification<float, Index, rlt::tensor::Shape<Index, 1, SIZE>, false>>;

template <Index SIZE>
bool read_row(FILE* file, Index offset, Index step, Index sequence, Row<SIZE>& row) {
    const Index first = offset + (step * sequences + sequence) * SIZE * sizeof(float);
    return fseek(file, first, SEEK_SET) == 0 && fread(rlt::data(row), sizeof(float), SIZE, file) == SIZE;
}

int main(int count, char** words) {
    FILE* file = count == 2 ? fopen(words[1], "rb") : nullptr;
    if (file == nullptr) {
        fprintf(stderr, "usage: px4_self_test policy.tar\n");
        return 2;
    }
    fseek(file, 0, SEEK_END);
    namespace tar = rlt::persist::backends::tar;
    tar::ReaderGroup<tar::ReaderGroupSpecification<Index, tar::PosixFileData<Index>>> archive;
    archive.data.f = file;
    archive.data.size = ftell(file);

    Device device;
    Device::SPEC::RANDOM::ENGINE<> random;
    rlt::init(device);
    static layers::Policy policy;
    static layers::Policy::Buffer<false> buffers;
    static layers::Policy::State<false> state;
    auto actor = rlt::get_group(device, archive, "actor");
    if (!rlt::load(device, policy, actor)) {
        printf("not loaded\n");
        return 1;
    }
    char meta[256];
    Index size = 0, position = 0, length = 0;
    if (!tar::get(device, archive.data, "actor/meta", meta, Index(sizeof(meta)), size) ||
        !tar::seek_in_metadata(device, meta, Index(sizeof(meta)), "checkpoint_name", position, length)) {
        printf("no name\n");
        return 1;
    }
    Index input_offset = 0, output_offset = 0;
    if (!tar::seek(device, archive.data, "example/input/data", input_offset, size) ||
        !tar::seek(device, archive.data, "example/output/data", output_offset, size)) {
        printf("no examples\n");
        return 1;
    }
    float total = 0.0f;
    rlt::Mode<rlt::mode::Evaluation<>> mode;
    for (Index sequence = 0; sequence < sequences; sequence++) {
        rlt::reset(device, policy, state, random);
        for (Index step = 0; step < steps; step++) {
            Row<inputs> input;
            Row<outputs> target, output;
            if (!read_row<inputs>(file, input_offset, step, sequence, input) ||
                !read_row<outputs>(file, output_offset, step, sequence, target)) {
                printf("examples end early\n");
                return 1;
            }
            rlt::evaluate_step(device, policy, input, state, output, buffers, random, mode);
            for (Index i = 0; i < outputs; i++) {
                total += std::fabs(rlt::get(device, output, 0, i) - rlt::get(device, target, 0, i));
            }
        }
    }
    fclose(file);
    const float difference = total / float(sequences * steps * outputs);
    printf("%.*s %.3g\n", int(length), meta + position, double(difference));
    return difference < limit ? 0 : 1;  // false for NaN
}
