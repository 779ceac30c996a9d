// average -= (average - value) * rate for many variables in one op, in place.
//
// TensorFlow takes two reads, a difference and an update for each, some five hundred calls a step.

#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"
#include "tensorflow/core/util/work_sharder.h"

namespace tensorflow {

// The name that class Tensor lets see whether somebody else has its memory; TensorFlow has it in a
// header that it does not come with.
template <typename Device, typename T>
Status PrepareToUpdateVariable(OpKernelContext* context, Tensor* tensor, bool copy_on_read_mode) {
  if (copy_on_read_mode || !tensor->RefCountIsOne()) {
    Tensor own;
    TF_RETURN_IF_ERROR(context->allocate_temp(tensor->dtype(), tensor->shape(), &own));
    own.flat<T>() = tensor->flat<T>();
    *tensor = own;
  }
  return Status::OK();
}

namespace {

struct Host {};

REGISTER_OP("MobilenetMoveAverages")
    .Input("rate: float")
    .Input("averages: N * resource")
    .Input("values: N * resource")
    .Attr("N: int >= 1")
    .SetIsStateful();

// Rounds as TensorFlow's ops do, one after the other.
__attribute__((target_clones("avx512f", "avx2", "default")))
void Move(float* average, const float* value, float rate, int64 size) {
#pragma GCC ivdep
  for (int64 i = 0; i < size; ++i) average[i] -= (average[i] - value[i]) * rate;
}

class MoveAveragesOp : public OpKernel {
 public:
  explicit MoveAveragesOp(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const float rate = context->input(0).scalar<float>()();
    const int count = (context->num_inputs() - 1) / 2;
    for (int i = 0; i < count; ++i) {
      core::RefCountPtr<Var> average, value;
      OP_REQUIRES_OK(context,
                     LookupResource(context, HandleFromInput(context, 1 + i), &average));
      OP_REQUIRES_OK(context,
                     LookupResource(context, HandleFromInput(context, 1 + count + i), &value));
      mutex_lock of_average(*average->mu());
      tf_shared_lock of_value(*value->mu());
      OP_REQUIRES_OK(context, MoveOne(context, average->tensor(), *value->tensor(), rate));
    }
  }

 private:
  static Status MoveOne(OpKernelContext* context, Tensor* average, const Tensor& value,
                        float rate) {
    if (average->dtype() != DT_FLOAT || value.dtype() != DT_FLOAT ||
        !average->IsInitialized() || !average->IsSameSize(value)) {
      return errors::FailedPrecondition("no float32 variables of one shape with values");
    }
    // Who has read it before keeps what it was.
    TF_RETURN_IF_ERROR((PrepareToUpdateVariable<Host, float>(context, average, false)));
    float* to = average->flat<float>().data();
    const float* from = value.flat<float>().data();
    const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
    Shard(workers.num_threads, workers.workers, value.NumElements(), 2,
          [to, from, rate](int64 start, int64 end) {
            Move(to + start, from + start, rate, end - start);
          });
    return Status::OK();
  }
};

REGISTER_KERNEL_BUILDER(Name("MobilenetMoveAverages").Device(DEVICE_CPU), MoveAveragesOp);

}  // namespace
}  // namespace tensorflow
