"""How well the exported model does on test units: metrics, each with confidence limits over units."""

from gatekeeper.evaluation.masks import evaluate_masks
from gatekeeper.evaluation.onnx_model import predict, predict_masks
from gatekeeper.evaluation.utility import evaluate

__all__ = ["evaluate", "evaluate_masks", "predict", "predict_masks"]
