// Relu6Grad in oneDNN's own layout, in one pass over memory.
//
// The kernel of oneDNN 0.x is a plain loop that takes 40 % of a training step of MobileNetV1. The
// graph keeps TensorFlow's op; after oneDNN's layout pass has made `_MklRelu6Grad` of it, the pass
// here puts an op of ours in its place, with the same inputs and outputs.

#include <omp.h>

#include <cstring>
#include <memory>
#include <vector>

#include "tensorflow/core/common_runtime/optimization_registry.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/graph/graph.h"

namespace tensorflow {
namespace {

constexpr char kTheirs[] = "_MklRelu6Grad";
constexpr char kOurs[] = "_MobilenetRelu6Grad";
// TensorFlow's label of kernels that take tensors in oneDNN's layout with a description of it.
constexpr char kLabel[] = "MklLayoutDependentOp";
constexpr int64 kSmall = 1 << 15;  // elements, for which more threads would only cost

REGISTER_OP(kOurs)
    .Input("gradients: T")
    .Input("features: T")
    .Input("mkl_gradients: uint8")
    .Input("mkl_features: uint8")
    .Output("backprops: T")
    .Output("mkl_backprops: uint8")
    .Attr("T: {float} = DT_FLOAT");

// What comes with a tensor in oneDNN's layout: TensorFlow 1.15's MklDnnShape, with oneDNN 0.20's
// mkldnn_memory_desc_t in it, up to its format, which with the sizes says where each element is.
struct Layout {
  bool is_onednn;
  size_t num_dims;
  int sizes[12];
  int tf_format, type;
  int primitive_kind, md_num_dims, md_sizes[12], md_type, format;
};

// Whether two tensors of one size have their elements in the same places.
bool SameLayout(const Tensor& a, const Tensor& b) {
  const auto& one = *reinterpret_cast<const Layout*>(a.flat<uint8>().data());
  const auto& other = *reinterpret_cast<const Layout*>(b.flat<uint8>().data());
  if (!one.is_onednn || !other.is_onednn) return one.is_onednn == other.is_onednn;
  constexpr int kBlocked = 2;  // mkldnn_blocked: by strides, which are not looked at
  return one.format == other.format && one.format > kBlocked &&
         one.md_num_dims == other.md_num_dims &&
         !std::memcmp(one.md_sizes, other.md_sizes, one.md_num_dims * sizeof(int));
}

// dx is dy where 0 < y < 6, else dy * 0, as TensorFlow's kernels have it: what is not finite stays
// so, and the step is skipped whatever kernels run. dx may be dy.
__attribute__((target_clones("avx512f", "avx2", "default")))
void Mask(const float* dy, const float* y, float* dx, int64 size) {
#pragma GCC ivdep
  for (int64 i = 0; i < size; ++i) {
    const float gradient = dy[i], activation = y[i];
    dx[i] = (activation > 0.0f) & (activation < 6.0f) ? gradient : gradient * 0.0f;
  }
}

class Relu6GradOp : public OpKernel {
 public:
  explicit Relu6GradOp(OpKernelConstruction* context) : OpKernel(context) {
    NodeDef def = context->def();
    def.set_op(kTheirs);
    Status status;
    theirs_ = CreateOpKernel(DeviceType(DEVICE_CPU), context->device(),
                             context->device()->GetAllocator(AllocatorAttributes()), def,
                             context->graph_def_version(), &status);
    OP_REQUIRES_OK(context, status);
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &gradients = context->input(0), &features = context->input(1);
    const Tensor &gradients_layout = context->input(2), &layout = context->input(3);
    if (gradients.shape() != features.shape() || !SameLayout(gradients_layout, layout)) {
      theirs_->Compute(context);  // which brings one into the layout of the other
      return;
    }
    Tensor *backprops, *backprops_layout;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, gradients.shape(),
                                                                      &backprops));
    OP_REQUIRES_OK(context, context->allocate_output(1, layout.shape(), &backprops_layout));
    std::memcpy(backprops_layout->flat<uint8>().data(), layout.flat<uint8>().data(),
                layout.NumElements());
    const float *dy = gradients.flat<float>().data(), *y = features.flat<float>().data();
    float* dx = backprops->flat<float>().data();
    const int64 size = gradients.NumElements();
#pragma omp parallel if (size > kSmall)
    {
      const int64 threads = omp_get_num_threads(), i = omp_get_thread_num();
      const int64 start = size * i / threads, end = size * (i + 1) / threads;
      Mask(dy + start, y + start, dx + start, end - start);
    }
  }

 private:
  std::unique_ptr<OpKernel> theirs_;
};

REGISTER_KERNEL_BUILDER(
    Name(kOurs).Device(DEVICE_CPU).TypeConstraint<float>("T").Label(kLabel), Relu6GradOp);

class Relu6GradPass : public GraphOptimizationPass {
 public:
  Status Run(const GraphOptimizationPassOptions& options) override {
    if (options.partition_graphs == nullptr) return Status::OK();
    for (auto& partition : *options.partition_graphs) {
      Graph* graph = partition.second.get();
      std::vector<Node*> theirs;
      for (Node* node : graph->op_nodes()) {
        if (node->type_string() == kTheirs && node->output_type(0) == DT_FLOAT) {
          theirs.push_back(node);
        }
      }
      for (Node* node : theirs) TF_RETURN_IF_ERROR(Replace(graph, node));
    }
    return Status::OK();
  }

 private:
  static Status Replace(Graph* graph, Node* node) {
    NodeDef def = node->def();
    def.set_op(kOurs);
    Status status;
    Node* ours = graph->AddNode(def, &status);
    TF_RETURN_IF_ERROR(status);
    ours->set_assigned_device_name(node->assigned_device_name());
    for (const Edge* edge : node->in_edges()) {
      graph->AddEdge(edge->src(), edge->src_output(), ours, edge->dst_input());
    }
    for (const Edge* edge : node->out_edges()) {
      graph->AddEdge(ours, edge->src_output(), edge->dst(), edge->dst_input());
    }
    graph->RemoveNode(node);
    return Status::OK();
  }
};

// After oneDNN's passes, 1 and 2.
REGISTER_OPTIMIZATION(OptimizationPassRegistry::POST_PARTITIONING, 3, Relu6GradPass);

}  // namespace
}  // namespace tensorflow
