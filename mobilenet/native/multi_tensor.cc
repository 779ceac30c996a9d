// What a step does to all weights, an op each for all of them: mobilenet/multi_tensor.py.
//
// TensorFlow takes several calls of ops a variable, some hundreds a step, and more passes over
// memory. Each function here rounds as those ops do, one after the other.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"
#include "tensorflow/core/util/work_sharder.h"

#define FOR_ANY_CPU __attribute__((target_clones("avx512f", "avx2", "default")))

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

// The variables of some inputs, locked while this lives.
class Variables {
 public:
  ~Variables() {
    for (mutex* lock : locks_) lock->unlock();
  }

  // Of the inputs from `first` on. Once, for all that the op locks: in one order, whoever locks.
  Status Lock(OpKernelContext* context, int first) {
    for (int i = first; i < context->num_inputs(); ++i) {
      core::RefCountPtr<Var> variable;
      TF_RETURN_IF_ERROR(LookupResource(context, HandleFromInput(context, i), &variable));
      variables_.push_back(std::move(variable));
    }
    std::vector<mutex*> locks;
    for (const auto& variable : variables_) locks.push_back(variable->mu());
    std::sort(locks.begin(), locks.end());
    locks.erase(std::unique(locks.begin(), locks.end()), locks.end());
    for (mutex* lock : locks) lock->lock();
    locks_ = locks;
    return Status::OK();
  }

  const Tensor& operator[](int i) const { return *variables_[i]->tensor(); }

  // The values of variable i, which has the shape of `like`, to be changed: who has read them
  // before keeps what they were.
  Status Values(OpKernelContext* context, int i, const Tensor& like, float** values) {
    Tensor* tensor = variables_[i]->tensor();
    if (tensor->dtype() != DT_FLOAT || like.dtype() != DT_FLOAT || !tensor->IsInitialized() ||
        !tensor->IsSameSize(like)) {
      return errors::FailedPrecondition("no float32 variables of one shape with values");
    }
    TF_RETURN_IF_ERROR((PrepareToUpdateVariable<Host, float>(context, tensor, false)));
    *values = tensor->flat<float>().data();
    return Status::OK();
  }

 private:
  std::vector<core::RefCountPtr<Var>> variables_;
  std::vector<mutex*> locks_;
};

// function(i, start, end) for all elements of all tensors, on all threads; cost: cycles an element.
template <typename Function>
void ForAll(OpKernelContext* context, const std::vector<int64>& sizes, int cost,
            const Function& function) {
  std::vector<int64> ends;
  int64 total = 0;
  for (int64 size : sizes) ends.push_back(total += size);
  const auto work = [&](int64 start, int64 end) {
    size_t i = std::upper_bound(ends.begin(), ends.end(), start) - ends.begin();
    for (; start < end; ++i) {
      const int64 before = ends[i] - sizes[i], stop = std::min(end, ends[i]);
      function(i, start - before, stop - before);
      start = stop;
    }
  };
  const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
  Shard(workers.num_threads, workers.workers, total, cost, work);
}

REGISTER_OP("MobilenetDecayGradient")
    .Input("gradient: float")
    .Input("weight: float")
    .Input("scale: float")
    .Attr("weight_decay: float")
    .Output("decayed: float")
    .SetShapeFn(shape_inference::UnchangedShape);

FOR_ANY_CPU
void Decay(const float* gradient, const float* weight, float scale, float weight_decay,
           float* decayed, int64 size) {
#pragma GCC ivdep
  for (int64 i = 0; i < size; ++i) decayed[i] = gradient[i] / scale + weight_decay * weight[i];
}

class DecayGradientOp : public OpKernel {
 public:
  explicit DecayGradientOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("weight_decay", &weight_decay_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &gradient = context->input(0), &weight = context->input(1);
    OP_REQUIRES(context, gradient.IsSameSize(weight),
                errors::InvalidArgument("a gradient of another shape than its weight"));
    Tensor* decayed;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, gradient.shape(),
                                                                      &decayed));
    const float* of_gradient = gradient.flat<float>().data();
    const float* of_weight = weight.flat<float>().data();
    const float scale = context->input(2).scalar<float>()(), weight_decay = weight_decay_;
    float* to = decayed->flat<float>().data();
    ForAll(context, {gradient.NumElements()}, 4, [=](int, int64 start, int64 end) {
      Decay(of_gradient + start, of_weight + start, scale, weight_decay, to + start, end - start);
    });
  }

 private:
  float weight_decay_;
};

REGISTER_KERNEL_BUILDER(Name("MobilenetDecayGradient").Device(DEVICE_CPU), DecayGradientOp);

