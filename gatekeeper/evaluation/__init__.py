"""How well the exported model does on test units: metrics, each with confidence limits over units."""

from gatekeeper.evaluation.onnx_model import predict
from gatekeeper.evaluation.utility import evaluate

__all__ = ["evaluate", "predict"]
