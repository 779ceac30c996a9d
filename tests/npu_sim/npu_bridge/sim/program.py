"""One run as the device has it: the user's ops, or copies of them that do what the device does."""

import numpy as np
import tensorflow as tf
from tensorflow.python import pywrap_tensorflow as c_api
from tensorflow.python.util import compat

from npu_bridge.sim import late_reads, marks, nodes, overflow, placement, precision, reach, settings

ITERATION_OP = 'IterationOp'


class Program:
    """What `session.run` runs for these tensors and targets. Built once in the same graph."""

    def __init__(self, session, tensors, targets, ops, mode):
        self._session, self._graph = session, session.graph
        self._tensors, self._handler = tensors, None
        self._names = [op.name for op in targets] + [t.op.name for t in tensors]
        self._saturate = settings.saturates()
        self._prefix, self._copies, self._host = None, None, []
        if not _is_device_work(ops) or reach.has_loops(ops):
            return
        order = reach.Order(ops)
        copies = nodes.Nodes(self._graph, ops)
        before = len(copies.by_name)
        late_reads.apply(copies, order, tensors)
        changed = len(copies.by_name) > before
        float32 = settings.has_float32_convolutions()
        rounded = []
        if precision.lowers(mode, ops, float32):
            changed = True
            rounded = precision.apply(copies, order, mode, float32, self._saturate)
        if self._saturate:
            changed = True
            overflow.apply(copies, order, rounded)
        if changed:
            self._copies, self._prefix = copies, copies.load()
            session._extend_graph()
        iteration = [op for op in ops if op.name == ITERATION_OP]
        if iteration:
            self._host = placement.host_tensors(order, iteration[0])
        copies.by_name = copies.ops = None  # all that is needed later is in the graph

    def giving(self, handler):
        """Itself, with the values put together as `handler` (of the same fetches) does."""
        self._handler = handler
        return self

    def run(self, feed_dict, times, options=None, run_metadata=None):
        """The fetches' values of the last of `times` iterations."""
        feeds = {}
        for key, value in (feed_dict or {}).items():
            tensor = self._graph.as_graph_element(key, allow_operation=False)
            feeds[self._output(tensor)] = np.asarray(value, tensor.dtype.base_dtype.as_numpy_dtype)
        fetches, targets = self._fetches()
        if not fetches and not targets:  # as TensorFlow's own session: nothing runs
            return self._handler.build_results(self._session, [])
        if self._host and times > 1:
            # Once a run, on the host.
            outputs = [self._output(t) for t in self._host]
            values = self._call(feeds, outputs, [])
            feeds.update(zip(outputs, [np.asarray(v) for v in values]))
        for _ in range(times - 1):  # the same fetches, so that TensorFlow prepares one graph
            self._call(feeds, fetches, targets)
        values = self._call(feeds, fetches, targets, options, run_metadata)
        if self._prefix and self._saturate:
            values = [overflow.shown(v) for v in values]
        return self._handler.build_results(self._session, values)

    def _fetches(self):
        outputs = []
        for tensor in self._tensors:
            changed = self._copies.fetched.get(nodes.text(tensor)) if self._copies else None
            outputs.append(self._named(changed) if changed else self._output(tensor))
        names = self._names + (self._copies.targets if self._copies else [])
        return outputs, [self._operation(name) for name in names]

    def _output(self, tensor):
        if self._prefix is None:
            return tensor._as_tf_output()
        return self._named(nodes.text(tensor))

    def _named(self, text):
        name, _, index = text.partition(':')
        output = c_api.TF_Output()
        output.oper, output.index = self._operation(name), int(index or 0)
        return output

    def _operation(self, name):
        full = name if self._prefix is None else f'{self._prefix}/{name}'
        return c_api.TF_GraphOperationByName(self._graph._c_graph, full)

    def _call(self, feeds, fetches, targets, options=None, run_metadata=None):
        session = self._session
        given = options and c_api.TF_NewBufferFromString(
            compat.as_bytes(options.SerializeToString())
        )
        filled = c_api.TF_NewBuffer() if run_metadata is not None else None
        try:
            session._extend_graph()
            values = session._do_call(
                session._call_tf_sessionrun, given, feeds, fetches, targets, filled
            )
            if filled:
                run_metadata.ParseFromString(compat.as_bytes(c_api.TF_GetBuffer(filled)))
            return values
        except tf.errors.OpError as error:
            if self._prefix:  # the user's own names
                error._message = error.message.replace(self._prefix + '/', '')
            raise
        finally:
            for buffer in (given, filled):
                if buffer:
                    c_api.TF_DeleteBuffer(buffer)


def _is_device_work(ops):
    """A step or an evaluation, not the setting and reading of variables."""
    if any(op.type == 'OneShotIterator' for op in ops):
        return False  # its state belongs to the node: a copy would start anew
    return any(op.type == 'IteratorGetNext' or op.type in precision.CUBE for op in ops) or any(
        op.name == ITERATION_OP or op.type == 'AssignVariableOp' and marks.mark_of(op) for op in ops
    )