REGISTER_OP("MobilenetAllFinite")
    .Input("tensors: N * float")
    .Attr("N: int >= 1")
    .Output("finite: bool")
    .SetShapeFn(shape_inference::ScalarShape);

// A sum is finite only if every element is.
FOR_ANY_CPU
bool IsSumFinite(const float* values, int64 size) {
  constexpr int kLanes = 64;
  float sums[kLanes] = {0};
  int64 i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] += values[i + lane];
  }
  for (; i < size; ++i) sums[0] += values[i];
  float sum = 0;
  for (float of_lane : sums) sum += of_lane;
  return std::isfinite(sum);
}

class AllFiniteOp : public OpKernel {
 public:
  explicit AllFiniteOp(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    std::vector<const float*> values;
    std::vector<int64> sizes;
    for (int i = 0; i < context->num_inputs(); ++i) {
      values.push_back(context->input(i).flat<float>().data());
      sizes.push_back(context->input(i).NumElements());
    }
    std::atomic<bool> finite(true);
    ForAll(context, sizes, 1, [&](int i, int64 start, int64 end) {
      if (!IsSumFinite(values[i] + start, end - start)) finite = false;
    });
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape(), &output));
    output->scalar<bool>()() = finite;
  }
};

REGISTER_KERNEL_BUILDER(Name("MobilenetAllFinite").Device(DEVICE_CPU), AllFiniteOp);

REGISTER_OP("MobilenetApplyMomentum")
    .Input("learning_rate: float")
    .Input("gradients: N * float")
    .Input("variables: N * resource")
    .Input("accums: N * resource")
    .Attr("N: int >= 1")
    .Attr("momentum: float")
    .SetIsStateful();

FOR_ANY_CPU
void ApplyMomentum(float* variable, float* accum, const float* gradient, float rate, float momentum,
                   int64 size) {
#pragma GCC ivdep
  for (int64 i = 0; i < size; ++i) {
    accum[i] = accum[i] * momentum + gradient[i];
    variable[i] -= accum[i] * rate;
  }
}

class ApplyMomentumOp : public OpKernel {
 public:
  explicit ApplyMomentumOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("momentum", &momentum_));
  }

  void Compute(OpKernelContext* context) override {
    const float rate = context->input(0).scalar<float>()(), momentum = momentum_;
    const int count = (context->num_inputs() - 1) / 3;
    std::vector<float*> values(count), accums(count);
    std::vector<const float*> gradients(count);
    std::vector<int64> sizes(count);
    Variables variables;
    OP_REQUIRES_OK(context, variables.Lock(context, 1 + count));
    for (int i = 0; i < count; ++i) {
      const Tensor& gradient = context->input(1 + i);
      OP_REQUIRES_OK(context, variables.Values(context, i, gradient, &values[i]));
      OP_REQUIRES_OK(context, variables.Values(context, count + i, gradient, &accums[i]));
      gradients[i] = gradient.flat<float>().data();
      sizes[i] = gradient.NumElements();
    }
    ForAll(context, sizes, 5, [&](int i, int64 start, int64 end) {
      ApplyMomentum(values[i] + start, accums[i] + start, gradients[i] + start, rate, momentum,
                    end - start);
    });
  }

 private:
  float momentum_;
};

REGISTER_KERNEL_BUILDER(Name("MobilenetApplyMomentum").Device(DEVICE_CPU), ApplyMomentumOp);

REGISTER_OP("MobilenetMoveAverages")
    .Input("rate: float")
    .Input("values: N * T")
    .Input("averages: N * resource")
    .Attr("N: int >= 1")
    .Attr("T: {float, resource}")
    .SetIsStateful();

FOR_ANY_CPU
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
    const bool of_variables = context->input_dtype(1) == DT_RESOURCE;
    std::vector<float*> averages(count);
    std::vector<const float*> values(count);
    std::vector<int64> sizes(count);
    Variables variables;
    OP_REQUIRES_OK(context, variables.Lock(context, of_variables ? 1 : 1 + count));
    for (int i = 0; i < count; ++i) {
      const Tensor& value = of_variables ? variables[i] : context->input(1 + i);
      const int average = of_variables ? count + i : i;
      OP_REQUIRES_OK(context, variables.Values(context, average, value, &averages[i]));
      values[i] = value.flat<float>().data();
      sizes[i] = value.NumElements();
    }
    ForAll(context, sizes, 3, [&](int i, int64 start, int64 end) {
      Move(averages[i] + start, values[i] + start, rate, end - start);
    });
  }
};

REGISTER_KERNEL_BUILDER(Name("MobilenetMoveAverages").Device(DEVICE_CPU), MoveAveragesOp);

}  // namespace
}  // namespace tensorflow
