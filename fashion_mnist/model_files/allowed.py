"""What a model file may name: layers, functions and operations of Keras that only compute.

None of them runs code, opens a file or loads anything that its arguments name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fashion_mnist.model_files.names import AUGMENTATIONS, LAYERS

CONTAINERS = frozenset({"Sequential", "Functional", "Model"})
WRAPPERS = frozenset({"Bidirectional", "SpectralNormalization", "TimeDistributed"})

# Random* too, whatever its name. In prediction these give what they take.
WITHOUT_EFFECT = AUGMENTATIONS | frozenset(
    """ActivityRegularization AlphaDropout AugMix CutMix Dropout GaussianDropout GaussianNoise
    MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast
    RandomCrop RandomElasticTransform RandomGaussianBlur RandomGrayscale RandomHeight RandomHue
    RandomInvert RandomPerspective RandomPosterization RandomSaturation RandomSharpness
    RandomShear RandomWidth SpatialDropout1D SpatialDropout2D SpatialDropout3D""".split()
)
COMPUTING = (
    (LAYERS - WITHOUT_EFFECT)
    | WRAPPERS
    | frozenset(
        """AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveMaxPooling1D
        AdaptiveMaxPooling2D Add AdditiveAttention Attention Average AveragePooling1D
        AveragePooling3D CenterCrop Concatenate Conv1D Conv1DTranspose Conv2DTranspose Conv3D
        Conv3DTranspose ConvLSTM1D ConvLSTM2D Cropping1D Cropping3D DepthwiseConv1D Dot EinsumDense
        Embedding GRU GlobalAveragePooling1D GlobalAveragePooling3D GlobalMaxPooling1D
        GlobalMaxPooling3D Identity InputLayer LSTM Masking MaxPooling1D MaxPooling3D Maximum
        Minimum MultiHeadAttention Multiply Normalization RMSNormalization RepeatVector Resizing
        SeparableConv1D SimpleRNN Subtract UpSampling1D UpSampling3D ZeroPadding1D
        ZeroPadding3D""".split()
    )
)
ACTIVATIONS = frozenset(
    """celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
    leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink
    softmax softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh
    tanh_shrink""".split()
)
# Layers that also serve as the activation of another.
ACTIVATING = frozenset({"Activation", "ELU", "LeakyReLU", "ReLU", "Softmax", "ThresholdedReLU"})

# What Keras 3 writes where a network computes with its tensors, as in `image / 255`. Each makes
# exactly the numbers that it declares, so that their count is known before any memory is taken.
OPERATIONS = {
    **dict.fromkeys(["Cast", "StopGradient"], "keras.src.ops.core"),
    **dict.fromkeys(["CropImages", "PadImages", "RGBToGrayscale", "Resize"], "keras.src.ops.image"),
    **dict.fromkeys(["Erf", "Erfc", "Logsumexp", "Rsqrt"], "keras.src.ops.math"),
    **dict.fromkeys(
        """Absolute Add Average BroadcastTo Ceil Clip Concatenate Cos Divide Equal Exp ExpandDims
        Expm1 Flip Floor FloorDivide GetItem Greater GreaterEqual Less LessEqual Log Log10 Log1p
        Log2 LogicalAnd LogicalNot LogicalOr Matmul Max Maximum Mean Min Minimum Mod Moveaxis
        Multiply Negative NotEqual OnesLike Pad Power Prod Reciprocal Repeat Reshape Roll Round
        Sign Sin Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Tanh Tile Transpose
        TrueDivide Var Where ZerosLike""".split(),
        "keras.src.ops.numpy",
    ),
    **dict.fromkeys(
        """AveragePool Celu Elu Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LeakyRelu
        LogSigmoid LogSoftmax MaxPool Normalize Relu Relu6 Selu Sigmoid Silu SoftShrink Softmax
        Softplus Softsign SparsePlus SparseSigmoid Sparsemax Squareplus TanhShrink
        Threshold""".split(),
        "keras.src.ops.nn",
    ),
}


NOTHING: Mapping[str, Any] = MappingProxyType({})
CHANNELS_LAST = {"data_format": "channels_last"}


class Function(NamedTuple):
    """How an operation of Keras 3 computes a function of TensorFlow."""

    operation: str
    renamed: Mapping[str, str] = NOTHING  # names of its arguments
    given: Mapping[str, Any] = NOTHING  # arguments that it has without being told
    second: str = "y"  # the argument that may be a tensor, too


# The same in a file of Keras 2, which names functions of TensorFlow.
TENSORFLOW_FUNCTIONS = {
    "__operators__.add": Function("Add"),
    "__operators__.getitem": Function("GetItem", second="slice_spec"),
    "cast": Function("Cast"),
    "clip_by_value": Function("Clip", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "compat.v1.pad": Function("Pad", {"paddings": "pad_width"}),
    "compat.v1.squeeze": Function("Squeeze"),
    "compat.v1.transpose": Function("Transpose", {"perm": "axes"}),
    "concat": Function("Concatenate"),
    "expand_dims": Function("ExpandDims"),
    "image.flip_left_right": Function("Flip", given={"axis": -2}),
    "image.flip_up_down": Function("Flip", given={"axis": -3}),
    "image.grayscale_to_rgb": Function("Repeat", given={"repeats": 3, "axis": -1}),
    "image.resize": Function("Resize", {"method": "interpolation"}),
    "linalg.matmul": Function("Matmul", second="b"),
    "math.abs": Function("Absolute"),
    "math.add": Function("Add"),
    "math.divide": Function("TrueDivide"),
    "math.exp": Function("Exp"),
    "math.log": Function("Log"),
    "math.maximum": Function("Maximum"),
    "math.minimum": Function("Minimum"),
    "math.multiply": Function("Multiply"),
    "math.negative": Function("Negative"),
    "math.pow": Function("Power"),
    "math.reduce_max": Function("Max"),
    "math.reduce_mean": Function("Mean"),
    "math.reduce_min": Function("Min"),
    "math.reduce_sum": Function("Sum"),
    "math.sigmoid": Function("Sigmoid"),
    "math.sqrt": Function("Sqrt"),
    "math.square": Function("Square"),
    "math.subtract": Function("Subtract"),
    "math.tanh": Function("Tanh"),
    "math.truediv": Function("TrueDivide"),
    "nn.avg_pool2d": Function("AveragePool", {"ksize": "pool_size"}, CHANNELS_LAST),
    "nn.bias_add": Function("Add", second="bias"),
    "nn.elu": Function("Elu"),
    "nn.gelu": Function("Gelu", given={"approximate": False}),
    "nn.leaky_relu": Function("LeakyRelu", {"alpha": "negative_slope"}),
    "nn.log_softmax": Function("LogSoftmax"),
    "nn.max_pool2d": Function("MaxPool", {"ksize": "pool_size"}, CHANNELS_LAST),
    "nn.relu": Function("Relu"),
    "nn.relu6": Function("Relu6"),
    "nn.selu": Function("Selu"),
    "nn.sigmoid": Function("Sigmoid"),
    "nn.silu": Function("Silu"),
    "nn.softmax": Function("Softmax"),
    "nn.tanh": Function("Tanh"),
    "repeat": Function("Repeat"),
    "reshape": Function("Reshape", {"shape": "newshape"}),
    "reverse": Function("Flip"),
    "squeeze": Function("Squeeze"),
    "stack": Function("Stack"),
    "tile": Function("Tile", {"multiples": "repeats"}),
    "transpose": Function("Transpose", {"perm": "axes"}),
}

# Layers of AutoKeras, which its files name without their definition.
AUTOKERAS: dict[str, tuple[str, dict[str, Any]]] = {
    "CastToFloat32": ("Cast", {"dtype": "float32"}),
    "ExpandLastDim": ("ExpandDims", {"axis": -1}),
}
